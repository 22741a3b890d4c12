//! Runs one request through the pipeline.

use super::report::{Answer, Report};
use super::{routes, stats};
use portcullis_edge_core::{Answered, Call, Headers, Host, MemoryHost, Mono, Now, RequestHead, Wall};
use portcullis_jwt::{Explanation, Keys, Tokens};
use portcullis_pipeline::{Bearer, Event, Facts, HeaderOps, Pipeline, Step, Stream, Target, Worker};
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
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// When the request comes.
    pub at: Wall,
    /// Taken for the answer of an auth service that is asked: the body of a 200.
    pub auth_answer: Vec<u8>,
    /// Taken for the status with which the service answers.
    pub service_status: u16,
    /// How often the same request has come just before.
    pub before: u32,
    /// Whether to tell what each limit has left.
    pub state: bool,
}

/// Explains a request under a policy; `keys` are taken for those that the proxy fetches.
#[must_use]
pub fn explain(policy: Policy, keys: Keys, question: &Question) -> Report {
    let pipeline = Pipeline::new(policy);
    let at = question.at;
    let metrics = pipeline.metrics().ok();
    let mut worker = pipeline.worker(0);
    worker.tokens = worker.tokens.map(|tokens| Tokens::with_keys(tokens.into_section(), keys));
    let host = MemoryHost::at(Now { wall: at, mono: Mono(at.0) });
    let head = head(&question.method, &question.path, &question.headers, question.peer, &pipeline);
    for _ in 0..question.before {
        run_once(&pipeline, head.clone(), question, (&host, &mut worker));
    }
    let sent = head.headers.clone();
    let (mut facts, mut step) = pipeline.on_request_traced(head, &host, &mut worker);
    let mut notes = Vec::new();
    step = answer_calls(&pipeline, &mut facts, step, &question.auth_answer, (&host, &mut worker), &mut notes);
    let mut report = Report::new(&pipeline, &facts, notes);
    report.nearest = routes::nearest(&pipeline, &facts);
    report.token = token(&pipeline, &facts, &worker, &host);
    report.rules = rules(&pipeline, &facts);
    report.answer = answer(&pipeline, &mut facts, &step, (question.service_status, &host));
    if let Step::Forward(ops) = &step {
        let ops = without_signature(&pipeline, ops);
        report.service_sees = apply(&sent, &ops, question.peer);
        report.changes = Some(ops);
    }
    let record = pipeline.on_done(&mut facts, &host, &mut worker, &mut Imagined(question.service_status));
    report.metrics = metrics.map(|mut metrics| stats::moved(&record, &mut metrics)).unwrap_or_default();
    report.lines = String::from_utf8_lossy(&record.lines).lines().map(str::to_owned).collect();
    if question.state {
        let left = pipeline.limits_left(&facts, &host, &mut worker).into_iter();
        report.limits = Some(left.map(|(name, mode, left)| (name.to_owned(), mode, left)).collect());
    }
    report
}

/// A request of which only what it leaves behind matters.
fn run_once(
    pipeline: &Pipeline,
    head: RequestHead,
    question: &Question,
    (host, worker): (&MemoryHost, &mut Worker),
) {
    let (mut facts, step) = pipeline.on_request(head, host, worker);
    let step =
        answer_calls(pipeline, &mut facts, step, &question.auth_answer, (host, worker), &mut Vec::new());
    answer(pipeline, &mut facts, &step, (question.service_status, host));
    pipeline.on_done(&mut facts, host, worker, &mut Imagined(question.service_status));
}

fn head(
    method: &str,
    path: &str,
    headers: &[(String, Vec<u8>)],
    peer: IpAddr,
    pipeline: &Pipeline,
) -> RequestHead {
    let peer = peer.to_string();
    let pseudo = [(":method", method.as_bytes()), (":path", path.as_bytes())];
    let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = host.map_or(&b"gateway.example"[..], |(_, value)| value.as_slice());
    let given = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host"));
    let given = given.map(|(name, value)| (name.as_str(), value.as_slice()));
    let all = pseudo.into_iter().chain([(":authority", authority), (":scheme", b"http")]).chain(given);
    // A proxy that appends the peer to `X-Forwarded-For` is imagined to have done so.
    let appended = (!pipeline.needs_peer()).then_some(("x-forwarded-for", peer.as_bytes()));
    let headers = Headers::from_pairs(all.chain(appended));
    RequestHead { headers, peer: if pipeline.needs_peer() { peer.into_bytes() } else { Vec::new() } }
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
    (service_status, host): (u16, &MemoryHost),
) -> Answer {
    let (status, mut headers, body) = match step {
        Step::Reply(reply) => (reply.status, reply.headers.clone(), Some(reply.body.clone())),
        Step::ServeMetrics => (200, Vec::new(), None),
        _ => (service_status, Vec::new(), None),
    };
    if matches!(facts.target, Target::Page(_)) && matches!(step, Step::ServeMetrics) {
        pipeline.metrics_reply(facts, portcullis_metrics::Format::Text, String::new());
    }
    let response = pipeline.on_response(facts, status, body.is_some(), host, &mut Imagined(status));
    pipeline.on_response_end(facts);
    headers.extend(response.ops.set);
    headers.extend(response.ops.add);
    Answer { status, headers, body: body.map(|body| String::from_utf8_lossy(&body).into_owned()) }
}

/// A signature that backends would believe is shown to nobody.
fn without_signature(pipeline: &Pipeline, ops: &HeaderOps) -> HeaderOps {
    let mut ops = ops.clone();
    let header = pipeline.policy().source.sign.as_ref().map(|signer| signer.header().as_str());
    let signatures = ops.set.iter_mut().filter(|(name, _)| Some(name.as_str()) == header);
    signatures.for_each(|(_, value)| *value = format!("[{} bytes, not shown]", value.len()).into_bytes());
    ops
}

/// The request as the service gets it: names and values, without what was removed. Credentials and the client's address are not shown.
fn apply(sent: &Headers, ops: &HeaderOps, peer: IpAddr) -> Vec<(String, String)> {
    let is_replaced = |name: &[u8]| ops.set.iter().any(|(set, _)| set.as_bytes() == name);
    let kept =
        sent.iter().filter(|(name, _)| !ops.remove.iter().any(|gone| gone == name) && !is_replaced(name));
    let set = ops.set.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    kept.chain(set).map(|(name, value)| shown(name, value, peer)).collect()
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

/// The service's answer: this status, from upstream, without delay.
struct Imagined(u16);

impl Stream for Imagined {
    fn response_headers(&mut self) -> Headers {
        Headers::from_pairs([(":status", self.0.to_string().as_bytes())])
    }

    fn code_details(&mut self) -> Vec<u8> {
        b"via_upstream".to_vec()
    }

    fn response_flags(&mut self) -> u64 {
        0
    }

    fn response_code(&mut self) -> Option<u16> {
        Some(self.0)
    }

    fn client_tls(&mut self) -> bool {
        false
    }

    fn duration_nanos(&mut self) -> u64 {
        0
    }
}
