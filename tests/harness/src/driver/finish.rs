//! The end of a stream: `on_log` in filter order, the access log, then `on_done` and `on_delete` of each filter.

use super::World;
use crate::process::events::Event;
use crate::stream::{Slot, StreamRef};
use crate::vm::VmId;

impl World {
    /// Ends a stream, once.
    pub(super) fn finish(&self, stream: &StreamRef) {
        let (id, filters) = {
            let mut s = stream.borrow_mut();
            if std::mem::replace(&mut s.finished, true) {
                return;
            }
            s.info.end_mono = Some(self.process.clock.get().mono);
            (s.id, s.filters.clone())
        };
        self.process.events.borrow_mut().cancel(|event| belongs_to(event, id));
        filters.iter().for_each(|slot| self.log(slot));
        self.write_access_log(stream);
        filters.iter().for_each(|slot| self.destroy(slot));
        self.streams.borrow_mut().remove(&id);
    }

    /// A filter that never saw the stream gets its context only now.
    fn log(&self, slot: &Slot) {
        let Some(vm) = slot.vm else { return };
        self.create_context(vm, slot.context);
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            if let Some(context) = vm.context(slot.context) {
                context.view.access_log = true;
            }
            vm.call(slot.context, "proxy_on_log", exports.log.as_ref(), slot.context);
            if let Some(context) = vm.context(slot.context) {
                context.view.access_log = false;
            }
        });
    }

    fn destroy(&self, slot: &Slot) {
        let Some(vm) = slot.vm else { return };
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            let context = slot.context;
            // What a stream's `on_done` returns makes no difference: only roots can take their time.
            vm.call(context, "proxy_on_done", exports.done.as_ref(), context);
            vm.call(context, "proxy_on_delete", exports.delete.as_ref(), context);
        });
        self.leave_root(vm, slot.context);
    }

    /// The context of a stream is gone; a root that waits for its last stream ends with it.
    pub(super) fn leave_root(&self, vm: VmId, context: u32) {
        let last_of = self.on_vm(vm, |vm| {
            let parent = vm.data().contexts.remove(&context)?.parent;
            let root = vm.context(parent)?;
            root.root.streams -= 1;
            (root.root.closing && root.root.streams == 0).then_some(parent)
        });
        if let Some(Some(root)) = last_of {
            self.end_root(vm, root);
        }
    }
}

fn belongs_to(event: &Event, id: crate::stream::StreamId) -> bool {
    match event {
        Event::Client { stream }
        | Event::Upstream { stream }
        | Event::RouteTimeout { stream }
        | Event::Idle { stream } => *stream == id,
        _ => false,
    }
}
