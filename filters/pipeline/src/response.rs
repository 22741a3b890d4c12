//! The way out.

use crate::body;
use crate::facts::{Answered, Facts, Target};
use crate::grpc;
use crate::request_id;
use crate::{HeaderOps, Pipeline, Stream};
use portcullis_edge_core::DenyReason;
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
    /// Dresses the answer with `status`, whoever gave it; `has_body` says whether a body follows.
    pub fn on_response(
        &self,
        facts: &mut Facts,
        status: u16,
        has_body: bool,
        stream: &mut dyn Stream,
    ) -> ResponseStep {
        if facts.over_tls && !self.is_told_of_tls() {
            // Where nobody in front vouches for what the request's headers say of TLS, the connection does.
            facts.over_tls = stream.client_tls();
        }
        if facts.answered != Answered::Here {
            facts.answered = who_answered(facts, status, stream);
            facts.status = Some(status);
            if facts.answered == Answered::Proxy && facts.head.is_grpc() {
                facts.status = Some(grpc::http_equivalent(&stream.response_headers()).unwrap_or(status));
            }
        }
        let mut step = ResponseStep { ops: self.dress(facts, stream), body: None };
        if facts.answered == Answered::Proxy && status >= 400 && !facts.head.is_grpc() {
            explain(&mut step, facts, status, has_body);
        }
        step
    }

    fn is_told_of_tls(&self) -> bool {
        self.policy.proxy.appends_peer || self.policy.client_ip.trusts_proxies()
    }

    fn dress(&self, facts: &Facts, stream: &mut dyn Stream) -> HeaderOps {
        let mut ops = HeaderOps::default();
        // Where the proxy's routes dress what services answer, only what they cannot know (TLS) is left to do. Other answers they
        // dress or not, depending on how far the request came: setting a header once more does no harm.
        let dressed = self.policy.proxy.sets_browser_headers && facts.answered == Answered::Service;
        if facts.over_tls || !dressed {
            let left_to_us = |rule: &BrowserHeader| !dressed || rule.tls_only;
            let left = |rule: &BrowserHeader| left_to_us(rule) && (facts.over_tls || !rule.tls_only);
            let rules = self.browser(facts);
            if rules.rules().iter().any(left) {
                let headers = stream.response_headers();
                let dressing = rules.apply(&headers, facts.over_tls, left_to_us);
                ops.remove.extend(dressing.remove.iter().map(|name| name.as_bytes().to_vec()));
                dressing.set.iter().for_each(|(name, value)| ops.set(name, value));
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
fn who_answered(facts: &Facts, status: u16, stream: &mut dyn Stream) -> Answered {
    let is_success = status < 400 && !facts.head.is_grpc();
    if is_success || stream.code_details() == b"via_upstream" { Answered::Service } else { Answered::Proxy }
}

/// Puts an error body of ours in the place of the proxy's.
fn explain(step: &mut ResponseStep, facts: &Facts, status: u16, has_body: bool) {
    if !has_body {
        return;
    }
    let (code, message) = told(status);
    let body = body::error_body(code, message, facts.started.wall, facts.request_id());
    step.ops.set("content-type", body::JSON.as_bytes());
    step.ops.set("content-length", body.len().to_string().as_bytes());
    step.body = Some(body);
}

/// How an error of the proxy's is told to clients.
fn told(status: u16) -> (&'static str, &'static str) {
    let reason = match status {
        413 | 431 => DenyReason::TooLarge,
        404 => DenyReason::NoRoute,
        504 => DenyReason::ServiceTimeout,
        500.. => DenyReason::ServiceUnavailable,
        _ => DenyReason::MalformedRequest,
    };
    (reason.answer().code, reason.answer().message)
}
