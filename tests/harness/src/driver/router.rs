//! Behind the last filter: the router and its upstreams for requests, the client for responses.

use std::rc::Rc;

use super::World;
use super::leaving::{http_date, missing, status, take_own, with_length};
use crate::callout::{STAND_REFUSED, STAND_TERMINATED, STAND_TIMED_OUT, Stand};
use crate::codec::DOWNSTREAM_PROTOCOL_ERROR;
use crate::message::{Part, open_ended, parts};
use crate::process::events::Event;
use crate::reply::Fate;
use crate::request::HTTP1;
use crate::route::Target;
use crate::stream::{Direction, LocalReply, Stream, StreamRef};
use crate::vm::context::BodyView;
use crate::{Flaw, Received, Reply, Route};

/// `UPE`: to Envoy's HTTP/1 codec, an answer that breaks off is none.
const UPSTREAM_PROTOCOL_ERROR: u64 = 0x80_0000;

/// `NC`.
const NO_CLUSTER_FOUND: u64 = 1 << 24;
/// The name of the virtual host of routes that are bound to no host.
const ALL_HOSTS: &str = "all";

impl World {
    pub(super) fn sink_headers(&self, stream: &StreamRef, way: Direction, end: bool) {
        match way {
            Direction::Request => self.route(stream, end),
            Direction::Response => self.send_headers(stream, end),
        }
    }

    pub(super) fn sink_data(&self, stream: &StreamRef, way: Direction, from: BodyView, end: bool) {
        let bytes = {
            let mut stream = stream.borrow_mut();
            let half = stream.half(way);
            match from {
                BodyView::Buffered => half.buffered.take().unwrap_or_default(),
                _ => std::mem::take(&mut half.chunk),
            }
        };
        match way {
            Direction::Request => self.forward_data(stream, bytes, end),
            Direction::Response => self.send_data(stream, bytes, end),
        }
    }

    pub(super) fn sink_trailers(&self, stream: &StreamRef, way: Direction) {
        let trailers = stream.borrow_mut().half(way).trailers.clone();
        match way {
            Direction::Request => {
                if let Some(request) = &mut stream.borrow_mut().router.request {
                    request.trailers = trailers;
                }
                self.request_sent(stream);
            }
            Direction::Response => {
                self.send_trailers(stream, trailers);
                self.complete(stream);
            }
        }
    }

    /// HTTP/1 has no place for trailers behind a body of a given length.
    fn send_trailers(&self, stream: &StreamRef, trailers: Option<crate::HeaderMap>) {
        let mut stream = stream.borrow_mut();
        let chunked = stream.client.headers.as_ref().is_none_or(|h| !h.contains("content-length"));
        stream.client.trailers = trailers.filter(|_| chunked || stream.info.protocol != HTTP1);
    }

    /// Looks a request's route up; what it says is told by properties from here on.
    pub fn look_up_route(&self, stream: &StreamRef) -> Option<Rc<Route>> {
        let mut stream = stream.borrow_mut();
        let routes = &self.options.routes;
        let headers = stream.request.headers.as_ref();
        let host =
            headers.map(|headers| Route::virtual_host(routes, headers).unwrap_or_else(|| ALL_HOSTS.into()));
        let route = headers.and_then(|headers| Route::find(routes, headers)).cloned();
        let target = route.as_ref().map(|route| &route.target);
        let cluster = match target {
            Some(Target::Cluster(name)) if self.process.clusters.borrow().contains(name) => {
                Some(name.clone())
            }
            _ => None,
        };
        stream.info.virtual_host = host;
        stream.info.cluster_metadata =
            cluster.as_ref().map(|name| self.options.cluster_metadata.get(name).cloned().unwrap_or_default());
        stream.info.cluster = cluster;
        stream.info.route = route.map(Rc::new);
        stream.info.route_stale = false;
        stream.info.route.clone()
    }

    /// Chooses the route; answers itself where there is none to choose.
    fn route(&self, stream: &StreamRef, end: bool) {
        let route = self.look_up_route(stream);
        match route.as_ref().map(|route| &route.target) {
            None => self.answer(stream, 404, b"", "route_not_found", 0x100),
            Some(Target::Direct { status, body }) => self.answer(stream, *status, body, "direct_response", 0),
            Some(Target::Cluster(name)) if !self.process.clusters.borrow().contains(name) => {
                self.answer(stream, 503, b"", "cluster_not_found", NO_CLUSTER_FOUND)
            }
            Some(Target::Cluster(name)) => match missing(stream) {
                None => {
                    self.forward_headers(stream, name);
                    if end {
                        self.request_sent(stream);
                    }
                }
                Some(header) => self.refuse_request(stream, header),
            },
        }
    }

    /// A filter has taken away what no request can do without.
    fn refuse_request(&self, stream: &StreamRef, header: &str) {
        let body = format!("missing required header: {header}");
        let details = format!("filter_removed_required_request_headers{{{}}}", body.replace(' ', "_"));
        self.answer(stream, 503, body.as_bytes(), &details, DOWNSTREAM_PROTOCOL_ERROR);
    }

    fn answer(&self, stream: &StreamRef, status: u16, body: &[u8], details: &str, flag: u64) {
        {
            let mut stream = stream.borrow_mut();
            stream.info.flags |= flag;
            stream.info.details = Some(details.to_owned());
        }
        let reply = LocalReply {
            status: status.into(),
            body: body.to_vec(),
            headers: Vec::new(),
            grpc: None,
            details: details.to_owned(),
        };
        self.reply(stream, reply);
    }

    fn forward_headers(&self, stream: &StreamRef, cluster: &str) {
        let mut stream = stream.borrow_mut();
        let own = stream.request.headers.as_mut().and_then(take_own);
        let route = stream.info.route.as_ref().and_then(|route| route.timeout);
        let timeout = own.or(route).unwrap_or(self.options.route_timeout);
        stream.router.timeout = Some(timeout);
        if let Some(headers) = stream.request.headers.as_mut().filter(|_| !timeout.is_zero()) {
            headers.set(b"x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string().as_bytes());
        }
        let headers = stream.request.headers.clone().unwrap_or_default();
        let worker = stream.worker;
        stream.router.cluster = Some(cluster.to_owned());
        stream.router.started = true;
        stream.info.upstream_address = Some("127.0.0.1:8000".into());
        stream.info.upstream_start_mono = Some(self.process.clock.get().mono);
        stream.router.request = Some(Received { headers, worker, ..Received::default() });
    }

    fn forward_data(&self, stream: &StreamRef, bytes: Vec<u8>, end: bool) {
        {
            let mut stream = stream.borrow_mut();
            if let Some(request) = &mut stream.router.request
                && !bytes.is_empty()
            {
                request.chunks.push(bytes.len());
                request.body.extend(bytes);
            }
        }
        if end {
            self.request_sent(stream);
        }
    }

    /// The request has been sent. An upstream that goes by `content-length` may still wait for more of it.
    fn request_sent(&self, stream: &StreamRef) {
        let (cluster, mut request) = {
            let mut stream = stream.borrow_mut();
            if std::mem::replace(&mut stream.router.sent, true) {
                return;
            }
            (
                stream.router.cluster.clone().unwrap_or_default(),
                stream.router.request.clone().unwrap_or_default(),
            )
        };
        self.limit_time(stream);
        request.read_by_length();
        stream.borrow_mut().router.request = Some(request.clone());
        let reply = match &request.flaw {
            Some(Flaw::Short { .. }) => Reply::never(),
            Some(Flaw::LengthUnreadable(_)) => Reply::status(400).header("content-length", "0"),
            _ => self.process.clusters.borrow_mut().exchange(&cluster, request),
        };
        let mut stream = stream.borrow_mut();
        if reply.fate != Fate::Never {
            let time = self.process.after(reply.delay);
            self.process.events.borrow_mut().push(time, stream.worker, Event::Upstream { stream: stream.id });
            let head = stream.request.headers.as_ref().is_some_and(|h| h.get(":method") == Some(b"HEAD"));
            script(&mut stream, if head { reply.without_body() } else { reply });
        }
    }

    /// The route's time runs from when the request is sent.
    fn limit_time(&self, stream: &StreamRef) {
        let stream = stream.borrow();
        if let Some(timeout) = stream.router.timeout.filter(|timeout| !timeout.is_zero()) {
            let time = self.process.after(timeout);
            self.process.events.borrow_mut().push(
                time,
                stream.worker,
                Event::RouteTimeout { stream: stream.id },
            );
        }
    }

    /// The upstream's next part arrives.
    pub(super) fn upstream_event(&self, stream: &StreamRef) {
        let stand = stream.borrow_mut().router.stand_in.take();
        if let Some(stand) = stand {
            return self.stand_in(stream, stand);
        }
        while let Some(part) = self.next_part(stream, Direction::Response) {
            self.response_part(stream, part);
        }
    }

    fn stand_in(&self, stream: &StreamRef, stand: Stand) {
        if stand == STAND_REFUSED {
            stream.borrow_mut().router.request = None;
        }
        self.answer(stream, stand.status, stand.body.as_bytes(), stand.details, stand.flag);
    }

    pub(super) fn route_timeout(&self, stream: &StreamRef) {
        let begun = stream.borrow().response.headers.is_some();
        if begun {
            return self.reset(stream);
        }
        self.stand_in(stream, STAND_TIMED_OUT);
    }

    fn response_part(&self, stream: &StreamRef, part: Part) {
        let way = Direction::Response;
        match part {
            Part::Headers { headers, end } => {
                self.response_begins(stream, headers, end);
                self.pass_headers(stream, way, 0, end);
            }
            Part::Data { bytes, end } => {
                {
                    let mut stream = stream.borrow_mut();
                    (stream.response.chunk, stream.response.complete) = (bytes, end);
                }
                self.pass_data(stream, way, 0, BodyView::Chunk, end);
            }
            Part::Trailers(trailers) => {
                {
                    let mut stream = stream.borrow_mut();
                    (stream.response.trailers, stream.response.complete) = (Some(trailers), true);
                }
                self.pass_trailers(stream, way, 0);
            }
            // An upstream is not refused; it breaks.
            Part::Reset | Part::Refused(_) => {
                stream.borrow_mut().info.details =
                    Some("upstream_reset_after_response_started{protocol_error}".into());
                stream.borrow_mut().info.flags |= UPSTREAM_PROTOCOL_ERROR;
                self.reset(stream);
            }
        }
    }

    fn response_begins(&self, stream: &StreamRef, mut headers: crate::HeaderMap, end: bool) {
        let mut stream = stream.borrow_mut();
        let started = stream.info.upstream_start_mono.unwrap_or_default();
        let took = self.process.clock.get().mono.saturating_sub(started) / 1_000_000;
        headers.set(b"x-envoy-upstream-service-time", took.to_string().as_bytes());
        stream.info.response_code = headers.text(":status").and_then(|code| code.parse().ok());
        stream.info.details = Some("via_upstream".into());
        stream.info.upstream_first_byte_mono = Some(self.process.clock.get().mono);
        (stream.response.headers, stream.response.complete) = (Some(headers), end);
    }

    fn send_headers(&self, stream: &StreamRef, end: bool) {
        let status = stream.borrow().response.headers.as_ref().and_then(status);
        let Some(status) = status else { return self.refuse_response(stream) };
        {
            let mut stream = stream.borrow_mut();
            if let Some(headers) = &mut stream.response.headers {
                self.add_own_headers(headers);
            }
            stream.info.response_code = Some(u32::try_from(status).unwrap_or(u32::MAX));
        }
        self.send_checked_headers(stream, end);
    }

    pub(super) fn send_checked_headers(&self, stream: &StreamRef, end: bool) {
        {
            let mut stream = stream.borrow_mut();
            let mut headers = stream.response.headers.clone().unwrap_or_default();
            if let (HTTP1, Some(status)) = (stream.info.protocol.as_str(), status(&headers)) {
                headers.change(b":status", status.to_string().as_bytes());
            }
            stream.client.headers = Some(if end { with_length(headers, &stream) } else { headers });
        }
        if end {
            self.complete(stream);
        }
    }

    /// A filter has taken away what no response can do without.
    fn refuse_response(&self, stream: &StreamRef) {
        let body = b"missing required header: :status";
        let details = "filter_removed_required_response_headers{missing_required_header:_:status}";
        self.answer(stream, 502, body, details, 0);
    }

    /// What the connection manager does to every response.
    pub(super) fn add_own_headers(&self, headers: &mut crate::HeaderMap) {
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding"]
            .iter()
            .for_each(|name| headers.remove(name.as_bytes()));
        if !headers.contains("date") {
            headers.add(b"date", http_date(self.process.clock.get().wall).as_bytes());
        }
        if !self.options.passes_server_header {
            headers.set(b"server", b"envoy");
        }
    }

    fn send_data(&self, stream: &StreamRef, bytes: Vec<u8>, end: bool) {
        {
            let mut stream = stream.borrow_mut();
            stream.info.bytes_sent += bytes.len() as u64;
            if !bytes.is_empty() {
                stream.client.chunks.push(bytes.len());
                stream.client.body.extend(bytes);
            }
        }
        if end {
            self.complete(stream);
        }
    }

    fn complete(&self, stream: &StreamRef) {
        stream.borrow_mut().client.complete = true;
        self.finish(stream);
    }
}

/// Lays out what the upstream event will deliver.
fn script(stream: &mut Stream, reply: Reply) {
    match reply.fate {
        Fate::Refuse => stream.router.stand_in = Some(STAND_REFUSED),
        Fate::ResetBeforeHeaders => stream.router.stand_in = Some(STAND_TERMINATED),
        Fate::Never => {}
        Fate::Answer | Fate::ResetAfterBody => {
            let reset = reply.fate == Fate::ResetAfterBody;
            let mut coming = parts(reply.headers, reply.chunks, reply.trailers, reply.ends_with_data);
            if reset {
                coming = open_ended(coming);
                coming.push(Part::Reset);
            }
            stream.response.to_come = coming.into();
        }
    }
}
