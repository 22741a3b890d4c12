//! The event loop.

use std::net::IpAddr;
use std::rc::Rc;

use super::World;
use crate::callout::{CallResult, GrpcStep};
use crate::codec::{self, Listener};
use crate::host::schedule_tick;
use crate::message::Part;
use crate::process::events::{Event, WorkerId};
use crate::request::{HTTP2, Request};
use crate::stream::info::StreamInfo;
use crate::stream::tcp::Tcp;
use crate::stream::{Direction, Half, LocalReply, Slot, Stream, StreamId, StreamRef};
use crate::vm::context::{BodyView, Context};
use crate::vm::{Vm, VmId};

/// `DC`: the client has closed its connection.
const DOWNSTREAM_DISCONNECT: u64 = 0x4000;

impl World {
    /// Lets a client open a stream. Nothing of it has arrived yet; events bring it part by part.
    pub fn open(&self, request: Request, worker: WorkerId) -> StreamRef {
        let id = self.next_id();
        let stream = Rc::new(std::cell::RefCell::new(self.new_stream(id, worker, request)));
        self.streams.borrow_mut().insert(id, stream.clone());
        let now = self.process.clock.get().mono;
        self.process.events.borrow_mut().push(now, worker, Event::Client { stream: id });
        stream
    }

    fn new_stream(&self, id: StreamId, worker: WorkerId, request: Request) -> Stream {
        let request_id = self.process.rng.borrow_mut().uuid();
        let own_address = self.options.facing_clients.as_deref();
        let protocol = request.protocol;
        let peer = request.peer.clone();
        let is_v6 = peer.starts_with('[');
        let tls = request.tls.clone();
        let listener = Listener { peer: &peer, own_address, request_id: &request_id, is_tls: tls.is_some() };
        let parts = codec::receive(request, &listener);
        let info = StreamInfo {
            protocol: protocol.into(),
            peer: told_peer(&parts, own_address).unwrap_or(peer),
            local: self.local_address(is_v6),
            connection_id: id.0,
            tls,
            ..StreamInfo::default()
        };
        Stream { request: Half { to_come: parts.into(), ..Half::default() }, ..Stream::new(id, worker, info) }
    }

    /// Where clients connect to: clients with an address of IPv6 do so over the loopback of IPv6.
    fn local_address(&self, is_v6: bool) -> String {
        let local = &self.options.local_address;
        let port = local.rsplit(':').next().unwrap_or_default();
        if is_v6 { format!("[::1]:{port}") } else { local.clone() }
    }

    /// A TCP connection of a client's, before any filter knows of it.
    pub(super) fn new_connection(&self, peer: &str, worker: WorkerId) -> StreamRef {
        let id = self.next_id();
        let clock = self.process.clock.get();
        let info = StreamInfo {
            start_wall: clock.wall,
            start_mono: clock.mono,
            peer: peer.to_owned(),
            local: self.options.local_address.clone(),
            connection_id: id.0,
            ..StreamInfo::default()
        };
        let stream = Stream { tcp: Some(Tcp::default()), ..Stream::new(id, worker, info) };
        let stream = Rc::new(std::cell::RefCell::new(stream));
        self.streams.borrow_mut().insert(id, stream.clone());
        stream
    }

    fn next_id(&self) -> StreamId {
        let id = StreamId(self.next_stream.get());
        self.next_stream.set(id.0 + 1);
        id
    }

    /// Handles events up to an instant of monotonic time, and moves the clock there.
    pub fn run_until(&self, until: u64) {
        while self.step(until) {}
        self.process.clock.set(self.process.clock.get().moved_to(until));
    }

    /// Handles the next event that is due by then; false if there is none.
    pub fn step(&self, until: u64) -> bool {
        let Some((time, worker, event)) = self.process.events.borrow_mut().pop(until) else { return false };
        self.process.clock.set(self.process.clock.get().moved_to(time));
        self.dispatch(worker, event);
        true
    }

    pub(super) fn dispatch(&self, _worker: WorkerId, event: Event) {
        match event {
            Event::Client { stream } => self.with_stream(stream, Self::client_event),
            Event::Upstream { stream } => self.with_stream(stream, Self::upstream_event),
            Event::RouteTimeout { stream } => self.with_stream(stream, Self::route_timeout),
            Event::Idle { stream } => self.with_stream(stream, Self::idle_event),
            Event::HttpCall { vm, root, token, result } => self.http_call_event(vm, root, token, result),
            Event::Grpc { vm, root, token, step } => self.grpc_event(vm, root, token, step),
            Event::Tick { vm, root, generation } => self.tick_event(vm, root, generation),
            Event::Resolved { vm, root, token, found } => self.resolved(vm, root, token, found),
            Event::QueueReady { vm, root, queue } => {
                self.on_vm(vm, |vm| {
                    let exports = vm.exports.clone();
                    if vm.context(root).is_some() {
                        vm.call(root, "proxy_on_queue_ready", exports.queue_ready.as_ref(), (root, queue));
                    }
                });
            }
        }
    }

    fn with_stream(&self, id: StreamId, run: impl FnOnce(&World, &StreamRef)) {
        let stream = self.streams.borrow().get(&id).cloned();
        let now = self.process.clock.get().mono;
        if let Some(stream) = stream {
            if stream.borrow().finished {
                return;
            }
            run(self, &stream);
            stream.borrow_mut().last_activity = now;
        }
    }

    /// The next of the parts that have arrived, unless the stream is over.
    pub(super) fn next_part(&self, stream: &StreamRef, way: Direction) -> Option<Part> {
        let mut stream = stream.borrow_mut();
        if stream.finished { None } else { stream.half(way).to_come.pop_front() }
    }

    /// Whatever the client has sent arrives at once.
    fn client_event(&self, stream: &StreamRef) {
        while let Some(part) = self.next_part(stream, Direction::Request) {
            self.request_part(stream, part);
        }
    }

    pub fn request_part(&self, stream: &StreamRef, part: Part) {
        let way = Direction::Request;
        match part {
            Part::Headers { headers, end } => {
                self.begin(stream, headers, end);
                self.pass_headers(stream, way, 0, end);
            }
            Part::Data { bytes, end } => {
                self.note_request(stream, bytes.len(), end);
                if !self.is_over(stream, way) {
                    stream.borrow_mut().request.chunk = bytes;
                    self.pass_data(stream, way, 0, BodyView::Chunk, end);
                }
            }
            Part::Trailers(trailers) => {
                self.note_request(stream, 0, true);
                stream.borrow_mut().request.trailers = Some(trailers);
                self.pass_trailers(stream, way, 0);
            }
            Part::Reset => {
                {
                    let mut stream = stream.borrow_mut();
                    let (flag, details) = match stream.info.protocol.as_str() {
                        HTTP2 => (codec::DOWNSTREAM_RESET, "http2.remote_reset"),
                        _ => (DOWNSTREAM_DISCONNECT, "downstream_remote_disconnect"),
                    };
                    stream.info.flags |= flag;
                    stream.info.details = Some(details.into());
                }
                self.reset(stream);
            }
            Part::Refused(refusal) => self.refuse(stream, *refusal),
        }
    }

    fn note_request(&self, stream: &StreamRef, bytes: usize, end: bool) {
        let mut stream = stream.borrow_mut();
        stream.info.bytes_received += bytes as u64;
        if end {
            stream.request.complete = true;
            stream.info.request_end_mono = Some(self.process.clock.get().mono);
        }
    }

    /// The filter chain is made when the headers are there.
    fn begin(&self, stream: &StreamRef, headers: crate::HeaderMap, end: bool) {
        self.make_chain(stream);
        let clock = self.process.clock.get();
        {
            let mut stream = stream.borrow_mut();
            stream.info.asked = headers.get(":method").unwrap_or_default().to_vec();
            stream.request.headers = Some(headers);
            stream.request.complete = end;
        }
        self.look_up_route(stream);
        let mut stream = stream.borrow_mut();
        (stream.info.start_wall, stream.info.start_mono) = (clock.wall, clock.mono);
        stream.last_activity = clock.mono;
        let idle = self.process.after(self.options.idle_timeout);
        self.process.events.borrow_mut().push(idle, stream.worker, Event::Idle { stream: stream.id });
    }

    pub(super) fn make_chain(&self, stream: &StreamRef) {
        let worker = stream.borrow().worker;
        self.chain.iter().for_each(|plugin| self.recover(plugin, worker));
        let filters = (0..self.chain.len()).map(|index| self.new_filter(index, worker, stream)).collect();
        stream.borrow_mut().filters = filters;
    }

    fn new_filter(&self, index: usize, worker: WorkerId, stream: &StreamRef) -> Slot {
        let instance = self.chain[index].instances.borrow().get(&worker).copied();
        let made = instance.and_then(|instance| {
            let context = self.on_vm(instance.vm, |vm| new_context(vm, instance.root, stream))??;
            Some((instance.vm, context))
        });
        Slot {
            plugin: index,
            vm: made.map(|(vm, _)| vm),
            context: made.map(|(_, context)| context).unwrap_or(0),
            request: Default::default(),
            response: Default::default(),
        }
    }

    /// Nothing has moved for too long: 408 to a client that has not finished, 504 else.
    fn idle_event(&self, stream: &StreamRef) {
        let (id, worker, last, complete, begun) = {
            let s = stream.borrow();
            (s.id, s.worker, s.last_activity, s.request.complete, s.client.headers.is_some())
        };
        let due = last.saturating_add(crate::process::clock::nanos(self.options.idle_timeout));
        if due > self.process.clock.get().mono {
            return self.process.events.borrow_mut().push(due, worker, Event::Idle { stream: id });
        }
        stream.borrow_mut().info.flags |= 0x10000;
        if begun {
            return self.reset(stream);
        }
        let status = if complete { 504 } else { 408 };
        self.prepare_reply(
            stream,
            LocalReply {
                status,
                body: b"stream timeout".to_vec(),
                headers: Vec::new(),
                grpc: None,
                details: "stream_idle_timeout".into(),
            },
        );
    }

    fn tick_event(&self, vm: VmId, root: u32, generation: u64) {
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            if vm.data().timers.get(&root).is_none_or(|timer| timer.generation != generation) || vm.failed {
                return;
            }
            vm.call(root, "proxy_on_tick", exports.tick.as_ref(), root);
            if vm.data().timers.get(&root).is_some_and(|timer| timer.generation == generation) {
                schedule_tick(vm.data(), root);
            }
        });
    }

    fn resolved(&self, vm: VmId, root: u32, token: u32, found: Vec<u8>) {
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            let (Some(context), size) = (vm.context(root), found.len() as u32) else { return };
            context.root.call_data = Some(found);
            vm.call(root, "envoy_on_resolve_dns", exports.resolve_dns.as_ref(), (root, token, size));
        });
    }

    fn http_call_event(&self, vm: VmId, root: u32, token: u32, result: CallResult) {
        self.on_vm(vm, |vm| {
            if vm.data().http_calls.remove(&token).is_some() {
                http_call_response(vm, root, token, result);
            }
        });
    }

    fn grpc_event(&self, vm: VmId, root: u32, token: u32, step: GrpcStep) {
        self.on_vm(vm, |vm| {
            let data = vm.data();
            let known = data.grpc_calls.contains_key(&token) || data.grpc_streams.contains_key(&token);
            if known && vm.context(root).is_some() {
                grpc_step(vm, root, token, step);
            }
        });
    }
}

/// Where the connection manager does not look at addresses itself, it believes the last one in `x-forwarded-for`.
fn told_peer(parts: &[Part], own_address: Option<&str>) -> Option<String> {
    let Some(Part::Headers { headers, .. }) = parts.first().filter(|_| own_address.is_none()) else {
        return None;
    };
    let told = headers.text("x-forwarded-for")?;
    let address: IpAddr = told.rsplit(',').next()?.trim().parse().ok()?;
    Some(std::net::SocketAddr::new(address, 0).to_string())
}

fn new_context(vm: &mut Vm, root: u32, stream: &StreamRef) -> Option<u32> {
    let parent = vm.context(root)?;
    parent.root.streams += 1;
    let plugin = parent.plugin.clone();
    Some(vm.data().add_context(Context::stream(root, plugin, stream.clone())))
}

fn http_call_response(vm: &mut Vm, root: u32, token: u32, result: CallResult) {
    let exports = vm.exports.clone();
    let Some(context) = vm.context(root) else { return };
    let (headers, body, trailers) = match result {
        CallResult::Answer(response) => {
            let trailers = response.trailers.as_ref().map(|trailers| trailers.len()).unwrap_or(0);
            let sizes = (response.headers.len(), response.body.len(), trailers);
            context.root.response = Some(response);
            sizes
        }
        CallResult::Reset => {
            context.status = (crate::Status::BrokenConnection as u32, "reset".into());
            (0, 0, 0)
        }
    };
    let params = (root, token, headers as u32, body as u32, trailers as u32);
    vm.call(root, "proxy_on_http_call_response", exports.http_call_response.as_ref(), params);
    if let Some(context) = vm.context(root) {
        context.root.response = None;
        context.status.1.clear();
    }
}

fn grpc_step(vm: &mut Vm, root: u32, token: u32, step: GrpcStep) {
    let exports = vm.exports.clone();
    let Some(context) = vm.context(root) else { return };
    match step {
        GrpcStep::Initial(metadata) => {
            let count = metadata.len() as u32;
            context.root.grpc_initial = Some(metadata);
            let name = "proxy_on_grpc_receive_initial_metadata";
            vm.call(root, name, exports.grpc_initial.as_ref(), (root, token, count));
        }
        GrpcStep::Message(message) => {
            let size = message.len() as u32;
            context.root.grpc_message = Some(message);
            vm.call(root, "proxy_on_grpc_receive", exports.grpc_receive.as_ref(), (root, token, size));
            vm.data().grpc_calls.remove(&token);
        }
        GrpcStep::Trailing(metadata) => {
            let count = metadata.len() as u32;
            context.root.grpc_trailing = Some(metadata);
            let name = "proxy_on_grpc_receive_trailing_metadata";
            vm.call(root, name, exports.grpc_trailing.as_ref(), (root, token, count));
        }
        GrpcStep::Close { code, message } => {
            context.status = (code, message);
            vm.call(root, "proxy_on_grpc_close", exports.grpc_close.as_ref(), (root, token, code));
            vm.data().grpc_calls.remove(&token);
            vm.data().grpc_streams.remove(&token);
        }
    }
    if let Some(context) = vm.context(root) {
        (context.root.grpc_initial, context.root.grpc_message, context.root.grpc_trailing) =
            (None, None, None);
        context.status.1.clear();
    }
}
