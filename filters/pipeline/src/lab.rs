//! A gateway for tests: a pipeline, one worker of it, and a host in memory.

use crate::tests::{at, head};
use crate::{Facts, HeaderOps, LocalReply, Pipeline, Record, ResponseStep, Step, Stream, Worker};
use portcullis_edge_core::{Headers, MemoryHost};
use portcullis_metrics::{Change, Format, exposition};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Bits of Envoy's response flags (`CoreResponseFlag`).
pub(crate) const TIMED_OUT: u64 = 1 << 2;
pub(crate) const SERVICE_CUT: u64 = 1 << 6;
pub(crate) const TOO_MANY_CALLS: u64 = 1 << 7;
pub(crate) const CLIENT_LEFT: u64 = 1 << 14;
pub(crate) const IDLE: u64 = 1 << 16;

/// What the proxy says of a stream.
#[derive(Clone, Default)]
pub(crate) struct StreamInfo {
    pub headers: Vec<(&'static str, &'static [u8])>,
    pub details: &'static str,
    pub flags: u64,
    pub code: Option<u16>,
    pub upstream: Option<u64>,
    /// Of the request as it went on from the proxy, whatever the name.
    pub sent: Option<&'static [u8]>,
}

impl StreamInfo {
    /// Of a service's own answer.
    pub fn by_service() -> Self {
        Self { details: "via_upstream", ..Self::default() }
    }

    /// Of one that the proxy gave in the service's place.
    pub fn by_proxy() -> Self {
        Self { details: "upstream_reset_before_response_started", ..Self::default() }
    }
}

impl Stream for StreamInfo {
    fn response_headers(&mut self) -> Headers {
        Headers::from_pairs(self.headers.iter().copied())
    }

    fn code_details(&mut self) -> Vec<u8> {
        self.details.into()
    }

    fn response_flags(&mut self) -> u64 {
        self.flags
    }

    fn response_code(&mut self) -> Option<u16> {
        self.code
    }

    fn client_tls(&mut self) -> bool {
        false
    }

    fn upstream_nanos(&mut self) -> Option<u64> {
        self.upstream
    }

    fn sent_header(&mut self, _name: &str) -> Option<Vec<u8>> {
        self.sent.map(<[u8]>::to_vec)
    }

    fn duration_nanos(&mut self) -> u64 {
        0
    }
}

pub(crate) struct Gateway {
    pub pipeline: Pipeline,
    pub worker: Worker,
    pub host: MemoryHost,
}

impl Gateway {
    /// One with these sections; `/orders` goes to `order`, `/login` to `user`.
    pub fn new(more: Value) -> Self {
        let mut policy = json!({
            "version": 1,
            "services": { "order": { "address": "127.0.0.1:1" }, "user": { "address": "127.0.0.1:2" } },
            "routes": [
                { "path": "/orders", "methods": ["GET", "POST"], "service": "order" },
                { "path": "/login", "methods": ["POST"], "service": "user" }],
        });
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pipeline = Pipeline::compile(policy.to_string().as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        let worker = pipeline.worker(1);
        Self { pipeline, worker, host: MemoryHost::at(at(1)) }
    }

    pub fn ask(&mut self, method: &str, path: &str, more: &[(&str, &[u8])]) -> (Facts, Step) {
        self.pipeline.on_request(head(method, path, more), &self.host, &mut self.worker)
    }

    pub fn get(&mut self) -> (Facts, Step) {
        self.ask("GET", "/orders", &[])
    }

    /// The headers of an answer, which has a body.
    pub fn answer(&mut self, facts: &mut Facts, status: u16, info: &mut StreamInfo) -> ResponseStep {
        self.pipeline.on_response(facts, status, true, &self.host, info)
    }

    pub fn done(&mut self, facts: &mut Facts, info: &mut StreamInfo) -> Record {
        self.pipeline.on_done(facts, &self.host, &mut self.worker, info)
    }

    /// A request for orders that is answered like this, to the end or not.
    pub fn call(&mut self, status: u16, is_whole: bool, mut info: StreamInfo) -> Record {
        let (mut facts, step) = self.get();
        forwarded(step);
        self.answer(&mut facts, status, &mut info);
        if is_whole {
            self.pipeline.on_response_end(&mut facts);
        }
        self.done(&mut facts, &mut info)
    }
}

pub(crate) fn forwarded(step: Step) -> HeaderOps {
    match step {
        Step::Forward(ops) => ops,
        other => panic!("not forwarded: {other:?}"),
    }
}

pub(crate) fn refused(step: Step) -> LocalReply {
    match step {
        Step::Reply(reply) => reply,
        other => panic!("not refused: {other:?}"),
    }
}

/// The value that a header is set to.
pub(crate) fn set<'s>(headers: &'s [(String, Vec<u8>)], name: &str) -> Option<&'s str> {
    let (_, value) = headers.iter().find(|(own, _)| own == name)?;
    core::str::from_utf8(value).ok()
}

pub(crate) fn lines(record: &Record) -> Vec<Value> {
    record.lines.split(|b| *b == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The series that a record moves.
pub(crate) fn moved(pipeline: &Pipeline, record: &Record, name: &str) -> Vec<String> {
    let mut metrics = pipeline.metrics().ok().unwrap();
    record.count(&mut metrics, true);
    let mut moved = BTreeMap::new();
    metrics.flush(|stat, change| {
        moved.insert(stat.0, change);
    });
    let text = exposition(metrics.registry(), Format::Text, |stat| match moved.get(&stat.0) {
        Some(Change::Add(by)) => by.unsigned_abs(),
        _ => 0,
    });
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
    lines.map(str::to_owned).collect()
}
