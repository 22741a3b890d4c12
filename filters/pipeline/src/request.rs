//! The way in: what a request is, and what the gateway answers itself.

use crate::body::{self, DETAILS, LocalReply};
use crate::facts::{Answerer, Facts, Page, Target};
use crate::guard::GuardSlot;
use crate::order::Stage;
use crate::path::RequestPath;
use crate::request_id::{self, RequestId};
use crate::rules::RulesSlot;
use crate::token::{TokenSlot, micros};
use crate::trace::Trace;
use crate::{HeaderOps, Pipeline, Worker};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{
    Answered, Call, CallError, Denial, HeaderName, Headers, Host, Now, Reason, RequestHead,
};
use portcullis_jwt::{Identity, Strip};
use portcullis_route::PathError;
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
    /// Hold it until something that requests wait for has come, or is known not to come; then [`Pipeline::resume`].
    Wait,
    /// Hold it and make this call; then [`Pipeline::resume`] with the answer.
    Call(Call),
}

/// What a request that is held hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// What it waited for has come, or is known not to come.
    Ready,
    /// It may not wait: as many wait already as may.
    NoRoom,
    /// The answer to its call, or why there is none.
    Answer(Result<Answered<'a>, CallError>),
}

impl Pipeline {
    /// Judges a request.
    pub fn on_request(&self, head: RequestHead, host: &dyn Host, worker: &mut Worker) -> (Facts, Step) {
        let mut facts = self.facts(head, host.now(), host);
        let step = self.run(&mut facts, host, worker);
        (facts, step)
    }

    /// The same, and keeps what each stage says in [`Facts::trace`].
    pub fn on_request_traced(
        &self,
        head: RequestHead,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> (Facts, Step) {
        let mut facts = self.facts(head, host.now(), host);
        facts.trace = Some(Box::new(Trace::default()));
        let step = self.run(&mut facts, host, worker);
        (facts, step)
    }

    /// What a request is, before anything is done about it; also for requests that only the end of was seen.
    pub(crate) fn facts(&self, head: RequestHead, now: Now, host: &dyn Host) -> Facts {
        let normal = self.policy.table.normalise(head.path());
        let path = normal.as_ref().map(|normal| &*normal.path).map_err(|error| *error);
        let (target, unroutable) = self.target(&head, path);
        let counted = !self.is_uncounted(target, path);
        let trusted = self.policy.proxy.assigns_request_id || self.policy.client_ip.trusts_proxies();
        Facts {
            client: self.client(&head),
            request_id: RequestId::choose(&head.headers, trusted, || host.random_16()),
            over_tls: is_over_tls(&head.headers),
            path: RequestPath::new(normal),
            at: Stage::Pages,
            token: TokenSlot::default(),
            rules: RulesSlot::default(),
            guard: GuardSlot::default(),
            answered_at: None,
            answerer: Answerer::Nobody,
            denial: None,
            status: None,
            trace: None,
            forwarded: false,
            complete: false,
            started: now,
            counted,
            target,
            unroutable,
            head,
        }
    }

    fn client(&self, head: &RequestHead) -> ClientIp {
        let peer = (!head.peer.is_empty()).then_some(head.peer.as_slice());
        self.policy.client_ip.resolve(&head.headers, peer)
    }

    fn target(&self, head: &RequestHead, path: Result<&str, PathError>) -> (Target, Option<Reason>) {
        let path = match path {
            Ok(path) => path,
            Err(PathError::NotAbsolute) => return (Target::Unmatched, Some(Reason::MALFORMED_REQUEST)),
            Err(_) => return (Target::Unmatched, Some(Reason::MALFORMED_PATH)),
        };
        if let Some(page) = self.page(head.method(), path) {
            return (Target::Page(page), None);
        }
        if let Some((route, reason)) = self.preflight(head, path) {
            return (Target::Preflight(route), reason);
        }
        match self.policy.table.find(self.authority(head), head.method(), path) {
            Some(route) => (Target::Route(route), None),
            None => (Target::Unmatched, Some(Reason::NO_ROUTE)),
        }
    }

    /// The route that a CORS preflight asks about, and why the answer is no.
    fn preflight(&self, head: &RequestHead, path: &str) -> Option<(usize, Option<Reason>)> {
        let cors = self.policy.cors.as_ref()?;
        let route = self.policy.table.find(self.authority(head), preflight_method(head)?, path)?;
        let allowed = head.headers.first("origin").is_some_and(|origin| cors.allows(origin));
        Some((route, (!allowed).then_some(Reason::ORIGIN_NOT_ALLOWED)))
    }

    /// The stage `Pages`: the gateway's own. They are not limited: who watches the gateway must get an answer.
    pub(crate) fn page_step(&self, facts: &mut Facts) -> Option<Step> {
        match facts.target {
            Target::Page(Page::Health) => Some(self.health(facts)),
            Target::Page(Page::Metrics) => Some(Step::ServeMetrics),
            _ => None,
        }
    }

    /// The stage `Answer`: what does not go to a service. Nothing where the request is to go on.
    pub(crate) fn answer(&self, facts: &mut Facts) -> Option<Step> {
        let step = match (facts.unroutable, facts.target) {
            (Some(reason), _) => self.deny(facts, Denial::new(reason).into()),
            (None, Target::Unmatched | Target::Page(_)) => {
                self.deny(facts, Denial::new(Reason::NO_ROUTE).into())
            }
            // A preflight has no token (Fetch standard, CORS protocol), so it goes no further.
            (None, Target::Preflight(_)) => self.answer_preflight(facts),
            (None, Target::Route(_)) => return None,
        };
        Some(step)
    }

    /// The host that was asked for, where routes differ by host.
    fn authority<'h>(&self, head: &'h RequestHead) -> &'h [u8] {
        let authority = || head.headers.first(":authority").unwrap_or_default();
        if self.policy.table.looks_at_hosts() { authority() } else { b"" }
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

    fn is_uncounted(&self, target: Target, path: Result<&str, PathError>) -> bool {
        let ours = matches!(target, Target::Page(_) | Target::Unmatched);
        ours && path.is_ok_and(|path| self.policy.metrics.uncounted.iter().any(|uncounted| uncounted == path))
    }

    /// The changes to a request that goes on.
    pub(crate) fn forward(&self, facts: &mut Facts, host: &dyn Host) -> HeaderOps {
        facts.forwarded = true;
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
        if let Some(identity) = facts.token.bearer().cloned() {
            self.identify(&identity, &mut ops);
            let verdict = facts.token.validation_micros.unwrap_or(0);
            let since = micros(facts.token.began, host.mono());
            facts.token.context_micros = Some(since.saturating_sub(verdict));
        }
        ops
    }

    /// Says to the service who asks.
    fn identify(&self, identity: &Identity, ops: &mut HeaderOps) {
        let Some(names) = self.policy.trust.identity() else { return };
        let mut say = |state: &'static str, name: &HeaderName, value: &[u8]| {
            // Envoy matches the route again once a filter has changed a request's header; filter state costs a tenth of that.
            match self.policy.proxy.sets_trust_headers {
                true => ops.state.push((state, value.to_vec())),
                false => ops.set(name.as_str(), value),
            }
        };
        if let Some(user) = identity.user() {
            say("portcullis_user", &names.user, user.as_bytes());
        }
        let roles: Vec<&str> = identity.roles().collect();
        if !roles.is_empty() {
            say("portcullis_role", &names.role, roles.join(",").as_bytes());
        }
        say("portcullis_authenticated", &names.authenticated, b"true");
        let claims = self.jwt.iter().flat_map(|jwt| jwt.headers(identity));
        claims.for_each(|(name, value)| ops.set(name, value));
    }

    /// Names to remove from a request's trailers: backends that merge them into the headers would believe them.
    #[must_use]
    pub fn on_request_trailers(&self, trailers: &Headers) -> Vec<Vec<u8>> {
        self.policy.trust.forged_trailers(trailers).into_iter().map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn deny(&self, facts: &mut Facts, denial: Box<Denial>) -> Step {
        let answer = denial.reason.answer();
        let is_grpc = facts.head.is_grpc();
        let body = match is_grpc {
            // The proxy makes `grpc-message` of the body.
            true => denial.reason.message.as_bytes().to_vec(),
            false => body::denial_body(&denial, facts.started.wall, facts.request_id()),
        };
        let mut reply = self.reply(facts, answer.status, body::JSON, body);
        reply.grpc_status = is_grpc.then_some(answer.grpc_status);
        reply.details = format!("{DETAILS}_{}", denial.reason.name);
        let headers = denial.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        reply.headers.extend(headers);
        reply.headers.extend(denial.retry_after.map(retry_after));
        facts.forwarded = false;
        facts.denial = Some(denial);
        Step::Reply(reply)
    }

    /// The answer to a request whose changes the proxy refused to make: unchanged, it could carry what its client forged.
    pub fn give_up(&self, facts: &mut Facts) -> Step {
        self.deny(facts, Denial::new(Reason::SERVICE_UNAVAILABLE).into())
    }

    fn answer_preflight(&self, facts: &mut Facts) -> Step {
        let head = &facts.head;
        let path = facts.path.normal(head).unwrap_or_default();
        let methods: Vec<&str> = self.policy.table.methods(self.authority(head), path).collect();
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
    facts.answerer = Answerer::Gateway;
    facts.status = Some(reply.status);
    reply
}

impl Facts {
    /// Gives the upstream the normal path, without the token if one stood in it and its source says so; takes the token out
    /// of other places likewise.
    fn set_path(&self, ops: &mut HeaderOps) {
        let mut target = self.path.rewritten().map(|_| self.head.path());
        match &self.token.strip {
            Some(Strip::Replace(name, value)) if name == ":path" => target = Some(value),
            Some(Strip::Replace(name, value)) => ops.set(name, value),
            Some(Strip::Remove(name)) => ops.remove.push(name.as_bytes().to_vec()),
            None => {}
        }
        if let Some(path) = target.and_then(|target| self.path.with_query_of(target, &self.head)) {
            ops.set(":path", &path);
        }
    }
}

/// Whole seconds, rounded up: who comes back earlier is refused again (RFC 9110 section 10.2.3).
fn retry_after(after: core::time::Duration) -> (String, Vec<u8>) {
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
    ("retry-after".to_owned(), seconds.to_string().into_bytes())
}

/// What the proxy says of the client's connection, or of the trusted proxy's before it; a client says so as well, unless the
/// proxy writes the header itself (see [`Pipeline::on_response`]).
fn is_over_tls(headers: &Headers) -> bool {
    headers.first("x-forwarded-proto").or_else(|| headers.first(":scheme")) == Some(b"https")
}
