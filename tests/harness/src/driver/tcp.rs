//! TCP connections: Envoy's network filters, and its TCP proxy behind them.
//!
//! What a client sends stays in the read buffer until every filter lets it pass; a filter that has stopped is shown all that is
//! there when more comes. What an upstream sends passes the filters in reverse order, by the same rules.

use super::World;
use crate::FailurePolicy;
use crate::process::events::WorkerId;
use crate::route::Target;
use crate::stream::tcp::{Got, Peer, Tcp};
use crate::stream::{Direction, Slot, StreamRef};
use crate::vm::{Vm, VmId};

/// Where upstreams of TCP connections are.
const UPSTREAM: &str = "127.0.0.1:50002";

impl World {
    /// A client connects.
    pub fn connect(&self, peer: &str, worker: WorkerId) -> StreamRef {
        let stream = self.new_connection(peer, worker);
        self.make_chain(&stream);
        self.pass_from_client(&stream, 0);
        stream
    }

    /// A client sends, or ends its half.
    pub fn client_bytes(&self, stream: &StreamRef, bytes: &[u8], end: bool) {
        self.with_tcp(stream, |tcp| {
            tcp.unread.buffer.extend(bytes);
            tcp.unread.end |= end;
        });
        self.read_client(stream);
    }

    /// Reads what the client has sent, once there is somebody to send it to.
    fn read_client(&self, stream: &StreamRef) {
        let read = self.with_tcp(stream, |tcp| {
            let is_new = !tcp.unread.buffer.is_empty() || tcp.unread.end;
            if tcp.over || !tcp.connected || tcp.from_client.end || !is_new {
                return None;
            }
            let unread = std::mem::take(&mut tcp.unread);
            tcp.from_client.buffer.extend(&unread.buffer);
            tcp.from_client.end = unread.end;
            Some(unread.buffer.len() as u64)
        });
        let Some(read) = read else { return };
        stream.borrow_mut().info.bytes_received += read;
        self.pass_from_client(stream, 0);
        if self.with_tcp(stream, |tcp| tcp.is_through()) {
            self.close_connection(stream, Peer::Remote);
        }
    }

    /// An upstream sends, or ends its half.
    pub fn upstream_bytes(&self, stream: &StreamRef, bytes: &[u8], end: bool) {
        let is_new = self.with_tcp(stream, |tcp| {
            let is_new = !tcp.over && tcp.connected && !tcp.from_upstream.end;
            if is_new {
                tcp.from_upstream.buffer.extend(bytes);
                tcp.from_upstream.end = end;
            }
            is_new
        });
        if is_new {
            self.pass_from_upstream(stream);
        }
    }

    /// A client breaks off.
    pub fn client_resets(&self, stream: &StreamRef) {
        let is_noticed = self.with_tcp(stream, |tcp| {
            tcp.gone = true;
            // Where nobody reads, nobody notices: before there is an upstream, and behind the end of the client's half.
            let is_noticed = tcp.connected && !tcp.from_client.end && !tcp.over;
            tcp.upstream.iter_mut().filter(|_| is_noticed).for_each(|upstream| upstream.reset = true);
            is_noticed
        });
        if is_noticed {
            self.close_connection(stream, Peer::Remote);
        }
    }

    /// An upstream breaks off: the proxy closes the client's connection.
    pub fn upstream_resets(&self, stream: &StreamRef) {
        let is_noticed = self.with_tcp(stream, |tcp| {
            let is_noticed = tcp.connected && !tcp.over;
            tcp.client.reset |= is_noticed;
            is_noticed
        });
        if is_noticed {
            self.close_connection(stream, Peer::Local);
        }
    }

    fn with_tcp<T: Default>(&self, stream: &StreamRef, run: impl FnOnce(&mut Tcp) -> T) -> T {
        stream.borrow_mut().tcp.as_mut().map(run).unwrap_or_default()
    }

    fn is_closed(&self, stream: &StreamRef) -> bool {
        self.with_tcp(stream, |tcp| tcp.over)
    }

    /// Passes what is in the read buffer to the filters from a position on, and then to the TCP proxy.
    pub(super) fn pass_from_client(&self, stream: &StreamRef, start: usize) {
        let count = stream.borrow().filters.len();
        for index in start..count {
            let is_new = self.with_tcp(stream, |tcp| {
                let is_new = index >= tcp.started;
                tcp.started = tcp.started.max(index + 1);
                is_new
            });
            if is_new && !self.tell_of_connection(stream, index) {
                return;
            }
            let has_some =
                self.with_tcp(stream, |tcp| !tcp.from_client.buffer.is_empty() || tcp.from_client.end);
            if has_some && !self.show_bytes(stream, index, Direction::Request) {
                return;
            }
            if self.is_closed(stream) {
                return;
            }
        }
        self.proxy_bytes(stream);
    }

    /// The TCP proxy: connects the first time, and forwards.
    fn proxy_bytes(&self, stream: &StreamRef) {
        if !self.with_tcp(stream, |tcp| tcp.connected) {
            return match self.connect_upstream(stream) {
                false => self.close_connection(stream, Peer::Local),
                true if self.with_tcp(stream, |tcp| tcp.gone) => self.close_connection(stream, Peer::Remote),
                true => self.read_client(stream),
            };
        }
        self.with_tcp(stream, |tcp| {
            let bytes = std::mem::take(&mut tcp.from_client.buffer);
            if let Some(upstream) = &mut tcp.upstream {
                upstream.bytes.extend(bytes);
                upstream.end |= tcp.from_client.end;
            }
        });
    }

    /// Finds the cluster, and whether anybody listens there.
    fn connect_upstream(&self, stream: &StreamRef) -> bool {
        let cluster = self.options.routes.iter().find_map(|route| match &route.target {
            Target::Cluster(name) => Some(name.clone()),
            Target::Direct { .. } => None,
        });
        let cluster = cluster.filter(|name| self.process.clusters.borrow().listens(name));
        let is_there = cluster.is_some();
        {
            let mut stream = stream.borrow_mut();
            stream.info.upstream_address = is_there.then(|| UPSTREAM.to_owned());
            stream.info.cluster = cluster;
        }
        self.with_tcp(stream, |tcp| {
            tcp.connected = is_there;
            tcp.upstream = is_there.then(Got::default);
        });
        is_there
    }

    /// Passes what an upstream has sent to the filters, the last one first, and then to the client.
    fn pass_from_upstream(&self, stream: &StreamRef) {
        self.pass_to_client(stream);
        if self.with_tcp(stream, |tcp| tcp.is_through()) {
            self.close_connection(stream, Peer::Local);
        }
    }

    fn pass_to_client(&self, stream: &StreamRef) {
        let count = stream.borrow().filters.len();
        for index in (0..count).rev() {
            let passes = self.show_bytes(stream, index, Direction::Response);
            if self.with_tcp(stream, |tcp| tcp.from_upstream.end) {
                self.tell_end_of_upstream(stream, index);
            }
            if !passes || self.is_closed(stream) {
                return;
            }
        }
        let sent = self.with_tcp(stream, |tcp| {
            let bytes = std::mem::take(&mut tcp.from_upstream.buffer);
            let sent = bytes.len() as u64;
            tcp.client.bytes.extend(bytes);
            tcp.client.end |= tcp.from_upstream.end;
            sent
        });
        stream.borrow_mut().info.bytes_sent += sent;
    }

    /// `proxy_on_new_connection`; true if the connection passes.
    fn tell_of_connection(&self, stream: &StreamRef, index: usize) -> bool {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm else { return self.passes_by(stream, &slot) };
        self.create_context(vm, slot.context);
        self.network_callback(stream, &slot, vm, |vm| {
            let exports = vm.exports.clone();
            let name = "proxy_on_new_connection";
            vm.call(slot.context, name, exports.new_connection.as_ref(), slot.context)
        })
    }

    /// `proxy_on_downstream_data` or `proxy_on_upstream_data`; true if the bytes pass.
    fn show_bytes(&self, stream: &StreamRef, index: usize, way: Direction) -> bool {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm else { return self.passes_by(stream, &slot) };
        if !self.knows(vm, slot.context) {
            return true;
        }
        let (size, end) = self.with_tcp(stream, |tcp| {
            let pipe = if way == Direction::Request { &tcp.from_client } else { &tcp.from_upstream };
            (pipe.buffer.len() as u32, u32::from(pipe.end))
        });
        self.sees(vm, slot.context, way, true);
        let passes = self.network_callback(stream, &slot, vm, |vm| {
            let exports = vm.exports.clone();
            let (name, function) = match way {
                Direction::Request => ("proxy_on_downstream_data", &exports.downstream_data),
                Direction::Response => ("proxy_on_upstream_data", &exports.upstream_data),
            };
            vm.call(slot.context, name, function.as_ref(), (slot.context, size, end))
        });
        if passes {
            self.sees(vm, slot.context, way, false);
        }
        passes
    }

    fn sees(&self, vm: VmId, context: u32, way: Direction, on: bool) {
        self.on_vm_raw(vm, |vm| {
            let Some(context) = vm.context(context) else { return };
            match way {
                Direction::Request => context.view.downstream_data = on,
                Direction::Response => context.view.upstream_data = on,
            }
        });
    }

    /// Runs a callback of a connection, and then what it asked for; true if the connection goes on. A VM that goes down closes
    /// the connection, whatever the policy; one that is down already does, unless the policy is to pass by.
    fn network_callback(
        &self,
        stream: &StreamRef,
        slot: &Slot,
        vm: VmId,
        call: impl FnOnce(&mut Vm) -> Option<u32>,
    ) -> bool {
        let outcome = self.on_vm_raw(vm, |vm| {
            let was_down = vm.failed;
            let number = if was_down { None } else { call(vm) };
            (number, was_down, vm.failed)
        });
        let Some(((number, was_down, failed), actions)) = outcome else { return true };
        self.act(vm, actions);
        match (was_down, failed) {
            (true, _) => self.passes_by(stream, slot),
            (false, true) => {
                self.close_connection(stream, Peer::Local);
                false
            }
            (false, false) => number.unwrap_or(0) == 0,
        }
    }

    fn passes_by(&self, stream: &StreamRef, slot: &Slot) -> bool {
        let open = self.chain[slot.plugin].policy == FailurePolicy::Open;
        if !open {
            self.close_connection(stream, Peer::Local);
        }
        open
    }

    fn knows(&self, vm: VmId, context: u32) -> bool {
        let Some(vm) = self.vm(vm) else { return false };
        vm.borrow_mut().context(context).is_some_and(|context| context.created)
    }

    /// Envoy tells of an upstream's end when its bytes have ended, and never who ended it.
    fn tell_end_of_upstream(&self, stream: &StreamRef, index: usize) {
        let slot = stream.borrow().filters[index].clone();
        let Some(vm) = slot.vm.filter(|vm| self.knows(*vm, slot.context)) else { return };
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            let name = "proxy_on_upstream_connection_close";
            vm.call(slot.context, name, exports.upstream_close.as_ref(), (slot.context, 0));
        });
    }

    /// `proxy_continue_stream` of a connection.
    pub(super) fn continue_connection(&self, stream: &StreamRef, vm: VmId, context: u32) {
        let index =
            stream.borrow().filters.iter().position(|slot| slot.vm == Some(vm) && slot.context == context);
        if let Some(index) = index
            && !self.is_closed(stream)
        {
            self.pass_from_client(stream, index + 1);
        }
    }

    /// The connection ends: each filter hears of it, and then `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    pub(super) fn close_connection(&self, stream: &StreamRef, by: Peer) {
        if self.with_tcp(stream, |tcp| std::mem::replace(&mut tcp.over, true)) {
            return;
        }
        let (id, filters) = {
            let mut stream = stream.borrow_mut();
            stream.finished = true;
            (stream.id, stream.filters.clone())
        };
        self.with_tcp(stream, |tcp| {
            tcp.client.end = true;
            if let Some(upstream) = &mut tcp.upstream {
                upstream.end = true;
            }
        });
        filters.iter().for_each(|slot| self.end_filter(slot, by));
        self.streams.borrow_mut().remove(&id);
    }

    fn end_filter(&self, slot: &Slot, by: Peer) {
        let Some(vm) = slot.vm else { return };
        if self.knows(vm, slot.context) {
            self.on_vm(vm, |vm| {
                let (exports, context) = (vm.exports.clone(), slot.context);
                let name = "proxy_on_downstream_connection_close";
                vm.call(context, name, exports.downstream_close.as_ref(), (context, by as u32));
                vm.call(context, "proxy_on_done", exports.done.as_ref(), context);
                vm.call(context, "proxy_on_log", exports.log.as_ref(), context);
                vm.call(context, "proxy_on_delete", exports.delete.as_ref(), context);
            });
        }
        self.leave_root(vm, slot.context);
    }
}
