//! The way in.

use crate::admit::micros;
use crate::body::{self, DETAILS, LocalReply};
use crate::facts::{Answered, Facts, Page, Target};
use crate::request_id::{self, RequestId};
use crate::{Access, HeaderOps, Pipeline, Proxy, Worker};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{DenyReason, HeaderName, Headers, HttpCall, Now, RequestHead};
use portcullis_jwt::{Identity, Strip, TokenError};
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
    /// Hold it until fetched keys are there, or are known not to come; then [`Pipeline::resume`].
    Wait,
    /// Hold it and make this call; then [`Pipeline::on_auth_answer`].
    Ask(HttpCall),
}

impl Pipeline {
    /// Judges a request.
    pub fn on_request(
        &self,
        head: RequestHead,
        now: Now,
        worker: &mut Worker,
        proxy: &dyn Proxy,
    ) -> (Facts, Step) {
        let mut facts = self.facts(head, now, proxy);
        let step = match (facts.denial, facts.target) {
            (Some(reason), _) => self.deny(&mut facts, reason),
            (None, Target::Page(Page::Health)) => self.health(&mut facts),
            (None, Target::Page(Page::Metrics)) => Step::ServeMetrics,
            (None, Target::Route(route)) => match self.policy.routes.get(route) {
                Some(route) => self.admit(&mut facts, route, now, worker, proxy),
                None => self.deny(&mut facts, DenyReason::NoRoute),
            },
            // A preflight has no token (Fetch standard, CORS protocol), so it goes no further.
            (None, Target::Preflight(_)) => self.answer_preflight(&mut facts),
            (None, Target::Unmatched) => self.deny(&mut facts, DenyReason::NoRoute),
        };
        (facts, step)
    }

    /// What a request is, before anything is done about it; also for requests that only the end of was seen.
    pub(crate) fn facts(&self, head: RequestHead, now: Now, proxy: &dyn Proxy) -> Facts {
        let path = normalise(head.path());
        let (target, denial) = self.target(&head, &path);
        let trusted = self.policy.proxy.assigns_request_id || self.policy.client_ip.trusts_proxies();
        let rewritten = path.as_ref().ok().filter(|p| p.was_rewritten()).map(|p| p.path.clone().into_owned());
        Facts {
            client: self.client(&head),
            request_id: RequestId::choose(&head.headers, trusted, || proxy.random_16()),
            over_tls: is_over_tls(&head.headers),
            counted: !self.is_uncounted(target, &path),
            answered: Answered::NotYet,
            status: None,
            complete: false,
            started: now,
            rewritten,
            target,
            access: Access::default(),
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

    /// The changes to a request that goes on.
    pub(crate) fn forward(&self, facts: &mut Facts, proxy: &dyn Proxy) -> HeaderOps {
        let trust = &self.policy.trust;
        let mut ops = HeaderOps {
            remove: trust.forged(&facts.head.headers).into_iter().map(<[u8]>::to_vec).collect(),
            ..HeaderOps::default()
        };
        if let Some(connection) = trust.clean_connection(&facts.head.headers) {
            ops.set("connection", &connection);
        }
        facts.set_path(&mut ops);
        if let Some(id) = facts.request_id.to_send() {
            ops.set(request_id::HEADER, id.as_bytes());
        }
        // A client's copy is removed even where the proxy's routes set ours: filters behind this one see the request before
        // the routes do.
        if !self.policy.proxy.sets_trust_headers {
            trust.to_set().for_each(|(name, value)| ops.set(name.as_str(), value));
        }
        if let Some(identity) = facts.access.bearer().cloned() {
            self.introduce(&identity, &mut ops);
            let verdict = facts.access.validation_micros.unwrap_or(0);
            let since = micros(facts.access.began, proxy.mono());
            facts.access.context_micros = Some(since.saturating_sub(verdict));
        }
        ops
    }

    /// Tells the service who asks.
    fn introduce(&self, identity: &Identity, ops: &mut HeaderOps) {
        let Some(names) = self.policy.trust.identity() else { return };
        let mut tell = |state: &'static str, name: &HeaderName, value: &[u8]| {
            // Envoy matches the route again once a filter has changed a request's header; filter state costs a tenth of that.
            match self.policy.proxy.sets_trust_headers {
                true => ops.state.push((state, value.to_vec())),
                false => ops.set(name.as_str(), value),
            }
        };
        if let Some(user) = identity.user() {
            tell("portcullis_user", &names.user, user.as_bytes());
        }
        let roles: Vec<&str> = identity.roles().collect();
        if !roles.is_empty() {
            tell("portcullis_role", &names.role, roles.join(",").as_bytes());
        }
        tell("portcullis_authenticated", &names.authenticated, b"true");
        let claims = self.jwt.iter().flat_map(|jwt| jwt.headers(identity));
        claims.for_each(|(name, value)| ops.set(name, value));
    }

    /// Names to remove from a request's trailers: backends that merge them into the headers would believe them.
    #[must_use]
    pub fn on_request_trailers(&self, trailers: &Headers) -> Vec<Vec<u8>> {
        self.policy.trust.forged_trailers(trailers).into_iter().map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn deny(&self, facts: &mut Facts, reason: DenyReason) -> Step {
        facts.denial = Some(reason);
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
        reply
            .headers
            .extend(self.challenge(facts, reason).map(|c| ("www-authenticate".to_owned(), c.into_bytes())));
        Step::Reply(reply)
    }

    /// What a client is told of the token it needs (RFC 6750 section 3). A request without any token is told no error.
    fn challenge(&self, facts: &Facts, reason: DenyReason) -> Option<String> {
        match reason {
            DenyReason::BadToken(because) if because.reason == TokenError::Missing.as_str() => {
                // A challenge has one parameter at least.
                Some(format!("Bearer realm=\"{}\"", self.policy.gateway.name))
            }
            DenyReason::BadToken(because) => {
                Some(format!("Bearer error=\"invalid_token\", error_description=\"{}\"", because.message))
            }
            DenyReason::Forbidden(_) if facts.access.bearer().is_some() => {
                Some(format!("Bearer error=\"insufficient_scope\"{}", self.scopes(facts)))
            }
            _ => None,
        }
    }

    /// The scopes that a route's rules ask for, as a challenge names them.
    fn scopes(&self, facts: &Facts) -> String {
        let Target::Route(route) = facts.target else { return String::new() };
        let rules = self.policy.routes.get(route).and_then(|route| route.rules.as_ref());
        let scopes: Vec<&str> = rules.iter().flat_map(|rules| rules.scopes()).collect();
        if scopes.is_empty() { String::new() } else { format!(", scope=\"{}\"", scopes.join(" ")) }
    }

    /// The answer to a request whose changes the proxy refused to make: unchanged, it could carry what its client forged.
    pub fn give_up(&self, facts: &mut Facts) -> Step {
        self.deny(facts, DenyReason::ServiceUnavailable)
    }

    fn answer_preflight(&self, facts: &mut Facts) -> Step {
        let head = &facts.head;
        let path = normalise(head.path()).map(|normal| normal.path.into_owned()).unwrap_or_default();
        let methods: Vec<&str> = self.policy.table.methods(&path).collect();
        let cors = self.policy.cors.iter();
        let headers = cors.flat_map(|cors| cors.preflight(&head.headers, &methods));
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
        let reply = LocalReply {
            status: 200,
            headers,
            body: Vec::new(),
            grpc_status: None,
            details: format!("{DETAILS}_preflight"),
        };
        Step::Reply(answered_here(facts, reply))
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
        let mut ops = HeaderOps::default();
        ops.set("content-type", content_type.as_bytes());
        if let Some(cors) = &self.policy.cors {
            cors.mark(&facts.head.headers).iter().for_each(|(name, value)| ops.set(name, value));
        }
        let (headers, details) = (ops.set, DETAILS.to_owned());
        answered_here(facts, LocalReply { status, headers, body, grpc_status: None, details })
    }
}

fn answered_here(facts: &mut Facts, reply: LocalReply) -> LocalReply {
    facts.answered = Answered::Here;
    facts.status = Some(reply.status);
    reply
}

impl Facts {
    /// Gives the upstream the normal path, without the token if one stood in it and its source says so; takes the token out
    /// of other places likewise.
    fn set_path(&self, ops: &mut HeaderOps) {
        let mut path = self.rewritten.is_some().then(|| self.head.path());
        match &self.access.strip {
            Some(Strip::Replace(name, value)) if name == ":path" => path = Some(value),
            Some(Strip::Replace(name, value)) => ops.set(name, value),
            Some(Strip::Remove(name)) => ops.remove.push(name.as_bytes().to_vec()),
            None => {}
        }
        if let Some(target) = path.and_then(|path| normalise(path).ok()) {
            ops.set(":path", &target.to_target());
        }
    }
}

/// What the proxy says of the client's connection, or of the trusted proxy's before it; a client says so as well, unless the
/// proxy writes the header itself (see [`Pipeline::on_response`]).
fn is_over_tls(headers: &Headers) -> bool {
    headers.first("x-forwarded-proto").or_else(|| headers.first(":scheme")) == Some(b"https")
}
