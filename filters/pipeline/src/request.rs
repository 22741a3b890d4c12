//! The way in: what a request is, and what the gateway answers itself.

use crate::body::{self, DETAILS, LocalReply};
use crate::facts::{Answerer, Facts, Target};
use crate::findings::{FindingsSlot, is_tls};
use crate::guard::GuardSlot;
use crate::order::Stage;
use crate::path::RequestPath;
use crate::request_id::{self, RequestId};
use crate::rules::RulesSlot;
use crate::token::micros;
use crate::trace::Trace;
use crate::websocket::is_handshake_with_body;
use crate::{HeaderOps, Pipeline, Worker};
use portcullis_access_log::{TRACEPARENT, TRACESTATE, TraceContext};
use portcullis_client_ip::{ClientIp, Sender};
use portcullis_edge_core::{
    Answered, Call, CallError, Denial, HeaderName, Headers, Host, Now, Reason, RequestHead, is_authority,
};
use portcullis_jwt::{Identity, Strip};
use portcullis_route::PathError;
use portcullis_security_headers::preflight_method;

const FORWARDED_PROTO: &str = "x-forwarded-proto";

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
        let findings = self.take_findings(&head.headers, host);
        let normal = self.policy.table.normalise(head.path());
        let path = normal.as_ref().map(|normal| &*normal.path).map_err(|error| *error);
        let sender = findings.sender().unwrap_or_else(|| self.sender(&head));
        let (target, unroutable) = self.target(&head, path, (sender.client, &findings), host);
        let counted = !self.is_uncounted(target, path);
        let has_proxies = self.policy.client_ip.trusts_proxies();
        let (context, begins_trace) = self.trace_context(&head.headers, host);
        let assigned = if has_proxies { sender.by_proxy } else { self.policy.proxy.assigns_request_id };
        let trusted = assigned || findings.taken().is_some();
        Facts {
            client: sender.client,
            by_proxy: sender.by_proxy,
            forwarded_for: sender.forwarded_for,
            request_id: RequestId::choose(&head.headers, trusted, || host.random_16()),
            over_tls: findings.taken().map_or_else(|| is_over_tls(&head.headers), |taken| taken.over_tls),
            path: RequestPath::new(normal),
            at: Stage::Pages,
            token: findings.token(),
            findings,
            rules: RulesSlot::default(),
            guard: GuardSlot::default(),
            bodies: None,
            login: None,
            happened: None,
            context,
            begins_trace,
            answered_at: None,
            answerer: Answerer::Nobody,
            denial: None,
            denied_elsewhere: None,
            status: None,
            trace: None,
            forwarded: false,
            unvouched: false,
            keyed: false,
            complete: false,
            started: now,
            counted,
            target,
            unroutable,
            head,
        }
    }

    /// The trace that a request belongs to, and whether it begins here: where the client names none, or is not to name one.
    fn trace_context(&self, headers: &Headers, host: &dyn Host) -> (Option<TraceContext>, bool) {
        let Some(tracing) = &self.policy.tracing else { return (None, false) };
        let mut given = headers.all(TRACEPARENT);
        let only = given.next().filter(|_| given.next().is_none());
        let believed = only.filter(|_| tracing.continues || self.policy.proxy.begins_traces);
        if let Some(context) = believed.and_then(TraceContext::parse) {
            return (Some(context), false);
        }
        let [span @ .., _, _, _, _, _, _, _, _] = host.random_16();
        (Some(TraceContext::begin(host.random_16(), span)), true)
    }

    fn sender(&self, head: &RequestHead) -> Sender {
        let peer = (!head.peer.is_empty()).then_some(head.peer.as_slice());
        self.policy.client_ip.sender(&head.headers, peer)
    }

    fn target(
        &self,
        head: &RequestHead,
        path: Result<&str, PathError>,
        client: (ClientIp, &FindingsSlot),
        host: &dyn Host,
    ) -> (Target, Option<Reason>) {
        let path = match path {
            _ if !is_authority(head.authority()) => {
                return (Target::Unmatched, Some(Reason::MALFORMED_REQUEST));
            }
            Ok(path) => path,
            Err(PathError::NotAbsolute) => return (Target::Unmatched, Some(Reason::MALFORMED_REQUEST)),
            Err(_) => return (Target::Unmatched, Some(Reason::MALFORMED_PATH)),
        };
        if let Some(page) = self.page(head, path, client, host) {
            return (Target::Page(page), None);
        }
        if let Some((route, reason)) = self.preflight(head, path) {
            return (Target::Preflight(route), reason);
        }
        match self.policy.table.find(self.authority(head), head.method(), path) {
            Some(route) => {
                let is_odd = self.upgrades(route) && is_handshake_with_body(&head.headers);
                (Target::Route(route), is_odd.then_some(Reason::MALFORMED_REQUEST))
            }
            None => (Target::Unmatched, Some(Reason::NO_ROUTE)),
        }
    }

    fn upgrades(&self, route: usize) -> bool {
        self.policy.routes.get(route).is_some_and(|route| !route.upgrades.is_empty())
    }

    /// The route that a CORS preflight asks about, and why the answer is no.
    fn preflight(&self, head: &RequestHead, path: &str) -> Option<(usize, Option<Reason>)> {
        let cors = self.policy.cors.as_ref()?;
        let route = self.policy.table.find(self.authority(head), preflight_method(head)?, path)?;
        if self.policy.routes.get(route).is_some_and(|route| route.cors_by_service) {
            return None;
        }
        let allowed = head.headers.first("origin").is_some_and(|origin| cors.allows(origin));
        Some((route, (!allowed).then_some(Reason::ORIGIN_NOT_ALLOWED)))
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
    pub(crate) fn authority<'h>(&self, head: &'h RequestHead) -> &'h [u8] {
        let authority = || head.headers.first(":authority").unwrap_or_default();
        if self.policy.table.looks_at_hosts() { authority() } else { b"" }
    }

    /// The changes to a request that goes on.
    pub(crate) fn forward(&self, facts: &mut Facts, host: &dyn Host) -> HeaderOps {
        facts.forwarded = true;
        self.expect_bodies(facts);
        self.expect_account(facts);
        let trust = &self.policy.trust;
        let mut ops = HeaderOps { remove: self.forged(facts), ..HeaderOps::default() };
        self.without_claims(facts, &mut ops);
        self.without_handed_headers(facts, &mut ops);
        if let Some(connection) = trust.clean_connection(&facts.head.headers) {
            ops.set("connection", &connection);
        }
        facts.set_path(&mut ops);
        if let Some(chain) = facts.forwarded_for.take() {
            ops.set("x-forwarded-for", &chain);
        }
        self.correct_scheme(facts, host, &mut ops);
        if let Some(id) = facts.request_id.to_send() {
            ops.set(request_id::HEADER, id.as_bytes());
        }
        if let Some(context) = facts.context.filter(|_| facts.begins_trace) {
            ops.set(TRACEPARENT, context.header().as_bytes());
            ops.remove.extend(facts.head.headers.first(TRACESTATE).map(|_| TRACESTATE.as_bytes().to_vec()));
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
        self.ask_for_plain(facts, &mut ops);
        self.complete_handshake(facts, host, &mut ops);
        self.sign(facts, host, &mut ops);
        if let Some(name) = &self.policy.service_header {
            ops.set(name.as_str(), self.target_name(facts).as_bytes());
        }
        self.publish_findings(facts, host, &mut ops);
        ops
    }

    /// What a client says that only the gateway may say; not what an instance of the filter before this one has said.
    fn forged(&self, facts: &Facts) -> Vec<Vec<u8>> {
        let forged = self.policy.trust.forged(&facts.head.headers).into_iter();
        let is_made =
            |name: &&[u8]| !facts.token.looked && facts.findings.has_made(name, &facts.head.headers);
        forged.filter(|name| !is_made(name)).map(<[u8]>::to_vec).collect()
    }

    /// Where proxies in front say how a client came, the proxy around this filter lets anybody say so: whoever is none of them is not
    /// believed.
    fn correct_scheme(&self, facts: &mut Facts, host: &dyn Host, ops: &mut HeaderOps) {
        let is_said = facts.by_proxy || facts.findings.taken().is_some();
        if is_said || !self.policy.client_ip.trusts_proxies() {
            return;
        }
        facts.over_tls = is_tls(host);
        let scheme: &[u8] = if facts.over_tls { b"https" } else { b"http" };
        if facts.head.headers.all(FORWARDED_PROTO).any(|claimed| claimed != scheme) {
            ops.set(FORWARDED_PROTO, scheme);
        }
    }

    /// Says to the service who asks.
    fn identify(&self, identity: &Identity, ops: &mut HeaderOps) {
        let Some(names) = self.policy.trust.identity() else { return };
        let mut say = |state: &'static str, name: &HeaderName, value: &[u8]| {
            // Envoy matches the route again once a filter has changed a request's header; filter state costs a tenth of that.
            match self.policy.proxy.sets_trust_headers {
                true => ops.state.push((state.into(), value.to_vec())),
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
        let mut names = self.policy.trust.forged_trailers(trailers);
        if let Some(required) = &self.policy.source.require {
            let checked = |name: &&[u8]| required.is_checked(name, self.identity_names());
            names.extend(trailers.iter().map(|(name, _)| name).filter(checked));
        }
        names.into_iter().map(<[u8]>::to_vec).collect()
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
        reply.headers.push(body::not_to_be_kept());
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
}

impl Facts {
    /// Gives the upstream the normal path, without the token if one stood in it and its source says so; takes the token out
    /// of other places likewise.
    fn set_path(&self, ops: &mut HeaderOps) {
        let mut target = self.path.rewritten().map(|_| self.head.path());
        match &self.token.strip {
            Some(Strip::Replace(name, value)) if name == ":path" => target = Some(value),
            Some(Strip::Replace(name, value)) => ops.set(name, value),
            // Its twins in other spellings are removed as forged.
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
    let scheme = headers.first(FORWARDED_PROTO).or_else(|| headers.first(":scheme"));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}
