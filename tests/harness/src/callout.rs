//! Clusters: the scripted peers behind the proxy. One cluster may serve routes and callouts alike.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::client::length_flaw;
use crate::headers::Kind;
use crate::reply::Fate;
use crate::{Flaw, HeaderMap, Reply};

/// What Envoy answers in place of an upstream that refuses the connection.
const REFUSED: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
/// What Envoy answers in place of an upstream that closes before its headers.
const TERMINATED: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// What Envoy answers in place of an upstream that takes too long.
const TIMED_OUT: &str = "upstream request timeout";

/// What Envoy says of a gRPC stream that its peer resets.
const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote reset";
const BROKEN_DETAILS: &str = "upstream_reset_after_response_started{remote_reset}";
const TIMED_OUT_DETAILS: &str = "response_timeout";
const VIA_UPSTREAM: &str = "via_upstream";
const REFUSED_DETAILS: &str = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";

/// What an upstream received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// The chunks that the body came in.
    pub chunks: Vec<usize>,
    /// Trailers.
    pub trailers: Option<HeaderMap>,
    /// Worker that sent it.
    pub worker: usize,
    /// For callouts, the time they were given.
    pub timeout: Option<Duration>,
    /// What is wrong with its framing; the body is what an upstream reads of it over HTTP/1.
    pub flaw: Option<Flaw>,
}

impl Received {
    /// First value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }

    /// Reads the body as an upstream does that goes by `content-length`.
    pub(crate) fn read_by_length(&mut self) {
        self.flaw = length_flaw(&self.headers, self.body.len() as u64);
        if let Some(Flaw::Long { announced, .. }) = self.flaw {
            self.body.truncate(usize::try_from(announced).unwrap_or(usize::MAX));
        }
    }
}

type Handler = Box<dyn FnMut(&Received) -> Reply>;

enum Script {
    Always(Reply),
    Sequence(VecDeque<Reply>),
    Handler(Handler),
}

/// A scripted peer.
pub struct Upstream(Script);

impl Upstream {
    /// Starts a reply with this status; give it to the builder as it is.
    pub fn respond(status: u16) -> Reply {
        Reply::status(status)
    }

    /// Refuses every connection.
    pub fn refuse() -> Reply {
        Reply::refuse()
    }

    /// Never answers.
    pub fn never() -> Reply {
        Reply::never()
    }

    /// Answers in turn; the last answer is repeated.
    pub fn sequence(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(Script::Sequence(replies.into_iter().collect()))
    }

    /// Answers with what the function makes of the request.
    pub fn answer_with(handler: impl FnMut(&Received) -> Reply + 'static) -> Self {
        Self(Script::Handler(Box::new(handler)))
    }

    fn reply(&mut self, received: &Received) -> Reply {
        match &mut self.0 {
            Script::Always(reply) => reply.clone(),
            Script::Sequence(replies) if replies.len() > 1 => {
                replies.pop_front().unwrap_or_else(Reply::refuse)
            }
            Script::Sequence(replies) => replies.front().cloned().unwrap_or_else(Reply::refuse),
            Script::Handler(handler) => handler(received),
        }
    }
}

impl From<Reply> for Upstream {
    fn from(reply: Reply) -> Self {
        Self(Script::Always(reply))
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

/// The clusters by name, with what each has received.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    clusters: BTreeMap<String, Cluster>,
}

#[derive(Debug)]
struct Cluster {
    upstream: Upstream,
    received: Vec<Received>,
}

impl Clusters {
    pub fn insert(&mut self, name: &str, upstream: Upstream) {
        let received = self.clusters.remove(name).map(|old| old.received).unwrap_or_default();
        self.clusters.insert(name.to_owned(), Cluster { upstream, received });
    }

    pub fn contains(&self, name: &str) -> bool {
        self.clusters.contains_key(name)
    }

    /// Whether anybody takes connections there.
    pub fn listens(&self, name: &str) -> bool {
        let refuses = |script: &Script| matches!(script, Script::Always(reply) if reply.fate == Fate::Refuse);
        self.clusters.get(name).is_some_and(|cluster| !refuses(&cluster.upstream.0))
    }

    pub fn received(&self, name: &str) -> &[Received] {
        self.clusters.get(name).map(|cluster| cluster.received.as_slice()).unwrap_or_default()
    }

    /// Hands a request to a cluster. The caller has made sure that there is one.
    pub fn exchange(&mut self, name: &str, received: Received) -> Reply {
        let Some(cluster) = self.clusters.get_mut(name) else { return Reply::refuse() };
        let reply = cluster.upstream.reply(&received);
        if reply.fate != Fate::Refuse {
            cluster.received.push(received);
        }
        reply
    }
}

/// A complete answer to a callout.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// How a callout ends.
#[derive(Clone, Debug)]
pub(crate) enum CallResult {
    Answer(Response),
    Reset,
}

/// How a gRPC callout moves on.
#[derive(Clone, Debug)]
pub(crate) enum GrpcStep {
    Initial(HeaderMap),
    Message(Vec<u8>),
    Trailing(HeaderMap),
    Close { code: u32, message: String },
}

/// What Envoy itself answers, in place of an upstream that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub status: u16,
    pub body: &'static str,
    pub flag: u64,
    pub details: &'static str,
}

pub(crate) const STAND_REFUSED: Stand = Stand {
    status: 503,
    body: REFUSED,
    flag: 0x20,
    details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
};
pub(crate) const STAND_TERMINATED: Stand = Stand {
    status: 503,
    body: TERMINATED,
    flag: 0x40,
    details: "upstream_reset_before_response_started{connection_termination}",
};
pub(crate) const STAND_TIMED_OUT: Stand =
    Stand { status: 504, body: TIMED_OUT, flag: 0x4, details: TIMED_OUT_DETAILS };

/// When an HTTP callout ends, and how; `None` if it never does. A timeout of zero is none.
pub(crate) fn settle(reply: &Reply, timeout: Duration) -> Option<(Duration, CallResult)> {
    let late = !timeout.is_zero() && (reply.fate == Fate::Never || reply.delay >= timeout);
    if late {
        return Some((timeout, stand_in(STAND_TIMED_OUT)));
    }
    let result = match reply.fate {
        Fate::Never => return None,
        Fate::Answer => CallResult::Answer(response(reply)),
        Fate::Refuse => stand_in(STAND_REFUSED),
        Fate::ResetBeforeHeaders => stand_in(STAND_TERMINATED),
        Fate::ResetAfterBody => CallResult::Reset,
    };
    Some((reply.delay, result))
}

fn response(reply: &Reply) -> Response {
    let mut headers = reply.headers.clone();
    headers.set(b"x-envoy-upstream-service-time", reply.delay.as_millis().to_string().as_bytes());
    Response { headers, body: reply.body_bytes(), trailers: reply.trailers.clone() }
}

fn stand_in(stand: Stand) -> CallResult {
    let headers = HeaderMap::of(Kind::Response).with([
        (":status", stand.status.to_string()),
        ("content-length", stand.body.len().to_string()),
        ("content-type", "text/plain".to_owned()),
    ]);
    CallResult::Answer(Response { headers, body: stand.body.into(), trailers: None })
}

/// The steps of a gRPC callout, with the time at which they begin. A unary call shows its message or its failure, and
/// nothing else; a stream shows every step.
pub(crate) fn settle_grpc(
    reply: &Reply,
    timeout: Duration,
    stream: bool,
) -> Option<(Duration, Vec<GrpcStep>)> {
    if !timeout.is_zero() && (reply.fate == Fate::Never || reply.delay >= timeout) {
        return Some((timeout, vec![close(14, &with_details(TIMED_OUT, TIMED_OUT_DETAILS))]));
    }
    let steps = match reply.fate {
        Fate::Never => return None,
        Fate::Answer if stream => stream_steps(reply),
        Fate::Answer => unary_steps(reply),
        Fate::Refuse => failed(stream, REFUSED, REFUSED_DETAILS),
        Fate::ResetBeforeHeaders => {
            failed(stream, RESET, "upstream_reset_before_response_started{remote_reset}")
        }
        Fate::ResetAfterBody if stream => broken_steps(reply),
        Fate::ResetAfterBody => vec![close(13, BROKEN_DETAILS)],
    };
    Some((reply.delay, steps))
}

fn close(code: u32, message: &str) -> GrpcStep {
    GrpcStep::Close { code, message: message.to_owned() }
}

/// What `get_status` says when a callout closes: the peer's words, and Envoy's details of the stream.
fn with_details(message: &str, details: &str) -> String {
    if message.is_empty() { details.to_owned() } else { format!("{message}{{{details}}}") }
}

/// A stream that breaks before its headers is told as a response of trailers alone.
fn failed(stream: bool, text: &str, details: &str) -> Vec<GrpcStep> {
    let mut steps = Vec::new();
    if stream {
        let trailers = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", text),
        ];
        steps.push(GrpcStep::Initial(HeaderMap::of(Kind::Response)));
        steps.push(GrpcStep::Trailing(HeaderMap::of(Kind::Response).with(trailers)));
    }
    steps.push(close(14, &with_details(text, details)));
    steps
}

/// The `grpc-status` of a reply; Envoy reports a missing one as 2 (unknown).
fn grpc_status(reply: &Reply) -> (u32, String) {
    let find =
        |name: &str| reply.trailers.as_ref().and_then(|t| t.text(name)).or_else(|| reply.headers.text(name));
    let code = find("grpc-status").and_then(|code| code.parse().ok()).unwrap_or(2);
    (code, find("grpc-message").unwrap_or_default())
}

/// Of several messages a unary call gives the last.
fn unary_steps(reply: &Reply) -> Vec<GrpcStep> {
    match (grpc_status(reply), reply.chunks.last()) {
        ((0, _), Some(message)) => vec![GrpcStep::Message(message.clone())],
        ((0, _), None) => vec![close(13, "")],
        ((code, message), _) => vec![close(code, &with_details(&message, VIA_UPSTREAM))],
    }
}

/// An answer that breaks off behind its messages ends without trailers.
fn broken_steps(reply: &Reply) -> Vec<GrpcStep> {
    let mut headers = reply.headers.clone();
    headers.set(b"x-envoy-upstream-service-time", reply.delay.as_millis().to_string().as_bytes());
    let mut steps = vec![GrpcStep::Initial(headers)];
    steps.extend(reply.chunks.iter().cloned().map(GrpcStep::Message));
    steps.push(GrpcStep::Trailing(HeaderMap::of(Kind::Response)));
    steps.push(close(13, BROKEN_DETAILS));
    steps
}

/// An answer without messages has trailers only: they hold its headers too.
fn stream_steps(reply: &Reply) -> Vec<GrpcStep> {
    let (code, message) = grpc_status(reply);
    let took = reply.delay.as_millis().to_string();
    let mut headers = reply.headers.clone();
    let mut steps = Vec::new();
    if reply.chunks.is_empty() {
        reply.trailers.iter().flat_map(|t| t.iter()).for_each(|(name, value)| headers.add(name, value));
        headers.set(b"x-envoy-upstream-service-time", took.as_bytes());
        steps.extend([GrpcStep::Initial(HeaderMap::of(Kind::Response)), GrpcStep::Trailing(headers)]);
    } else {
        headers.set(b"x-envoy-upstream-service-time", took.as_bytes());
        steps.push(GrpcStep::Initial(headers));
        steps.extend(reply.chunks.iter().cloned().map(GrpcStep::Message));
        steps.extend(reply.trailers.clone().map(GrpcStep::Trailing));
    }
    steps.push(close(code, &with_details(&message, VIA_UPSTREAM)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_callout_is_a_503_with_three_headers_and_98_bytes() {
        let Some((_, CallResult::Answer(answer))) = settle(&Reply::refuse(), Duration::from_secs(1)) else {
            panic!("refusal must be an answer")
        };
        assert_eq!((answer.headers.text(":status").unwrap().as_str(), answer.headers.len()), ("503", 3));
        assert_eq!(answer.body.len(), 98);
    }

    #[test]
    fn an_answer_that_comes_too_late_is_a_504_at_the_timeout() {
        let late = Reply::status(200).delay(Duration::from_secs(2));
        let Some((at, CallResult::Answer(answer))) = settle(&late, Duration::from_secs(1)) else {
            panic!("a timeout must be an answer")
        };
        assert_eq!((at, answer.headers.text(":status").unwrap().as_str()), (Duration::from_secs(1), "504"));
    }

    #[test]
    fn a_sequence_repeats_its_last_answer() {
        let mut upstream = Upstream::sequence([Reply::status(500), Reply::status(200)]);
        let mut next = || upstream.reply(&Received::default()).headers.text(":status").unwrap();
        assert_eq!([next(), next(), next()], ["500", "200", "200"]);
    }
}
