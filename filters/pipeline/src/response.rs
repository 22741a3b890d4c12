//! The way out.

use crate::body;
use crate::facts::{Answerer, Facts, Target};
use crate::grpc;
use crate::request_id;
use crate::{HeaderOps, Pipeline, Stream};
use portcullis_edge_core::{Host, Reason};
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
        if facts.over_tls && !self.trusts_forwarded_proto() {
            // Where nobody in front vouches for what the request's headers say of TLS, the connection does.
            facts.over_tls = stream.client_tls();
        }
        if facts.answerer != Answerer::Gateway {
            facts.answerer = who_answered(facts, status, stream);
            facts.status = Some(status);
            if facts.answerer == Answerer::Proxy && facts.head.is_grpc() {
                facts.status = Some(grpc::http_equivalent(&stream.response_headers()).unwrap_or(status));
            }
        }
        let mut step = ResponseStep { ops: self.browser_ops(facts, stream), body: None };
        // Beside the service's own cookies, not in their place.
        step.ops.add.extend(facts.token.clear_cookie.take().map(|cookie| ("set-cookie".to_owned(), cookie)));
        self.limit_headers(facts, &mut step.ops);
        if facts.answerer == Answerer::Proxy && status >= 400 && !facts.head.is_grpc() {
            explain(&mut step, facts, status, has_body);
        }
        step
    }

    /// Tells the client of the limit that it is nearest to.
    fn limit_headers(&self, facts: &Facts, ops: &mut HeaderOps) {
        let Some(standing) = &facts.guard.limits.standing else { return };
        let refused = facts.denial.as_ref().is_some_and(|denial| denial.quota.is_some());
        let headers = self.policy.limits.headers(standing, refused, facts.started);
        headers.iter().for_each(|(name, value)| ops.set(name, value));
    }

    /// The answer has come to its end.
    pub fn on_response_end(&self, facts: &mut Facts) {
        facts.complete = true;
    }

    fn trusts_forwarded_proto(&self) -> bool {
        self.policy.proxy.appends_peer || self.policy.client_ip.trusts_proxies()
    }

    fn browser_ops(&self, facts: &Facts, stream: &mut dyn Stream) -> HeaderOps {
        let mut ops = HeaderOps::default();
        // Where the proxy's routes dress what services answer, only what they cannot know (TLS) is left to do. Other answers they
        // dress or not, depending on how far the request came: setting a header once more does no harm.
        let set_by_proxy = self.policy.proxy.sets_browser_headers && facts.answerer == Answerer::Service;
        if facts.over_tls || !set_by_proxy {
            let left_to_us = |rule: &BrowserHeader| !set_by_proxy || rule.tls_only;
            let left = |rule: &BrowserHeader| left_to_us(rule) && (facts.over_tls || !rule.tls_only);
            let rules = self.browser(facts);
            if rules.rules().iter().any(left) {
                let headers = stream.response_headers();
                let changes = rules.apply(&headers, facts.over_tls, left_to_us);
                ops.remove.extend(changes.remove.iter().map(|name| name.as_bytes().to_vec()));
                changes.set.iter().for_each(|(name, value)| ops.set(name, value));
            }
        }
        if !self.policy.proxy.assigns_request_id {
            ops.set(request_id::HEADER, facts.request_id().as_bytes());
        }
        ops
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

/// Successes are asked no questions, but for gRPC, where errors look like them. An error is either the service's own
/// (`via_upstream`) or the proxy's.
fn who_answered(facts: &Facts, status: u16, stream: &mut dyn Stream) -> Answerer {
    let is_success = status < 400 && !facts.head.is_grpc();
    if is_success || stream.code_details() == b"via_upstream" { Answerer::Service } else { Answerer::Proxy }
}

/// Puts an error body of ours in the place of the proxy's.
fn explain(step: &mut ResponseStep, facts: &Facts, status: u16, has_body: bool) {
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
