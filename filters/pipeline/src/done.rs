//! The end of a request: one record, from which metrics and the log line are made.

use crate::facts::{Answerer, Facts, Target};
use crate::guard_metrics::GuardObservation;
use crate::metrics::{AuthObservation, GatewayMetrics, Observation, ProxyError, RoutingError};
use crate::request_id::RequestId;
use crate::{Pipeline, Stream, Worker};
use core::time::Duration;
use portcullis_access_log::{RequestExtra, RequestLine, SecurityRequest, as_text, loggable_path};
use portcullis_breaker::BREAKER_OPEN;
use portcullis_business::Happened;
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{Host, Now, Reason, RequestHead, Wall};
use portcullis_metrics::{Endpoint, Served, Service};
use std::borrow::Cow;

/// Status of a request whose client left before it was answered (a convention of nginx's).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Envoy's details for a path it refuses, whose escaped slashes it has unescaped by then: that the rest looks like a route's
/// means nothing.
const PATH_REFUSED: &[u8] = b"path_normalization_failed";

/// How a request ended.
struct Ending {
    status: u16,
    /// The proxy's details of an answer that did not come to its end.
    details: Vec<u8>,
    failed: Option<ProxyError>,
}

/// What is left of a request.
#[derive(Debug)]
pub struct Record {
    /// What to count; `None` for what is not counted.
    pub observation: Option<Observation>,
    /// What to count of the request's token; `None` where there was nothing to look at.
    pub auth: Option<AuthObservation>,
    /// What to count of the guards; nothing for most requests.
    pub guards: Option<Box<GuardObservation>>,
    /// Business events that it was.
    pub events: Vec<Happened>,
    /// Its log lines: one for each security event, then its own; line breaks between.
    pub lines: Vec<u8>,
}

impl Record {
    /// Counts it.
    pub fn count(&self, metrics: &mut GatewayMetrics) {
        if let Some(seen) = &self.observation {
            metrics.observe(seen);
            if seen.service.is_some() {
                metrics.headers_injected();
            }
        }
        self.auth.iter().for_each(|seen| metrics.observe_auth(seen));
        self.events.iter().for_each(|event| metrics.happened(event));
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
        let ending = self.ending(facts, stream);
        self.give_back(facts, (ending.status, self.is_services_fault(facts, &ending)), host, worker);
        self.record(facts, took, ending, stream)
    }

    /// The same for a request that was answered before it reached this filter. `head.peer` is the peer's address, which the
    /// proxy may or may not have appended to `X-Forwarded-For` by then.
    pub fn on_unseen(&self, head: RequestHead, host: &dyn Host, stream: &mut dyn Stream) -> Record {
        let now = host.now();
        let took = Duration::from_nanos(stream.duration_nanos());
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let started = Now { wall: Wall(now.wall.0.saturating_sub(nanos)), mono: now.mono };
        let mut facts = self.facts(without_told_peer(head), started, host);
        // Refused so early, a request may still have the id that its client chose; the proxy has given its answer another.
        facts.request_id = RequestId::of_answer(&stream.response_headers(), || host.random_16());
        // Whoever answered, it was neither us nor a service.
        facts.answerer = Answerer::Proxy;
        if stream.code_details() == PATH_REFUSED {
            facts.target = Target::Unmatched;
        }
        let ending = self.ending(&facts, stream);
        self.record(&facts, took, ending, stream)
    }

    fn ending(&self, facts: &Facts, stream: &mut dyn Stream) -> Ending {
        let details = if facts.complete { Vec::new() } else { stream.code_details() };
        let status = facts.status.or_else(|| stream.response_code()).unwrap_or(CLIENT_CLOSED_REQUEST);
        let failed = self.proxy_error(facts, status, &details);
        Ending { status, details, failed }
    }

    /// Whether the service failed a request, as far as its breaker is concerned. An answer cut by a time-out has a status that says
    /// nothing of it.
    fn is_services_fault(&self, facts: &Facts, ending: &Ending) -> bool {
        let cut: [&[u8]; 2] = [b"response_timeout", b"stream_idle_timeout"];
        let timed_out = facts.forwarded && cut.iter().any(|cut| ending.details.starts_with(cut));
        ending.failed.is_some() || timed_out
    }

    fn record(&self, facts: &Facts, took: Duration, ending: Ending, stream: &mut dyn Stream) -> Record {
        let Ending { status, details, failed } = ending;
        let observation = Observation {
            endpoint: self.endpoint(facts.target),
            status,
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            service: self.service(facts),
            proxy_error: self.kept_from(facts).or_else(|| Some((self.service(facts)?.0, failed?))),
            routing_error: routing_error(facts, status, failed),
        };
        let details = (failed == Some(ProxyError::RequestFailed))
            .then(|| if details.is_empty() { stream.code_details() } else { details });
        let lines = self.lines(facts, status, took, details);
        let auth = self.auth_observation(facts, status).filter(|_| facts.counted);
        let guards = self.guard_observation(facts);
        let events = self.happened(facts, status);
        Record { observation: facts.counted.then_some(observation), auth, guards, events, lines }
    }

    fn proxy_error(&self, facts: &Facts, status: u16, details: &[u8]) -> Option<ProxyError> {
        facts.forwarded_route()?;
        match facts.answerer {
            Answerer::Service if status >= 500 => Some(ProxyError::Status(status)),
            Answerer::Proxy if status >= 500 => Some(ProxyError::RequestFailed),
            // The answer broke off, and not because the client left.
            Answerer::Service if details.starts_with(b"upstream") => Some(ProxyError::RequestFailed),
            _ => None,
        }
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

    fn endpoint(&self, target: Target) -> Endpoint {
        let catalogue = &self.policy.catalogue;
        match target {
            Target::Route(route) | Target::Preflight(route) => {
                catalogue.routes.get(route).map_or(catalogue.unmatched, |counted| counted.endpoint)
            }
            Target::Page(_) | Target::Unmatched => catalogue.unmatched,
        }
    }

    /// The lines of a request: one for each security event, then its own.
    fn lines(&self, facts: &Facts, status: u16, took: Duration, details: Option<Vec<u8>>) -> Vec<u8> {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = Wall(facts.started.wall.0.saturating_add(nanos));
        let (method, ip) = (method(facts), facts.client.masked());
        let path = loggable_path(if facts.shown_path().is_empty() {
            NOT_TOLD.as_bytes()
        } else {
            facts.shown_path()
        });
        let request = SecurityRequest {
            method: &method,
            path: &path,
            ip: &ip,
            endpoint: self.policy.catalogue.label(self.endpoint(facts.target)),
        };
        let line = self.line(facts, (at, took), status, request, details);
        let mut lines = self.events(facts, at, request);
        lines.extend(self.guard_lines(facts, at, request));
        if lines.is_empty() {
            return line;
        }
        lines.extend(line);
        lines
    }

    fn line(
        &self,
        facts: &Facts,
        (at, took): (Wall, Duration),
        status: u16,
        request: SecurityRequest<'_>,
        details: Option<Vec<u8>>,
    ) -> Vec<u8> {
        let details = details.map(|d| String::from_utf8_lossy(&d).into_owned());
        let extra = RequestExtra {
            method: request.method,
            path: request.path,
            endpoint: request.endpoint,
            status,
            ip: request.ip,
            target_service: self.target_name(facts),
            auth_flow: facts.token.flow(),
            security_headers: facts.forwarded_route().is_some(),
            denied: facts.denial.as_ref().map(|denial| denial.reason.name),
            details: details.as_deref(),
        };
        let (service, request_id, user) = (&self.policy.gateway.name, facts.request_id(), facts.token.user());
        RequestLine { at, service, request_id, user, took, extra }.to_json()
    }

    fn target_name(&self, facts: &Facts) -> &str {
        let route = facts.forwarded_route().and_then(|r| self.policy.routes.get(r));
        let service = route.and_then(|r| self.policy.services.get(r.service));
        service.map_or(&self.policy.gateway.name, |s| &s.name)
    }
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

/// Forgets the peer if it is the last entry of `X-Forwarded-For` already.
fn without_told_peer(mut head: RequestHead) -> RequestHead {
    let peer = ClientIp::parse(&head.peer);
    let last = head.headers.all("x-forwarded-for").last().and_then(|line| line.rsplit(|b| *b == b',').next());
    if last.is_some_and(|last| ClientIp::parse(last) == peer) {
        head.peer.clear();
    }
    head
}

/// In the place of a method or path that the client did not send.
const NOT_TOLD: &str = "-";

/// Longest method a log line shows, in bytes; known ones are shorter.
const MAX_METHOD: usize = 32;

fn method(facts: &Facts) -> Cow<'_, str> {
    let method = facts.head.method();
    if method.is_empty() {
        return Cow::Borrowed(NOT_TOLD);
    }
    as_text(method.get(..MAX_METHOD).unwrap_or(method))
}
