//! Runs one request through the pipeline.

use super::imagined::Imagined;
use super::report::{Answer, Report};
use super::{routes, stats};
use core::time::Duration;
use portcullis_edge_core::{
    Answered, Call, Headers, Host, MemoryHost, Mono, Now, RequestHead, StreamFact, Wall,
};
use portcullis_jwt::{Explanation, Keys, Tokens};
use portcullis_pipeline::{
    Bearer, Event, Facts, GatewayMetrics, HeaderOps, LOGIN_ROOM, LocalReply, Pipeline, Side, Step, Target,
    Worker,
};
use portcullis_policy::Policy;
use std::net::IpAddr;

/// A request, and the world in which it is imagined.
pub struct Question {
    /// The method.
    pub method: String,
    /// The path, query included.
    pub path: String,
    /// Headers besides `:method`, `:path` and `:authority`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// What the proxy appends to `X-Forwarded-For`, where that is not `peer`: Envoy writes an address of the machine's own for 127.0.0.1.
    pub appended: Option<IpAddr>,
    /// When the request comes.
    pub at: Wall,
    /// Taken for the answer of an auth service that is asked: the body of a 200.
    pub auth_answer: Vec<u8>,
    /// Taken for the status with which the service answers.
    pub service_status: u16,
    /// Taken for the headers of its answer.
    pub service_headers: Vec<(String, Vec<u8>)>,
    /// How often the same request has come just before.
    pub before: u32,
    /// Whether to tell what each limit has left.
    pub state: bool,
}

/// Explains a request under a policy; `keys` are taken for those that the proxy fetches.
#[must_use]
pub fn explain(policy: Policy, keys: Keys, question: &Question) -> Report {
    let mut session = Session::new(policy, keys, question.at);
    for _ in 0..question.before {
        session.pass(head(question, &session.pipeline), question);
    }
    session.explain(question)
}

/// The same of an instance of the filter behind another one in the same proxy, of which it takes findings.
///
/// # Errors
/// What the other one explains, where it answers the request itself.
pub fn explain_behind(
    (before, before_keys): (Policy, Keys),
    (policy, keys): (Policy, Keys),
    question: &Question,
) -> Result<Report, Box<Report>> {
    let mut first = Session::new(before, before_keys, question.at);
    let mut session = Session::new(policy, keys, question.at);
    let head = head(question, &first.pipeline);
    for _ in 0..question.before {
        if let Step::Forward(ops) = first.pass(head.clone(), question) {
            session.pass(sent_on(&head, &ops, &session.host), question);
        }
    }
    match first.explain_head(head.clone(), question) {
        (_, Step::Forward(ops)) => Ok(session.explain_head(sent_on(&head, &ops, &session.host), question).0),
        (report, _) => Err(Box::new(report)),
    }
}

/// A request as the next instance in the proxy gets it, which finds the filter state at its host.
fn sent_on(head: &RequestHead, ops: &HeaderOps, next: &MemoryHost) -> RequestHead {
    ops.state.iter().for_each(|(name, value)| next.set_filter_state(name, value));
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let all: Vec<_> = changed(&head.headers, ops).map(|(name, value)| (text(name), value)).collect();
    let headers = Headers::from_pairs(all.iter().map(|(name, value)| (name.as_str(), *value)));
    RequestHead { headers, peer: head.peer.clone() }
}

/// A gateway to which requests come one after another: what one leaves behind (in limits, breakers, blocked logins), the next finds.
pub struct Session {
    pipeline: Pipeline,
    metrics: Option<GatewayMetrics>,
    worker: Worker,
    host: MemoryHost,
}

impl Session {
    /// One that begins at `at`; `keys` are taken for those that the proxy fetches.
    #[must_use]
    pub fn new(policy: Policy, keys: Keys, at: Wall) -> Self {
        let pipeline = Pipeline::new(policy);
        let metrics = pipeline.metrics().ok();
        let mut worker = pipeline.worker(0);
        worker.tokens = worker.tokens.map(|tokens| Tokens::with_keys(tokens.into_section(), keys));
        let host = MemoryHost::at(Now { wall: at, mono: Mono(at.0) });
        host.set_stream(StreamFact::Began, &at.0.to_le_bytes());
        Self { pipeline, metrics, worker, host }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.host.advance(by);
    }

    /// A request of which only what it leaves behind matters.
    fn pass(&mut self, head: RequestHead, question: &Question) -> Step {
        let (pipeline, host, worker) = (&self.pipeline, &self.host, &mut self.worker);
        host.set_stream(StreamFact::Peer, question.peer.to_string().as_bytes());
        let (mut facts, step) = pipeline.on_request(head, host, worker);
        let asked = &question.auth_answer;
        let step = answer_calls(pipeline, &mut facts, step, asked, (host, worker), &mut Vec::new());
        let step = send_body(pipeline, &mut facts, step, &question.body, (host, worker));
        answer(pipeline, &mut facts, &step, (question, host));
        pipeline.on_done(&mut facts, host, worker, &mut Imagined::of(question, pipeline));
        step
    }

    /// The next request, explained.
    pub fn explain(&mut self, question: &Question) -> Report {
        self.explain_head(head(question, &self.pipeline), question).0
    }

    fn explain_head(&mut self, head: RequestHead, question: &Question) -> (Report, Step) {
        let Self { pipeline, metrics, worker, host } = self;
        host.set_stream(StreamFact::Peer, question.peer.to_string().as_bytes());
        let sent = head.headers.clone();
        let (mut facts, mut step) = pipeline.on_request_traced(head, host, worker);
        let mut notes = Vec::new();
        step = answer_calls(pipeline, &mut facts, step, &question.auth_answer, (host, worker), &mut notes);
        step = send_body(pipeline, &mut facts, step, &question.body, (host, worker));
        let mut report = Report::new(pipeline, &facts, notes);
        report.nearest = routes::nearest(pipeline, &facts);
        report.token = token(pipeline, &facts, worker, host);
        report.rules = rules(pipeline, &facts);
        report.answer = answer(pipeline, &mut facts, &step, (question, host));
        if let Step::Forward(ops) = &step {
            let ops = without_signature(pipeline, ops);
            report.service_sees = apply(&sent, &ops, question.peer);
            report.changes = Some(ops);
        }
        let record = pipeline.on_done(&mut facts, host, worker, &mut Imagined::of(question, pipeline));
        report.metrics = metrics.as_mut().map(|metrics| stats::moved(&record, metrics)).unwrap_or_default();
        report.lines = String::from_utf8_lossy(&record.lines).lines().map(str::to_owned).collect();
        if question.state {
            let left = pipeline.limits_left(&facts, host, worker).into_iter();
            report.limits = Some(left.map(|(name, mode, left)| (name.to_owned(), mode, left)).collect());
        }
        (report, step)
    }
}

/// The request as a proxy hands it to the filter.
fn head(question: &Question, pipeline: &Pipeline) -> RequestHead {
    let (headers, peer) = (&question.headers, question.peer.to_string());
    let appended = question.appended.unwrap_or(question.peer).to_string();
    let pseudo = [(":method", question.method.as_bytes()), (":path", question.path.as_bytes())];
    let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = host.map_or(&b"gateway.example"[..], |(_, value)| value.as_slice());
    let joined = joined(headers);
    let given = joined.iter().map(|(name, value)| (*name, value.as_slice()));
    let all = pseudo.into_iter().chain([(":authority", authority), (":scheme", b"http")]).chain(given);
    // A proxy that appends the peer to `X-Forwarded-For` is imagined to have done so.
    let appended = (!pipeline.needs_peer()).then_some(("x-forwarded-for", appended.as_bytes()));
    let headers = Headers::from_pairs(all.chain(appended));
    RequestHead { headers, peer: if pipeline.needs_peer() { peer.into_bytes() } else { Vec::new() } }
}

/// All headers but the host, as Envoy hands them on: of a name that it keeps once, further values stand behind a comma.
fn joined(headers: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    const KEPT_ONCE: &str = "authorization";
    let mut joined: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let first = joined.iter_mut().find(|(known, _)| name == KEPT_ONCE && *known == KEPT_ONCE);
        match first {
            Some((_, first)) => first.extend([b",", value.as_slice()].concat()),
            None => joined.push((name, value.clone())),
        }
    }
    joined
}

/// Answers the calls that the pipeline wants, each with what the caller imagines.
fn answer_calls(
    pipeline: &Pipeline,
    facts: &mut Facts,
    mut step: Step,
    answer: &[u8],
    (host, worker): (&dyn Host, &mut Worker),
    notes: &mut Vec<String>,
) -> Step {
    // A stage that asks again and again is asked no more than this.
    for _ in 0..8 {
        let event = match &step {
            Step::Wait => Event::NoRoom,
            Step::Call(Call::Http(call)) => {
                notes.push(format!(
                    "the cluster {} is asked; its answer is taken to be the given one",
                    call.cluster
                ));
                Event::Answer(Ok(Answered::Http(200, answer)))
            }
            Step::Call(Call::Grpc(call)) => {
                notes.push(format!("the cluster {} is asked, and taken to have no objection", call.cluster));
                Event::Answer(Ok(Answered::Grpc(0, &[])))
            }
            _ => return step,
        };
        step = pipeline.resume(facts, event, host, worker);
    }
    step
}

/// The request's body, which comes when its headers have passed, and what follows from it.
fn send_body(
    pipeline: &Pipeline,
    facts: &mut Facts,
    step: Step,
    body: &[u8],
    (host, worker): (&dyn Host, &mut Worker),
) -> Step {
    if body.is_empty() || !matches!(step, Step::Forward(_)) {
        return step;
    }
    let read = body.get(..pipeline.body_room(facts, Side::Request)).unwrap_or(body);
    pipeline.on_body(facts, Side::Request, read, body.len());
    let room = body.get(..LOGIN_ROOM).unwrap_or(body);
    pipeline.on_login_body(facts, (room, body.len()), host, worker).map_or(step, Step::Reply)
}

fn token(pipeline: &Pipeline, facts: &Facts, worker: &Worker, host: &dyn Host) -> Option<Explanation> {
    let route = pipeline.policy().routes.get(facts.route()?)?;
    let (auth, tokens) = (route.auth.as_ref()?, worker.tokens.as_ref()?);
    let found = tokens.find(auth, &facts.head).ok()??;
    Some(tokens.jwt().explain(auth, &found.token, tokens.keys(), host.now().wall, host))
}

fn rules(pipeline: &Pipeline, facts: &Facts) -> Vec<portcullis_authz::Judged> {
    let route = facts.route().and_then(|route| pipeline.policy().routes.get(route));
    let rules = route.and_then(|route| route.rules.as_ref()).filter(|_| facts.rules.verdict().is_some());
    let subject = facts.token.identity().map(Bearer);
    rules.map(|rules| rules.explain(subject.as_ref(), facts.client.address())).unwrap_or_default()
}

/// The answer that the client gets, with the headers that the gateway gives it.
fn answer(
    pipeline: &Pipeline,
    facts: &mut Facts,
    step: &Step,
    (question, host): (&Question, &MemoryHost),
) -> Answer {
    let (status, mut headers, body) = match step {
        Step::Reply(reply) => (reply.status, reply.headers.clone(), Some(reply.body.clone())),
        Step::ServeMetrics => (200, Vec::new(), None),
        _ => (question.service_status, Vec::new(), None),
    };
    if matches!(facts.target, Target::Page(_)) && matches!(step, Step::ServeMetrics) {
        pipeline.metrics_reply(facts, portcullis_metrics::Format::Text, String::new());
    }
    // What the gateway answers itself has its own headers.
    let theirs = if body.is_some() { &headers } else { &question.service_headers };
    let mut stream = Imagined::answer(status, theirs, pipeline);
    let response = pipeline.on_response(facts, status, body.is_some(), host, &mut stream);
    pipeline.on_response_end(facts);
    headers.retain(|(name, _)| !response.ops.set.iter().any(|(set, _)| set == name));
    headers.extend(last_of_each(response.ops.set));
    headers.extend(response.ops.add);
    let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    match step {
        Step::Reply(LocalReply { grpc_status: Some(code), .. }) => in_grpc(headers, *code, body),
        _ => Answer { status, headers, body },
    }
}

/// A name that is set twice has the value that was set last.
fn last_of_each(set: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut last: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in set {
        last.retain(|(known, _)| *known != name);
        last.push((name, value));
    }
    last
}

/// What the proxy makes of a denial for a client that speaks gRPC: an answer without a body (`Trailers-Only`).
fn in_grpc(mut headers: Vec<(String, Vec<u8>)>, code: i32, message: Option<String>) -> Answer {
    headers.retain(|(name, _)| name != "content-type");
    headers.push(("content-type".to_owned(), b"application/grpc".to_vec()));
    headers.push(("grpc-status".to_owned(), code.to_string().into_bytes()));
    headers.extend(message.map(|message| ("grpc-message".to_owned(), message.into_bytes())));
    Answer { status: 200, headers, body: None }
}

fn not_shown(value: &[u8]) -> Vec<u8> {
    format!("[{} bytes, not shown]", value.len()).into_bytes()
}

/// A signature that backends would believe is shown to nobody, nor is what another instance of the filter would believe.
fn without_signature(pipeline: &Pipeline, ops: &HeaderOps) -> HeaderOps {
    let mut ops = ops.clone();
    let header = pipeline.policy().source.sign.as_ref().map(|signer| signer.header().as_str());
    let signatures = ops.set.iter_mut().filter(|(name, _)| Some(name.as_str()) == header);
    signatures.for_each(|(_, value)| *value = not_shown(value));
    let findings = pipeline.policy().findings.publisher.as_ref().map(|publisher| publisher.state());
    let sealed = ops.state.iter_mut().filter(|(name, _)| Some(&**name) == findings);
    sealed.for_each(|(_, value)| *value = not_shown(value));
    ops
}

/// The request as the service gets it: names and values, without what was removed. Credentials and the client's address are not shown.
fn apply(sent: &Headers, ops: &HeaderOps, peer: IpAddr) -> Vec<(String, String)> {
    changed(sent, ops).map(|(name, value)| shown(name, value, peer)).collect()
}

/// Headers as they are sent on.
fn changed<'a>(sent: &'a Headers, ops: &'a HeaderOps) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let is_replaced = move |name: &[u8]| ops.set.iter().any(|(set, _)| set.as_bytes() == name);
    let kept = sent
        .iter()
        .filter(move |(name, _)| !ops.remove.iter().any(|gone| gone == name) && !is_replaced(name));
    let set = ops.set.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    kept.chain(set)
}

/// Headers whose values are credentials.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

fn shown(name: &[u8], value: &[u8], peer: IpAddr) -> (String, String) {
    let name = String::from_utf8_lossy(name).into_owned();
    if CREDENTIALS.contains(&name.as_str()) {
        let length = value.len();
        return (name, format!("[{length} bytes, not shown]"));
    }
    if let (":path", Some(query)) = (name.as_str(), value.iter().position(|byte| *byte == b'?')) {
        let path = String::from_utf8_lossy(value.get(..query).unwrap_or_default()).into_owned();
        return (name, format!("{path}?[query not shown]"));
    }
    let value = String::from_utf8_lossy(value).replace(&peer.to_string(), "[the client's address]");
    (name, value)
}
