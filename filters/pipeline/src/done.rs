//! The end of a request: one record, from which metrics and the log line are made.

use crate::ending::{Fault, fault_of, timed_out};
use crate::facts::{Answerer, Facts, Target};
use crate::findings::FindingsSlot;
use crate::give_back::CallOutcome;
use crate::guard_metrics::GuardObservation;
use crate::health::LineCounts;
use crate::lines::{End, LineState, Lines};
use crate::metrics::GatewayMetrics;
use crate::observation::{AuthObservation, Observation, ProxyError, RoutingError};
use crate::request_id::RequestId;
use crate::response::denied_elsewhere;
use crate::{Pipeline, Stream, Worker};
use core::time::Duration;
use portcullis_access_log::TraceContext;
use portcullis_breaker::BREAKER_OPEN;
use portcullis_business::Happened;
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{Host, Now, Reason, RequestHead, Wall};
use portcullis_findings::FindingsResult;
use portcullis_metrics::{Endpoint, Exemplar, Served, Service};

/// Status of a request whose client left before it was answered (a convention of nginx's).
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub(crate) const SWITCHING_PROTOCOLS: u16 = 101;

/// Envoy's details for a path it refuses, whose escaped slashes it has unescaped by then: that the rest looks like a route's
/// means nothing.
const PATH_REFUSED: &[u8] = b"path_normalization_failed";

/// How a request ended.
struct Ending {
    status: u16,
    /// Whose doing it was that there is no whole answer of the service; nothing where there is one, or nobody says.
    fault: Option<Fault>,
    /// Whether a time-out ended it.
    timed_out: bool,
    /// The same, and of an upgrade, which either side may end, who did.
    ended_by: Option<Fault>,
    failed: Option<ProxyError>,
}

/// What is left of a request.
#[derive(Debug)]
pub struct Record {
    /// What to count; `None` for what is only counted as left out.
    pub observation: Option<Observation>,
    /// Whether it had the trust headers as it went on; `None` where none were due.
    pub injected: Option<bool>,
    /// What to count of the request's token; `None` where there was nothing to look at.
    pub auth: Option<AuthObservation>,
    /// What came of the findings of an earlier instance; `None` where none are taken.
    pub findings: Option<FindingsResult>,
    /// What to count of the guards; nothing for most requests.
    pub guards: Option<Box<GuardObservation>>,
    /// Business events that it was.
    pub events: Vec<Happened>,
    /// Its log lines: one for each security event, then its own; line breaks between.
    pub lines: Vec<u8>,
    /// How many these are.
    pub line_counts: LineCounts,
    /// What is left as filter state beside them; nothing for most requests.
    pub state: Vec<(&'static str, Vec<u8>)>,
}

impl Record {
    /// Counts it. `taken` is whether the proxy took its lines.
    pub fn count(&self, metrics: &mut GatewayMetrics, taken: bool) {
        metrics.lines(self.line_counts, taken);
        match &self.observation {
            Some(seen) => metrics.observe(seen),
            None => metrics.left_out(),
        }
        self.injected.iter().for_each(|injected| metrics.trust_headers(*injected));
        self.auth.iter().for_each(|seen| metrics.observe_auth(seen));
        self.events.iter().for_each(|event| metrics.happened(event));
        self.findings.iter().for_each(|result| metrics.findings(*result));
        self.guards.iter().for_each(|seen| metrics.observe_guards(seen));
    }
}

impl Pipeline {
    /// Makes the record of a request that has ended.
    pub fn on_done(
        &self,
        facts: &mut Facts,
        host: &dyn Host,
        worker: &mut Worker,
        stream: &mut dyn Stream,
    ) -> Record {
        let took = host.mono().since(facts.started.mono);
        let ending = Self::ending(facts, stream);
        self.give_back(facts, ending.status, Self::call_outcome(facts, &ending), host, worker);
        self.record(facts, took, ending, stream, &mut worker.lines)
    }

    /// The same for a request that was answered before it reached this filter. `head.peer` is the peer's address, which the
    /// proxy may or may not have appended to `X-Forwarded-For` by then.
    pub fn on_unseen(&self, head: RequestHead, host: &dyn Host, stream: &mut dyn Stream) -> Record {
        let now = host.now();
        let took = Duration::from_nanos(stream.duration_nanos());
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let started = Now { wall: Wall(now.wall.0.saturating_sub(nanos)), mono: now.mono };
        let mut facts = self.facts(without_appended_peer(head), started, host);
        // Answered so early, it never was to bring any.
        facts.findings = FindingsSlot::default();
        // Refused so early, a request may still have the id that its client chose; the proxy has given its answer another.
        facts.request_id = RequestId::of_answer(&stream.response_headers(), || host.random_16());
        // Whoever answered, it was neither we nor a service: the proxy, or another instance of the filter before this one.
        let details = stream.code_details();
        facts.denied_elsewhere = denied_elsewhere(&details);
        facts.answerer = if facts.denied_elsewhere.is_some() { Answerer::Gateway } else { Answerer::Proxy };
        let is_path_refused = details == PATH_REFUSED;
        if is_path_refused {
            facts.target = Target::Unmatched;
        }
        let ending = Self::ending(&facts, stream);
        let mut record = self.record(&facts, took, ending, stream, &mut LineState::default());
        if let Some(seen) = record.observation.as_mut().filter(|_| is_path_refused) {
            seen.routing_error = Some(RoutingError::InvalidPath);
        }
        record
    }

    fn ending(facts: &Facts, stream: &mut dyn Stream) -> Ending {
        let status = facts.status.or_else(|| stream.response_code()).unwrap_or(CLIENT_CLOSED_REQUEST);
        let is_refused = facts.answerer == Answerer::Proxy && status >= 500;
        let is_upgrade = facts.status == Some(SWITCHING_PROTOCOLS);
        let is_known = is_whole(facts) && !is_refused;
        let flags = if is_known && !is_upgrade { 0 } else { stream.response_flags() };
        let ended_by = fault_of(flags);
        let fault = ended_by.filter(|_| !is_known);
        let failed = proxy_error(facts, status, fault);
        Ending { status, fault, timed_out: timed_out(flags) && !is_known, ended_by, failed }
    }

    /// What a request's call says of its service. A call that came to no end by the client's doing, or by ours, says nothing; nor does
    /// one whose end nobody explains; nor a good answer that a time-out cut: a client that reads nothing could open the breaker for all.
    fn call_outcome(facts: &Facts, ending: &Ending) -> CallOutcome {
        let is_services_fault = ending.fault == Some(Fault::Service) || (500..600).contains(&ending.status);
        match facts.answerer {
            Answerer::Service if ending.status < 500 && ending.timed_out => CallOutcome::Abandoned,
            Answerer::Service if is_services_fault => CallOutcome::Failed,
            Answerer::Service if is_whole(facts) => CallOutcome::Answered,
            // Below 500 it is the client that is refused: for a request without an end, say.
            Answerer::Proxy if ending.status >= 500 && ending.fault == Some(Fault::Service) => {
                CallOutcome::Failed
            }
            _ => CallOutcome::Abandoned,
        }
    }

    fn record(
        &self,
        facts: &Facts,
        took: Duration,
        ending: Ending,
        stream: &mut dyn Stream,
        state: &mut LineState,
    ) -> Record {
        let Ending { status, failed, ended_by, .. } = ending;
        let service = self.service(facts);
        // Only a service that answered took time; to ask costs a microsecond.
        let answered = service.filter(|_| facts.counted && facts.answerer == Answerer::Service);
        let upstream = answered.and_then(|_| stream.upstream_nanos());
        let observation = Observation {
            endpoint: self.endpoint(facts.target),
            status,
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            upstream_micros: upstream.map(|nanos| nanos / 1_000),
            exemplar: facts.context.as_ref().and_then(|context| exemplar(context, facts.started.wall)),
            service,
            proxy_error: self.kept_from(facts).or_else(|| Some((self.service(facts)?.0, failed?))),
            routing_error: routing_error(facts, status, failed),
        };
        let details = (failed == Some(ProxyError::RequestFailed)).then(|| stream.code_details());
        let injected = self.trust_headers(facts, stream);
        let end = End { status, took, upstream, ended_by, details, injected, state };
        let Lines { text: lines, counts: line_counts, facts: state } = self.lines(facts, end, stream);
        let auth = self.auth_observation(facts, status).filter(|_| facts.counted);
        let guards = self.guard_observation(facts);
        let events = self.happened(facts, status);
        Record {
            observation: facts.counted.then_some(observation),
            injected: injected.filter(|_| facts.counted),
            auth,
            findings: self.findings_result(facts),
            guards,
            events,
            lines,
            line_counts,
            state,
        }
    }

    /// Whether a request that a service answered had the trust headers that every service gets, as it went on. Where the proxy writes them,
    /// only its own copy of the request says so. Nothing of one that no service answered: whether it went on depends on who writes them.
    fn trust_headers(&self, facts: &Facts, stream: &mut dyn Stream) -> Option<bool> {
        facts.forwarded_route().filter(|_| facts.answerer == Answerer::Service)?;
        let mut due = self.policy.trust.to_set();
        Some(due.all(|(name, value)| stream.sent_header(name.as_str()).is_some_and(|own| own == value)))
    }

    /// The service that a breaker kept a request from.
    fn kept_from(&self, facts: &Facts) -> Option<(Service, ProxyError)> {
        facts.denial.as_ref().filter(|denial| denial.reason == BREAKER_OPEN)?;
        Some((Service(self.route_of(facts)?.service), ProxyError::RequestFailed))
    }

    /// The service that a request was sent to.
    fn service(&self, facts: &Facts) -> Option<(Service, Served)> {
        let route = facts.forwarded_route()?;
        let service = self.policy.routes.get(route)?.service;
        Some((Service(service), self.policy.catalogue.routes.get(route)?.served))
    }

    pub(crate) fn endpoint(&self, target: Target) -> Endpoint {
        let catalogue = &self.policy.catalogue;
        match target {
            Target::Route(route) | Target::Preflight(route) => {
                catalogue.routes.get(route).map_or(catalogue.unmatched, |counted| counted.endpoint)
            }
            Target::Page(_) | Target::Unmatched => catalogue.unmatched,
        }
    }
}

/// A trace that is kept somewhere; nothing of one that nobody keeps.
fn exemplar(context: &TraceContext, at: Wall) -> Option<Exemplar> {
    let trace = context.shown().trace_id.as_bytes().try_into().ok()?;
    context.is_sampled().then_some(Exemplar { trace, at_millis: at.0 / 1_000_000 })
}

/// Why a request got no answer of a service.
fn routing_error(facts: &Facts, status: u16, failed: Option<ProxyError>) -> Option<RoutingError> {
    let reason = facts.denial.as_ref().map(|denial| denial.reason);
    match reason {
        Some(Reason::NO_ROUTE) => Some(RoutingError::InvalidEndpoint),
        Some(Reason::MALFORMED_PATH) => Some(RoutingError::InvalidPath),
        Some(Reason::MALFORMED_REQUEST) => Some(RoutingError::InvalidRequest),
        Some(BREAKER_OPEN) => Some(RoutingError::ServiceUnavailable),
        Some(_) => None,
        None if failed == Some(ProxyError::RequestFailed) && status == 504 => {
            Some(RoutingError::ServiceTimeout)
        }
        None if failed == Some(ProxyError::RequestFailed) => Some(RoutingError::ServiceUnavailable),
        None => None,
    }
}

/// Whether the answer came to its end. That of an upgrade has none: either side may end what follows.
fn is_whole(facts: &Facts) -> bool {
    facts.complete || facts.status == Some(SWITCHING_PROTOCOLS)
}

/// What went wrong between gateway and service, if something did.
fn proxy_error(facts: &Facts, status: u16, fault: Option<Fault>) -> Option<ProxyError> {
    facts.forwarded_route()?;
    match facts.answerer {
        Answerer::Service if status >= 500 => Some(ProxyError::Status(status)),
        Answerer::Proxy if status >= 500 => Some(ProxyError::RequestFailed),
        // The answer broke off, and not because the client left.
        Answerer::Service if fault.is_some_and(|fault| fault != Fault::Client) => {
            Some(ProxyError::RequestFailed)
        }
        _ => None,
    }
}

/// Forgets the peer if it is the last entry of `X-Forwarded-For` already.
fn without_appended_peer(mut head: RequestHead) -> RequestHead {
    let peer = ClientIp::parse(&head.peer);
    let last = head.headers.all("x-forwarded-for").last().and_then(|line| line.rsplit(|b| *b == b',').next());
    if last.is_some_and(|last| ClientIp::parse(last) == peer) {
        head.peer.clear();
    }
    head
}
