//! A stream's callbacks.

use crate::host::{self, Map};
use crate::perform::{apply, give_up, look_at, warn_if_failed};
use crate::proxy::ThisProxy;
use crate::shared::Shared;
use crate::stream::{HostStream, Stream};
use portcullis_edge_core::{HostError, RequestHead};
use portcullis_pipeline::{HeaderOps, LocalReply, Pipeline, Record, Side, Step};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;

/// A stream's context.
pub struct Http {
    shared: Rc<Shared>,
    stream: Rc<Stream>,
    /// A body to put in the place of the response's.
    body: Option<Vec<u8>>,
}

impl Http {
    pub fn new(shared: Rc<Shared>, context: u32) -> Self {
        Self { shared, stream: Rc::new(Stream::new(context)), body: None }
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

    fn judge(&self) -> Option<Step> {
        let head = self.read_request(self.pipeline().needs_peer());
        let mut worker = self.shared.worker.try_borrow_mut().ok()?;
        let (facts, step) = self.pipeline().on_request(head, &ThisProxy, &mut worker);
        self.stream.facts.try_borrow_mut().ok()?.replace(facts);
        Some(step)
    }

    fn record(&self) -> Record {
        let seen = self.stream.with_facts(|facts| {
            let mut worker = self.shared.worker.try_borrow_mut().ok()?;
            Some(self.pipeline().on_done(facts, &ThisProxy, &mut worker, &mut HostStream))
        });
        seen.flatten().unwrap_or_else(|| {
            self.pipeline().on_unseen(self.read_request(true), &ThisProxy, &mut HostStream)
        })
    }

    /// Nothing of a request goes on while it is held, whatever the proxy does with bodies meanwhile
    /// (`allow_on_headers_stop_iteration`).
    fn unless_held(&self) -> Action {
        if self.stream.held.get() { Action::Pause } else { Action::Continue }
    }

    /// Shows a part of a body to who wants to see it; nobody for most requests.
    fn look_at(&self, side: Side, size: usize) {
        look_at(&self.shared, &self.stream, side, size);
    }

    /// Leaves the lines, and what stands beside them, as filter state.
    fn hand_over(&self, record: &Record) -> Result<(), HostError> {
        let state = record.state.iter().map(|(name, value)| host::set_property(name, value));
        state.for_each(|done| warn_if_failed(done, "leave facts for an access log"));
        if record.lines.is_empty() {
            Ok(())
        } else {
            host::set_property(&self.shared.log_line, &record.lines)
        }
    }

    /// A body that nothing of may go on before it has come whole: the proxy keeps it, and says each time how much there is by now.
    fn keep(&self, size: usize, end_of_stream: bool) -> Action {
        let is_lost = self.stream.with_facts(|facts| Pipeline::is_lost(facts, size)) == Some(true);
        if !end_of_stream && !is_lost {
            return Action::Pause;
        }
        self.look_at(Side::Request, size);
        self.shared.judge_login(&self.stream)
    }

    fn wants_whole(&self) -> bool {
        self.stream.with_facts(|facts| Pipeline::wants_whole(facts)) == Some(true)
    }

    /// The answer of a login is noted when it begins.
    fn note_login(&self, status: u16) {
        let shared = &self.shared;
        if self.stream.with_facts(|facts| shared.pipeline.is_login(facts)) == Some(true) {
            shared.note_login(&self.stream, status);
        }
    }

    fn response_ends(&self) {
        self.stream.with_facts(|facts| self.pipeline().on_response_end(facts));
    }
}

/// The request is over, however it ended.
impl Drop for Http {
    fn drop(&mut self) {
        if let (true, Ok(mut waiting)) = (self.stream.held.get(), self.shared.waiting.try_borrow_mut()) {
            waiting.forget(self.stream.context);
        }
        self.shared.unwatch(&self.stream);
        self.stream.page.take().into_iter().for_each(|reader| self.shared.pages.give_back(reader));
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let step = self.judge().unwrap_or_else(|| Step::Reply(LocalReply::unavailable()));
        self.shared.proceed(&self.stream, step, self.stream.context)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.stream.held.get() {
            self.stream.seen.set(size);
            self.stream.ended.set(end_of_stream);
            return Action::Pause;
        }
        if self.wants_whole() {
            self.stream.seen.set(size);
            return self.keep(size, end_of_stream);
        }
        self.look_at(Side::Request, size);
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        // What cannot be read cannot be cleaned of what a client forged.
        let Ok(trailers) = host::headers(Map::RequestTrailers) else {
            return give_up(&self.shared, &self.stream);
        };
        let remove = self.pipeline().on_request_trailers(&trailers);
        let done = apply(Map::RequestTrailers, &HeaderOps { remove, ..HeaderOps::default() });
        self.stream.ended.set(true);
        match done {
            // No login is held any more when its body is waited for.
            true if self.wants_whole() => self.keep(self.stream.seen.get(), true),
            true => self.unless_held(),
            false => give_up(&self.shared, &self.stream),
        }
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let status = host::header(Map::Response, ":status").ok().and_then(|s| parse_status(&s));
        let Some(status) = status else { return Action::Continue };
        self.body = self
            .stream
            .with_facts(|facts| {
                let step =
                    self.pipeline().on_response(facts, status, !end_of_stream, &ThisProxy, &mut HostStream);
                apply(Map::Response, &step.ops);
                step.body
            })
            .flatten();
        self.note_login(status);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.look_at(Side::Response, size);
        if end_of_stream {
            self.response_ends();
        }
        if let Some(body) = &self.body {
            let part: &[u8] = if end_of_stream { body } else { &[] };
            warn_if_failed(host::replace_body(size, part), "replace a body");
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.response_ends();
        Action::Continue
    }

    fn on_log(&mut self) {
        let record = self.record();
        let handed_over = self.hand_over(&record);
        self.shared.with_metrics(|metrics| record.count(metrics, handed_over.is_ok()));
        warn_if_failed(handed_over, "hand over a log line");
    }
}

fn parse_status(text: &[u8]) -> Option<u16> {
    core::str::from_utf8(text).ok()?.parse().ok()
}
