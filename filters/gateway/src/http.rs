//! One stream.

use crate::held::Stream;
use crate::host::{self, Map};
use crate::proxy::ThisProxy;
use crate::root::Shared;
use core::cell::{Cell, RefCell};
use portcullis_edge_core::{Headers, RequestHead};
use portcullis_pipeline::{Facts, HeaderOps, LocalReply, Pipeline, Record, Step};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};
use std::rc::Rc;

/// Where the log line goes: `%FILTER_STATE(wasm.portcullis_log:PLAIN)%` in an access log format.
const LOG_LINE: &str = "portcullis_log";

/// A stream's context.
pub struct Http {
    shared: Rc<Shared>,
    stream: Rc<Stream>,
    /// A body to put in the place of the response's.
    body: Option<Vec<u8>>,
}

impl Http {
    pub fn new(shared: Rc<Shared>, context: u32) -> Self {
        let stream = Rc::new(Stream { context, facts: RefCell::new(None), held: Cell::new(false) });
        Self { shared, stream, body: None }
    }

    fn pipeline(&self) -> &Pipeline {
        &self.shared.pipeline
    }

    fn read_request(&self, with_peer: bool) -> RequestHead {
        // A map the host cannot give us is empty, and a request without a path is refused.
        let headers = host::headers(Map::Request).unwrap_or_default();
        let peer = if with_peer { host::property("source\0address").unwrap_or_default() } else { Vec::new() };
        RequestHead { headers, peer }
    }

    fn with_facts(&self, run: impl FnOnce(&mut Facts)) {
        if let Ok(Some(facts)) = self.stream.facts.try_borrow_mut().as_deref_mut() {
            run(facts);
        }
    }

    fn judge(&self) -> Option<Step> {
        let head = self.read_request(self.pipeline().needs_peer());
        let mut worker = self.shared.worker.try_borrow_mut().ok()?;
        let (facts, step) = self.pipeline().on_request(head, host::now(), &mut worker, &ThisProxy);
        self.stream.facts.try_borrow_mut().ok()?.replace(facts);
        Some(step)
    }

    fn record(&self) -> Record {
        match self.stream.facts.try_borrow().as_deref() {
            Ok(Some(facts)) => self.pipeline().on_done(facts, host::mono(), &mut HostStream),
            _ => self.pipeline().on_unseen(self.read_request(true), host::now(), &ThisProxy, &mut HostStream),
        }
    }

    /// Nothing of a request goes on while it is held, whatever the proxy does with bodies meanwhile
    /// (`allow_on_headers_stop_iteration`).
    fn unless_held(&self) -> Action {
        if self.stream.held.get() { Action::Pause } else { Action::Continue }
    }
}

/// The request is over, however it ended.
impl Drop for Http {
    fn drop(&mut self) {
        if let (true, Ok(mut calls)) = (self.stream.held.get(), self.shared.calls.try_borrow_mut()) {
            calls.forget(self.stream.context);
        }
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let step = self.judge().unwrap_or_else(|| Step::Reply(LocalReply::unavailable()));
        self.shared.proceed(&self.stream, step, self.stream.context)
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.unless_held()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let trailers = host::headers(Map::RequestTrailers).unwrap_or_default();
        let remove = self.pipeline().on_request_trailers(&trailers);
        let done = apply(Map::RequestTrailers, &HeaderOps { remove, ..HeaderOps::default() });
        if done { self.unless_held() } else { give_up(&self.shared, &self.stream) }
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let status = host::header(Map::Response, ":status").ok().and_then(|s| parse_status(&s));
        let Some(status) = status else { return Action::Continue };
        let mut body = None;
        self.with_facts(|facts| {
            facts.complete = end_of_stream;
            let step = self.shared.pipeline.on_response(facts, status, !end_of_stream, &mut HostStream);
            body = step.body;
            apply(Map::Response, &step.ops);
        });
        self.body = body;
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.with_facts(|facts| facts.complete |= end_of_stream);
        if let Some(body) = &self.body {
            let part: &[u8] = if end_of_stream { body } else { &[] };
            warn_if_failed(host::replace_body(size, part), "replace a body");
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.with_facts(|facts| facts.complete = true);
        Action::Continue
    }

    fn on_log(&mut self) {
        let record = self.record();
        self.shared.with_metrics(|metrics| record.count(metrics));
        warn_if_failed(host::set_property(LOG_LINE, &record.lines), "hand over a log line");
    }
}

/// Does what needs no waiting.
pub fn perform(shared: &Shared, stream: &Stream, step: Step) -> Action {
    match step {
        Step::Forward(ops) if apply(Map::Request, &ops) => Action::Continue,
        // A change that the host refuses could let a forged header through.
        Step::Forward(_) => give_up(shared, stream),
        Step::Reply(answer) => reply(&answer),
        Step::ServeMetrics => serve_metrics(shared, stream),
        // Whoever may wait does so before.
        Step::Wait | Step::Ask(_) => reply(&LocalReply::unavailable()),
    }
}

fn serve_metrics(shared: &Shared, stream: &Stream) -> Action {
    let text = shared.stats.try_borrow_mut().map(|mut stats| stats.text()).unwrap_or_default();
    match stream.facts.try_borrow_mut().as_deref_mut() {
        Ok(Some(facts)) => reply(&shared.pipeline.metrics_reply(facts, text)),
        _ => reply(&LocalReply::unavailable()),
    }
}

/// Refuses a request that was to go on.
fn give_up(shared: &Shared, stream: &Stream) -> Action {
    let step = match stream.facts.try_borrow_mut().as_deref_mut() {
        Ok(Some(facts)) => Some(shared.pipeline.give_up(facts)),
        _ => None,
    };
    match step {
        Some(Step::Reply(answer)) => reply(&answer),
        _ => reply(&LocalReply::unavailable()),
    }
}

/// Makes the changes, up to one that the host refuses; whether it refused none.
fn apply(map: Map, ops: &HeaderOps) -> bool {
    let removed = ops.remove.iter().map(|name| host::remove_header(map, name));
    let set = ops.set.iter().map(|(name, value)| host::set_header(map, name.as_bytes(), value));
    let state = ops.state.iter().map(|(name, value)| host::set_property(name, value));
    let failed = removed.chain(set).chain(state).find(Result::is_err);
    failed.into_iter().for_each(|failed| warn_if_failed(failed, "change a header"));
    failed.is_none()
}

/// Answers, or, if the host will not, ends the stream: a client is never left waiting, and never let through.
fn reply(answer: &LocalReply) -> Action {
    let done = host::send_reply(answer);
    if done.is_err() {
        warn_if_failed(host::close_stream(), "end a stream");
    }
    warn_if_failed(done, "answer a request");
    Action::Pause
}

pub fn warn_if_failed(done: Result<(), host::HostError>, what: &str) {
    if let Err(host::HostError(status)) = done {
        host::log(LogLevel::Warn, &format!("portcullis: the host refused to {what} (status {status})"));
    }
}

fn parse_status(text: &[u8]) -> Option<u16> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// What the host tells of the stream whose callback is running.
struct HostStream;

impl portcullis_pipeline::Stream for HostStream {
    fn response_headers(&mut self) -> Headers {
        host::headers(Map::Response).unwrap_or_default()
    }

    fn code_details(&mut self) -> Vec<u8> {
        host::property("response\0code_details").unwrap_or_default()
    }

    fn response_code(&mut self) -> Option<u16> {
        let code = integer("response\0code")?;
        u16::try_from(code).ok().filter(|code| *code > 0)
    }

    fn client_tls(&mut self) -> bool {
        host::property("connection\0tls_version").is_ok_and(|version| !version.is_empty())
    }

    fn duration_nanos(&mut self) -> u64 {
        integer("request\0duration").unwrap_or(0)
    }
}

/// An integer property: 8 bytes, little-endian.
fn integer(path: &str) -> Option<u64> {
    let bytes = host::property(path).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
