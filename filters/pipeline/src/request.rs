//! The way in.

use crate::body::{self, DETAILS, LocalReply};
use crate::facts::{Answered, Facts, Page, Target};
use crate::request_id::{self, RequestId};
use crate::{HeaderOps, Pipeline};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{DenyReason, Headers, Now, RequestHead};
use portcullis_route::{NormalPath, PathError, normalise};
use portcullis_security_headers::preflight_method;

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send it on, with these changes.
    Forward(HeaderOps),
    /// Answer it.
    Reply(LocalReply),
    /// Answer it with the metrics; the host has the totals.
    ServeMetrics,
}

impl Pipeline {
    /// Judges a request. `random` is asked for 16 bytes if a request id must be made.
    pub fn on_request(
        &self,
        head: RequestHead,
        now: Now,
        random: impl FnOnce() -> [u8; 16],
    ) -> (Facts, Step) {
        let mut facts = self.facts(head, now, random);
        let step = match (facts.denial, facts.target) {
            (Some(reason), _) => self.deny(&mut facts, reason),
            (None, Target::Page(Page::Health)) => self.health(&mut facts),
            (None, Target::Page(Page::Metrics)) => Step::ServeMetrics,
            (None, Target::Route(_) | Target::Preflight(_) | Target::Unmatched) => {
                Step::Forward(self.forward(&facts))
            }
        };
        (facts, step)
    }

    /// What a request is, before anything is done about it; also for requests that only the end of was seen.
    pub(crate) fn facts(&self, head: RequestHead, now: Now, random: impl FnOnce() -> [u8; 16]) -> Facts {
        let path = normalise(head.path());
        let (target, denial) = self.target(&head, &path);
        let trusted = self.policy.proxy.assigns_request_id || self.policy.client_ip.trusts_proxies();
        let rewritten = path.as_ref().ok().filter(|p| p.was_rewritten()).map(|p| p.path.clone().into_owned());
        Facts {
            client: self.client(&head),
            request_id: RequestId::choose(&head.headers, trusted, random),
            over_tls: is_over_tls(&head.headers),
            counted: !self.is_uncounted(target, &path),
            answered: Answered::NotYet,
            status: None,
            complete: false,
            started: now,
            rewritten,
            target,
            denial,
            head,
        }
    }

    fn client(&self, head: &RequestHead) -> ClientIp {
        let peer = (!head.peer.is_empty()).then_some(head.peer.as_slice());
        self.policy.client_ip.resolve(&head.headers, peer)
    }

    fn target(
        &self,
        head: &RequestHead,
        path: &Result<NormalPath<'_>, PathError>,
    ) -> (Target, Option<DenyReason>) {
        let path = match path {
            Ok(normal) => &*normal.path,
            Err(PathError::NotAbsolute) => return (Target::Unmatched, Some(DenyReason::MalformedRequest)),
            Err(_) => return (Target::Unmatched, Some(DenyReason::MalformedPath)),
        };
        if let Some(page) = self.page(head.method(), path) {
            return (Target::Page(page), None);
        }
        if let Some((route, denial)) = self.preflight(head, path) {
            return (Target::Preflight(route), denial);
        }
        match self.policy.table.find(head.method(), path) {
            Some(route) => (Target::Route(route), None),
            None => (Target::Unmatched, Some(DenyReason::NoRoute)),
        }
    }

    /// The route that a CORS preflight asks about, and why the answer is no.
    fn preflight(&self, head: &RequestHead, path: &str) -> Option<(usize, Option<DenyReason>)> {
        let cors = self.policy.cors.as_ref()?;
        let route = self.policy.table.find(preflight_method(head)?, path)?;
        let allowed = head.headers.first("origin").is_some_and(|origin| cors.allows(origin));
        Some((route, (!allowed).then_some(DenyReason::OriginNotAllowed)))
    }

    fn page(&self, method: &[u8], path: &str) -> Option<Page> {
        let reads = method == b"GET" || method == b"HEAD";
        match path {
            _ if !reads => None,
            _ if path == self.policy.gateway.health => Some(Page::Health),
            _ if path == self.policy.metrics.path => Some(Page::Metrics),
            _ => None,
        }
    }

    fn is_uncounted(&self, target: Target, path: &Result<NormalPath<'_>, PathError>) -> bool {
        let ours = matches!(target, Target::Page(_) | Target::Unmatched);
        ours && path.as_ref().is_ok_and(|p| self.policy.metrics.uncounted.iter().any(|u| **u == *p.path))
    }

    fn forward(&self, facts: &Facts) -> HeaderOps {
        let trust = &self.policy.trust;
        let mut ops = HeaderOps {
            remove: trust.forged(&facts.head.headers).into_iter().map(<[u8]>::to_vec).collect(),
            set: Vec::new(),
        };
        if let Some(connection) = trust.clean_connection(&facts.head.headers) {
            ops.set("connection", &connection);
        }
        if let Some(target) = facts.rewritten.is_some().then(|| normalise(facts.head.path()).ok()).flatten() {
            ops.set(":path", &target.to_target());
        }
        if let Some(id) = facts.request_id.to_send() {
            ops.set(request_id::HEADER, id.as_bytes());
        }
        // A client's copy is removed even where the proxy's routes set ours: filters behind this one see the request before
        // the routes do.
        if !self.policy.proxy.sets_trust_headers {
            trust.to_set().for_each(|(name, value)| ops.set(name.as_str(), value));
        }
        ops
    }

    /// Names to remove from a request's trailers: backends that merge them into the headers would believe them.
    #[must_use]
    pub fn on_request_trailers(&self, trailers: &Headers) -> Vec<Vec<u8>> {
        self.policy.trust.forged(trailers).into_iter().map(<[u8]>::to_vec).collect()
    }

    fn deny(&self, facts: &mut Facts, reason: DenyReason) -> Step {
        let answer = reason.answer();
        let is_grpc = facts.head.is_grpc();
        let body = match is_grpc {
            // The proxy makes `grpc-message` of the body.
            true => answer.message.as_bytes().to_vec(),
            false => body::denial_body(reason, facts.started.wall, facts.request_id()),
        };
        let mut reply = self.reply(facts, answer.status, body::JSON, body);
        reply.grpc_status = is_grpc.then_some(answer.grpc_status);
        reply.details = format!("{DETAILS}_{}", reason.as_str());
        Step::Reply(reply)
    }

    fn health(&self, facts: &mut Facts) -> Step {
        let body = body::health_body(&self.policy.gateway.name, facts.started.wall);
        Step::Reply(self.reply(facts, 200, body::JSON, body))
    }

    /// The answer to [`Step::ServeMetrics`].
    pub fn metrics_reply(&self, facts: &mut Facts, text: String) -> LocalReply {
        self.reply(facts, 200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
    }

    /// An answer of ours, bare: it passes through [`Pipeline::on_response`] like everybody's, and is dressed there.
    fn reply(&self, facts: &mut Facts, status: u16, content_type: &str, body: Vec<u8>) -> LocalReply {
        facts.answered = Answered::Here;
        facts.status = Some(status);
        let mut ops = HeaderOps::default();
        ops.set("content-type", content_type.as_bytes());
        if let Some(cors) = &self.policy.cors {
            cors.mark(&facts.head.headers).iter().for_each(|(name, value)| ops.set(name, value));
        }
        LocalReply { status, headers: ops.set, body, grpc_status: None, details: DETAILS.to_owned() }
    }
}

/// What the proxy says of the client's connection, or of the trusted proxy's before it; a client says so as well, unless the
/// proxy writes the header itself (see [`Pipeline::on_response`]).
fn is_over_tls(headers: &Headers) -> bool {
    headers.first("x-forwarded-proto").or_else(|| headers.first(":scheme")) == Some(b"https")
}
