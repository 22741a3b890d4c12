//! Calls into the filters of a stream: what they may see meanwhile, what their answers mean, what follows a failure.

use super::World;
use crate::stream::{Direction, LocalReply, Slot, StreamRef};
use crate::vm::context::{BodyView, View};
use crate::vm::{Vm, VmId};
use crate::{FailurePolicy, StreamType};

/// Answer to headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadersStatus {
    Continue,
    StopIteration,
    StopAllBuffer,
    StopAllWatermark,
}

/// Answer to a part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataStatus {
    Continue,
    StopAndBuffer,
    StopAndWatermark,
    StopNoBuffer,
}

impl World {
    /// Calls a filter about headers.
    pub(super) fn filter_headers(
        &self,
        stream: &StreamRef,
        index: usize,
        way: Direction,
        end: bool,
    ) -> HeadersStatus {
        let slot = stream.borrow().filters[index].clone();
        let count = {
            let mut stream = stream.borrow_mut();
            stream.half(way).headers.as_ref().map(|headers| headers.len()).unwrap_or(0) as u32
        };
        let Some(vm) = slot.vm else { return self.without_vm(stream, &slot) };
        if way == Direction::Request {
            self.create_context(vm, slot.context);
        } else if self.deaf(vm, slot.context) {
            return HeadersStatus::Continue;
        }
        let answer = self.callback(stream, &slot, vm, |vm| {
            open_headers(vm, slot.context, way, end);
            call_headers(vm, slot.context, way, count, end)
        });
        let status = match answer {
            Answer::Failed { open: true } | Answer::None => HeadersStatus::Continue,
            Answer::Failed { open: false } => HeadersStatus::StopAllWatermark,
            Answer::Result { stopped: true, .. } => HeadersStatus::StopAllWatermark,
            Answer::Result { number, .. } => self.headers_status(&slot, number),
        };
        if status == HeadersStatus::Continue {
            self.with_view(vm, slot.context, |view| match way {
                Direction::Request => view.request_headers = false,
                Direction::Response => view.response_headers = false,
            });
        }
        status
    }

    /// A filter without a VM: the stream is failed, or passes it by.
    fn without_vm(&self, stream: &StreamRef, slot: &Slot) -> HeadersStatus {
        if self.chain[slot.plugin].policy == FailurePolicy::Open {
            return HeadersStatus::Continue;
        }
        stream.borrow_mut().prepared.get_or_insert_with(failed_reply);
        HeadersStatus::StopAllWatermark
    }

    fn headers_status(&self, slot: &Slot, number: u32) -> HeadersStatus {
        match number {
            1 if self.chain[slot.plugin].allow_stop_iteration => HeadersStatus::StopIteration,
            1 | 4 => HeadersStatus::StopAllWatermark,
            3 => HeadersStatus::StopAllBuffer,
            0 | 2 => HeadersStatus::Continue,
            _ => HeadersStatus::StopAllWatermark,
        }
    }

    /// Calls a filter about a part of the body; `view` says where the part is.
    pub(super) fn filter_data(
        &self,
        stream: &StreamRef,
        index: usize,
        way: Direction,
        view: BodyView,
        end: bool,
    ) -> DataStatus {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm else { return DataStatus::Continue };
        if !self.created(vm, slot.context) || (way == Direction::Response && self.deaf(vm, slot.context)) {
            return DataStatus::Continue;
        }
        let size = body_size(stream, way, view);
        let answer = self.callback(stream, &slot, vm, |vm| {
            open_body(vm, slot.context, way, view, end);
            call_body(vm, slot.context, way, size, end)
        });
        let status = match answer {
            Answer::Failed { open: true } | Answer::None => DataStatus::Continue,
            Answer::Failed { open: false } | Answer::Result { stopped: true, .. } => DataStatus::StopNoBuffer,
            Answer::Result { number: 1, .. } => DataStatus::StopAndBuffer,
            Answer::Result { number: 2, .. } => DataStatus::StopAndWatermark,
            Answer::Result { number: 0, .. } => DataStatus::Continue,
            Answer::Result { .. } => DataStatus::StopNoBuffer,
        };
        self.with_view(vm, slot.context, |view| close_body(view, way, status));
        status
    }

    /// Whether the filter keeps the body back, so that the next part is added before it looks.
    pub(super) fn is_buffering(&self, stream: &StreamRef, index: usize, way: Direction) -> bool {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm else { return false };
        self.with_view(vm, slot.context, |view| match way {
            Direction::Request => view.buffering_request,
            Direction::Response => view.buffering_response,
        })
        .unwrap_or(false)
    }

    /// Calls a filter about trailers; true if it lets them pass.
    pub(super) fn filter_trailers(&self, stream: &StreamRef, index: usize, way: Direction) -> bool {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm else { return true };
        if !self.created(vm, slot.context) || (way == Direction::Response && self.deaf(vm, slot.context)) {
            return true;
        }
        let count = {
            let mut stream = stream.borrow_mut();
            stream.half(way).trailers.as_ref().map(|trailers| trailers.len()).unwrap_or(0) as u32
        };
        let answer = self.callback(stream, &slot, vm, |vm| {
            open_trailers(vm, slot.context, way);
            call_trailers(vm, slot.context, way, count)
        });
        let passes = match answer {
            Answer::Failed { open } => open,
            Answer::None => true,
            Answer::Result { stopped, number } => !stopped && number == 0,
        };
        if passes {
            self.with_view(vm, slot.context, |view| match way {
                Direction::Request => view.request_trailers = false,
                Direction::Response => view.response_trailers = false,
            });
        }
        passes
    }

    /// Runs a callback of a stream, and then what it asked for. A VM that is down, or goes down, fails the stream.
    fn callback(
        &self,
        stream: &StreamRef,
        slot: &Slot,
        vm: VmId,
        call: impl FnOnce(&mut Vm) -> Option<u32>,
    ) -> Answer {
        stream.borrow_mut().depth += 1;
        let outcome = self.on_vm_raw(vm, |vm| {
            let number = if vm.failed { None } else { call(vm) };
            (number, std::mem::take(&mut vm.data().stop_next_iteration), vm.failed)
        });
        let answer = match outcome {
            Some(((_, _, true), actions)) => {
                let open = self.fail_stream(stream, slot, vm);
                self.act(vm, actions);
                Answer::Failed { open }
            }
            Some(((Some(number), stopped, false), actions)) => {
                self.act(vm, actions);
                Answer::Result { number, stopped }
            }
            Some(((None, _, false), _)) | None => Answer::None,
        };
        stream.borrow_mut().depth -= 1;
        answer
    }

    /// The first time a failed VM is met on a stream, the client gets a 503; unless the policy is to pass by.
    fn fail_stream(&self, stream: &StreamRef, slot: &Slot, vm: VmId) -> bool {
        if self.chain[slot.plugin].policy == FailurePolicy::Open {
            return true;
        }
        let first = self
            .on_vm_raw(vm, |vm| {
                vm.context(slot.context).is_some_and(|c| !std::mem::replace(&mut c.failed, true))
            })
            .is_some_and(|(first, _)| first);
        if first {
            let mut stream = stream.borrow_mut();
            stream.prepared.get_or_insert_with(failed_reply);
            stream.info.details = Some("wasm_fail_stream".into());
        }
        false
    }

    /// `proxy_on_context_create`, the first time.
    pub(super) fn create_context(&self, vm: VmId, context: u32) {
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            let Some(known) = vm.context(context) else { return };
            let parent = known.parent;
            if !std::mem::replace(&mut known.created, true) {
                vm.call(
                    context,
                    "proxy_on_context_create",
                    exports.context_create.as_ref(),
                    (context, parent),
                );
            }
        });
    }

    fn created(&self, vm: VmId, context: u32) -> bool {
        self.vm(vm).is_some_and(|vm| vm.borrow_mut().context(context).is_some_and(|context| context.created))
    }

    /// A filter hears nothing of a response if it never saw the request, or if it has failed on it.
    fn deaf(&self, vm: VmId, context: u32) -> bool {
        let Some(vm) = self.vm(vm) else { return true };
        let mut vm = vm.borrow_mut();
        vm.context(context).is_none_or(|context| !context.created || context.failed)
    }

    fn with_view<T>(&self, vm: VmId, context: u32, change: impl FnOnce(&mut View) -> T) -> Option<T> {
        let vm = self.vm(vm)?;
        let mut vm = vm.borrow_mut();
        vm.context(context).map(|context| change(&mut context.view))
    }

    /// `proxy_continue_stream`, carried out.
    pub(super) fn continue_stream(&self, stream: &StreamRef, vm: VmId, context: u32, which: StreamType) {
        let way = if which == StreamType::Response { Direction::Response } else { Direction::Request };
        let position = {
            let stream = stream.borrow();
            let index = stream.filters.iter().position(|slot| slot.vm == Some(vm) && slot.context == context);
            index.map(|index| stream.index(way, index))
        };
        if let Some(position) = position {
            self.resume(stream, way, position);
        }
    }
}

/// What came of a callback.
enum Answer {
    /// The module has no such callback.
    None,
    Result {
        number: u32,
        stopped: bool,
    },
    Failed {
        open: bool,
    },
}

/// What the client gets from a plugin that has failed.
fn failed_reply() -> LocalReply {
    LocalReply {
        status: 503,
        body: Vec::new(),
        headers: Vec::new(),
        grpc: Some(14),
        details: "wasm_fail_stream".into(),
    }
}

fn open_headers(vm: &mut Vm, context: u32, way: Direction, end: bool) {
    let Some(context) = vm.context(context) else { return };
    context.view.end_of_stream = end;
    match way {
        Direction::Request => context.view.request_headers = true,
        Direction::Response => context.view.response_headers = true,
    }
}

fn call_headers(vm: &mut Vm, context: u32, way: Direction, count: u32, end: bool) -> Option<u32> {
    let (new, old) = (vm.exports.clone(), vm.old_exports.clone());
    let (name, new, old) = match way {
        Direction::Request => ("proxy_on_request_headers", &new.request_headers, &old.request_headers),
        Direction::Response => ("proxy_on_response_headers", &new.response_headers, &old.response_headers),
    };
    match old {
        Some(old) => vm.call(context, name, Some(old), (context, count)),
        None => vm.call(context, name, new.as_ref(), (context, count, u32::from(end))),
    }
}

fn body_size(stream: &StreamRef, way: Direction, view: BodyView) -> u32 {
    let mut stream = stream.borrow_mut();
    let half = stream.half(way);
    let size = match view {
        BodyView::None => 0,
        BodyView::Chunk => half.chunk.len(),
        BodyView::Buffered => half.buffered.as_ref().map(Vec::len).unwrap_or(0),
    };
    size as u32
}

fn open_body(vm: &mut Vm, context: u32, way: Direction, body: BodyView, end: bool) {
    let Some(context) = vm.context(context) else { return };
    context.view.end_of_stream = end;
    match way {
        Direction::Request => context.view.request_body = body,
        Direction::Response => context.view.response_body = body,
    }
}

fn call_body(vm: &mut Vm, context: u32, way: Direction, size: u32, end: bool) -> Option<u32> {
    let exports = vm.exports.clone();
    let (name, function) = match way {
        Direction::Request => ("proxy_on_request_body", &exports.request_body),
        Direction::Response => ("proxy_on_response_body", &exports.response_body),
    };
    vm.call(context, name, function.as_ref(), (context, size, u32::from(end)))
}

fn close_body(view: &mut View, way: Direction, status: DataStatus) {
    let buffering = status == DataStatus::StopAndBuffer;
    let seen = match status {
        DataStatus::Continue => BodyView::None,
        _ => BodyView::Buffered,
    };
    match way {
        Direction::Request => (view.request_body, view.buffering_request) = (seen, buffering),
        Direction::Response => (view.response_body, view.buffering_response) = (seen, buffering),
    }
}

fn open_trailers(vm: &mut Vm, context: u32, way: Direction) {
    let Some(context) = vm.context(context) else { return };
    match way {
        Direction::Request => context.view.request_trailers = true,
        Direction::Response => context.view.response_trailers = true,
    }
}

fn call_trailers(vm: &mut Vm, context: u32, way: Direction, count: u32) -> Option<u32> {
    let exports = vm.exports.clone();
    let (name, function) = match way {
        Direction::Request => ("proxy_on_request_trailers", &exports.request_trailers),
        Direction::Response => ("proxy_on_response_trailers", &exports.response_trailers),
    };
    vm.call(context, name, function.as_ref(), (context, count))
}
