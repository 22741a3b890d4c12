//! The way out.

use crate::body;
use crate::facts::{Answerer, Facts, Target};
use crate::grpc;
use crate::request_id;
use crate::websocket::answer_handshake;
use crate::{HeaderOps, Pipeline, Stream};
use portcullis_edge_core::{Headers, Host, Reason};
use portcullis_security_headers::{BrowserHeader, BrowserHeaders};

/// What is to be done with a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseStep {
    /// Changes to its headers.
    pub ops: HeaderOps,
    /// A body in place of its own.
    pub body: Option<Vec<u8>>,
}

impl Pipeline {
    /// Gives the answer with `status` its headers, whoever answered; `has_body` says whether a body follows.
    pub fn on_response(
        &self,
        facts: &mut Facts,
        status: u16,
        has_body: bool,
        host: &dyn Host,
        stream: &mut dyn Stream,
    ) -> ResponseStep {
        facts.complete = !has_body;
        facts.answered_at = facts.guard.call.map(|_| host.mono());
        if facts.over_tls && !self.trusts_forwarded_proto(facts) {
            // Where no trusted proxy in front says in the request's headers whether it came by TLS, the connection does.
            facts.over_tls = stream.client_tls();
        }
        if facts.answerer != Answerer::Gateway {
            self.note_answerer(facts, status, stream);
            facts.status = Some(status);
            if facts.answerer == Answerer::Proxy && facts.head.is_grpc() {
                facts.status = Some(grpc::http_equivalent(&stream.response_headers()).unwrap_or(status));
            }
        }
        self.expect_answer(facts, || stream.response_headers());
        let mut step = ResponseStep { ops: self.browser_ops(facts, stream), body: None };
        // Beside the service's own cookies, not in their place.
        step.ops.add.extend(facts.token.clear_cookie.take().map(|cookie| ("set-cookie".to_owned(), cookie)));
        self.limit_headers(facts, &mut step.ops);
        answer_handshake(facts, status, stream, &mut step.ops);
        if facts.answerer == Answerer::Proxy && facts.head.is_grpc() {
            // The proxy makes it of the error's body, which is no sentence.
            let http = facts.status.unwrap_or(status);
            step.ops.set("grpc-message", error_of(http).1.as_bytes());
        } else if facts.answerer == Answerer::Proxy && status >= 400 {
            explain(&mut step, facts, status, has_body);
        }
        step
    }

    /// Successes are asked no questions, but for gRPC, where errors look like them. An error is the service's own (`via_upstream`), that of
    /// another instance of the filter, which is as it should be, or the proxy's.
    fn note_answerer(&self, facts: &mut Facts, status: u16, stream: &mut dyn Stream) {
        let is_success = status < 400 && !facts.head.is_grpc();
        let details = if is_success { Vec::new() } else { stream.code_details() };
        facts.answerer = match () {
            () if is_success || details == b"via_upstream" => Answerer::Service,
            () if details.starts_with(body::DETAILS.as_bytes()) => Answerer::Gateway,
            () => Answerer::Proxy,
        };
        if facts.answerer == Answerer::Gateway {
            facts.denied_elsewhere = denied_elsewhere(&details);
            facts.forwarded = false;
        }
    }

    /// Tells the client of the limit that it is nearest to.
    fn limit_headers(&self, facts: &Facts, ops: &mut HeaderOps) {
        let Some(standing) = &facts.guard.limits.standing else { return };
        let refused = facts.denial.as_ref().is_some_and(|denial| denial.quota.is_some());
        let headers = self.policy.limits.headers(standing, refused, facts.started);
        ops.set.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    /// The answer has come to its end.
    pub fn on_response_end(&self, facts: &mut Facts) {
        facts.complete = true;
        self.read_bodies(facts);
    }

    pub(crate) fn trusts_forwarded_proto(&self, facts: &Facts) -> bool {
        // Of a client that no proxy of ours sent, the connection was asked already.
        self.policy.proxy.appends_peer || facts.by_proxy || facts.findings.taken().is_some()
    }

    fn browser_ops(&self, facts: &Facts, stream: &mut dyn Stream) -> HeaderOps {
        let mut ops = HeaderOps::default();
        // Where the proxy's routes give services' answers their headers, only what they cannot know (TLS) is left to do. To other
        // answers they do or not, depending on how far the request came: setting a header once more does no harm.
        let set_by_proxy = self.policy.proxy.sets_browser_headers && facts.answerer == Answerer::Service;
        let left_to_us = |rule: &BrowserHeader| !set_by_proxy || rule.tls_only;
        let left = |rule: &BrowserHeader| left_to_us(rule) && (facts.over_tls || !rule.tls_only);
        let rules = self.browser(facts);
        if !set_by_proxy || rules.rules().iter().any(left) {
            let headers = stream.response_headers();
            let changes = rules.apply(&headers, facts.over_tls, left_to_us);
            ops.remove.extend(changes.remove.iter().map(|name| name.as_bytes().to_vec()));
            changes.set.iter().for_each(|(name, value)| ops.set(name, value));
            if !set_by_proxy {
                self.cors_ops(facts, &headers, &mut ops);
            }
        }
        if !self.policy.proxy.assigns_request_id || facts.answerer != Answerer::Service {
            ops.set(request_id::HEADER, facts.request_id().as_bytes());
        }
        ops
    }

    /// Which pages may read an answer is what the policy says, whatever the service does, unless its route leaves it to the service.
    fn cors_ops(&self, facts: &Facts, answer: &Headers, ops: &mut HeaderOps) {
        let by_service = facts.route().and_then(|route| self.policy.routes.get(route));
        if facts.answerer == Answerer::Gateway || by_service.is_some_and(|route| route.cors_by_service) {
            return;
        }
        let claims = answer.iter().map(|(name, _)| name).filter(|name| is_cors_answer(name));
        ops.remove.extend(claims.map(<[u8]>::to_vec));
        let Some(cors) = &self.policy.cors else { return };
        cors.mark(&facts.head.headers).iter().for_each(|(name, value)| ops.set(name, value));
        ops.set("vary", &with_origin(answer));
    }

    /// The rules for a request's answer: its route's, or the policy's.
    pub(crate) fn browser(&self, facts: &Facts) -> &BrowserHeaders {
        let route = match facts.target {
            Target::Route(route) | Target::Preflight(route) => self.policy.routes.get(route),
            Target::Page(_) | Target::Unmatched => None,
        };
        route.map_or(&self.policy.browser, |route| &route.browser)
    }
}

/// Whether a response header is a word on who may read an answer (Fetch standard, CORS protocol).
fn is_cors_answer(name: &[u8]) -> bool {
    name.starts_with(b"access-control-")
}

/// `Vary` as it is, and `Origin`: a cache must not give one page what was allowed to another (RFC 9110 section 12.5.5).
fn with_origin(answer: &Headers) -> Vec<u8> {
    let mut names: Vec<&[u8]> =
        answer.all("vary").flat_map(|line| line.split(|b| *b == b',')).map(<[u8]>::trim_ascii).collect();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(b"origin")) {
        names.push(b"Origin");
    }
    names.join(&b", "[..])
}

/// The reason of a denial by another instance of the filter in the chain: it stands in the details of the answer's code.
pub(crate) fn denied_elsewhere(details: &[u8]) -> Option<String> {
    let reason = details.strip_prefix(body::DETAILS.as_bytes())?.strip_prefix(b"_")?;
    Some(String::from_utf8_lossy(reason).into_owned())
}

/// Puts an error body of ours in the place of the proxy's.
fn explain(step: &mut ResponseStep, facts: &Facts, status: u16, has_body: bool) {
    let (name, value) = body::not_to_be_kept();
    step.ops.set(&name, &value);
    if !has_body {
        return;
    }
    let (code, message) = error_of(status);
    let body = body::error_body(code, message, facts.started.wall, facts.request_id());
    step.ops.set("content-type", body::JSON.as_bytes());
    step.ops.set("content-length", body.len().to_string().as_bytes());
    step.body = Some(body);
}

/// Code and message for an error of the proxy's.
fn error_of(status: u16) -> (&'static str, &'static str) {
    let reason = match status {
        413 | 431 => Reason::TOO_LARGE,
        404 => Reason::NO_ROUTE,
        504 => Reason::SERVICE_TIMEOUT,
        500.. => Reason::SERVICE_UNAVAILABLE,
        _ => Reason::MALFORMED_REQUEST,
    };
    (reason.answer().code, reason.message)
}
