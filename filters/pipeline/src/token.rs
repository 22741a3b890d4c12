//! The stage `Token`: who asks.

use crate::{Event, Facts, Pipeline, Worker};
use portcullis_authz::{Scalar, Subject};
use portcullis_breaker::Outcome;
use portcullis_edge_core::{
    Answered, Call, CallError, Class, Denial, Host, HttpCall, Mode, Mono, Reason, Verdict, Wall,
};
use portcullis_jwt::{
    Authn, Found, Identity, Jwt, Pending, Refusal, RouteAuth, Strip, TokenError, Tokens, Value,
};
use portcullis_limits::StoreError;
use portcullis_policy::Route;
use std::rc::Rc;

/// Who asks, and how that came to be known.
#[derive(Debug, Default)]
pub struct TokenSlot {
    /// Whether a token was looked for.
    pub(crate) looked: bool,
    /// Where the token stood: an index into the kinds of the policy's sources.
    pub(crate) source: Option<usize>,
    /// What came of the token; nothing where no token was looked at, or none was there and none is needed.
    pub(crate) verdict: Option<Result<(), Refusal>>,
    /// Whose token it is.
    pub(crate) identity: Option<Rc<Identity>>,
    /// Whether an auth service was asked.
    pub(crate) asked: bool,
    /// The enforcement mode of the check.
    pub(crate) mode: Mode,
    /// Whether the token is bad and counts as none.
    pub(crate) ignored: bool,
    /// The `Set-Cookie` for the answer that takes a bad token out of the browser.
    pub(crate) clear_cookie: Option<Vec<u8>>,
    /// The subprotocol that a WebSocket is opened with, if its service chooses none.
    pub(crate) protocol: Option<String>,
    /// The change that takes the token out of the request.
    pub(crate) strip: Option<Strip>,
    /// The question that an auth service has not answered yet.
    pub(crate) pending: Option<Box<Pending>>,
    /// The question, to be given back to the auth service's breaker.
    pub(crate) call: Option<portcullis_breaker::Call>,
    /// When the check of the token began; anew for a request that has waited for keys.
    pub(crate) began: Mono,
    /// From there to the token's verdict, in microseconds.
    pub(crate) validation_micros: Option<u64>,
    /// From the verdict to the headers for the service, in microseconds.
    pub(crate) context_micros: Option<u64>,
}

impl TokenSlot {
    /// The bearer as services see it. In shadow mode there is none.
    pub(crate) fn bearer(&self) -> Option<&Rc<Identity>> {
        self.identity.as_ref().filter(|_| self.mode == Mode::Enforce)
    }

    /// Whose token it is.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The user's name, as log lines show it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.identity.as_ref()?.user()
    }

    /// What came of the token: good, or why not; nothing where none was looked at, or none was there and none is needed.
    #[must_use]
    pub fn verdict(&self) -> Option<Result<(), Refusal>> {
        self.verdict
    }

    /// The enforcement mode of the check.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How the bearer was authenticated, as log lines show it.
    pub(crate) fn flow(&self) -> &'static str {
        match (&self.identity, self.asked) {
            (None, _) => "none",
            (Some(_), false) => "jwt",
            (Some(_), true) => "introspection",
        }
    }
}

impl Pipeline {
    pub(crate) fn check_token(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let auth = self.route_of(facts).and_then(|route| route.auth.as_ref()).filter(|auth| auth.looks());
        let Some((auth, tokens)) = auth.zip(worker.tokens.as_mut()) else { return Verdict::Continue };
        facts.token.looked = true;
        facts.token.mode = auth.mode();
        // Whoever checks a token believes no other instance's.
        if facts.token.identity.take().is_some() {
            facts.token.asked = false;
        }
        let authn = authenticate(facts, auth, tokens, host);
        self.take_authn(facts, authn, host, worker)
    }

    /// What a request waited for has come, or will not.
    pub(crate) fn on_token_event(
        &self,
        facts: &mut Facts,
        event: Event<'_>,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Verdict {
        match event {
            Event::Ready => self.check_token(facts, host, worker),
            Event::NoRoom => {
                let detail = "as many requests wait already as may";
                self.refuse(facts, Refusal { error: TokenError::KeysPending, detail, provider: None }, host)
            }
            Event::Answer(answer) => match facts.token.pending.take() {
                Some(pending) => self.on_auth_answer(facts, pending, http(answer), host, worker),
                // An answer to nothing that was asked says nothing.
                _ => {
                    let detail = "the auth service answered what nobody asked";
                    self.refuse(
                        facts,
                        Refusal { error: TokenError::RevocationUnknown, detail, provider: None },
                        host,
                    )
                }
            },
        }
    }

    /// When a request is ended that is still under way then: where its route says so, when its token expires.
    #[must_use]
    pub fn ends_at(&self, facts: &Facts) -> Option<Wall> {
        let auth = self.route_of(facts)?.auth.as_ref().filter(|auth| auth.ends_at_expiry())?;
        facts.token.bearer().filter(|_| auth.mode() == Mode::Enforce)?.expires()
    }

    fn on_auth_answer(
        &self,
        facts: &mut Facts,
        pending: Box<Pending>,
        answer: Result<(u16, &[u8]), CallError>,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Verdict {
        self.close_question(facts, &answer, host, worker);
        let Some(tokens) = worker.tokens.as_mut() else {
            return Denial::new(Reason::SERVICE_UNAVAILABLE).into();
        };
        let authn = tokens.on_answer(*pending, answer, host.now(), host);
        self.take_authn(facts, authn, host, worker)
    }

    /// Tells the auth service's breaker what became of a question.
    fn close_question(
        &self,
        facts: &mut Facts,
        answer: &Result<(u16, &[u8]), CallError>,
        host: &dyn Host,
        worker: &mut Worker,
    ) {
        let Some(call) = facts.token.call.take() else { return };
        let outcome = match answer {
            Ok((status, _)) if *status < 500 => Outcome::Answered(host.mono().since(call.begun())),
            // The proxy has no such cluster: a mistake of ours.
            Err(CallError::NotSent) => Outcome::Abandoned,
            Ok(_) | Err(_) => Outcome::Failed,
        };
        self.record_call(facts, call, outcome, host, worker);
    }

    pub(crate) fn route_of(&self, facts: &Facts) -> Option<&Route> {
        self.policy.routes.get(facts.route()?)
    }

    fn take_authn(&self, facts: &mut Facts, authn: Authn, host: &dyn Host, worker: &mut Worker) -> Verdict {
        match authn {
            Authn::Anonymous => Verdict::Continue,
            Authn::Bearer { identity, .. } => {
                facts.token.verdict = Some(Ok(()));
                facts.token.identity = Some(identity);
                facts.token.validation_micros = Some(micros(facts.token.began, host.mono()));
                Verdict::Continue
            }
            Authn::Refused(refusal) => self.refuse(facts, refusal, host),
            // Shadow mode changes nothing, the time that a request takes included.
            Authn::Wait(provider) if facts.token.mode != Mode::Enforce => {
                let (error, detail) = (TokenError::KeysPending, "there are no keys yet");
                self.refuse(facts, Refusal { error, detail, provider: Some(provider) }, host)
            }
            Authn::Wait(_) => Verdict::Wait,
            Authn::Ask(pending) => self.ask(facts, pending, host, worker),
        }
    }

    fn refuse(&self, facts: &mut Facts, refusal: Refusal, host: &dyn Host) -> Verdict {
        facts.token.verdict = Some(Err(refusal));
        facts.token.validation_micros = Some(micros(facts.token.began, host.mono()));
        let auth = self.route_of(facts).and_then(|route| route.auth.as_ref());
        match facts.token.mode {
            Mode::Enforce if auth.is_some_and(|auth| auth.ignores(refusal.error)) => {
                self.ignore(facts);
                Verdict::Continue
            }
            Mode::Enforce => {
                self.clear_cookie(facts, refusal.error);
                self.token_denial(refusal.error).into()
            }
            Mode::Shadow | Mode::Off => Verdict::Continue,
        }
    }

    /// A bad token that counts as none: the service does not see it either.
    fn ignore(&self, facts: &mut Facts) {
        let found = self.jwt.as_deref().and_then(|jwt| Some((jwt, jwt.find(&facts.head).ok().flatten()?)));
        let strip = found.as_ref().and_then(|(jwt, found)| jwt.take_out(&facts.head, found));
        let clear = found.as_ref().and_then(|(jwt, found)| self.clearing(facts, jwt, found));
        facts.token.ignored = true;
        facts.token.strip = strip;
        facts.token.clear_cookie = clear;
    }

    fn clear_cookie(&self, facts: &mut Facts, error: TokenError) {
        if error.is_ours() {
            return;
        }
        let found = self.jwt.as_deref().and_then(|jwt| Some((jwt, jwt.find(&facts.head).ok().flatten()?)));
        facts.token.clear_cookie = found.and_then(|(jwt, found)| self.clearing(facts, jwt, &found));
    }

    fn clearing(&self, facts: &Facts, jwt: &Jwt, found: &Found<'_>) -> Option<Vec<u8>> {
        let auth = self.route_of(facts)?.auth.as_ref().filter(|auth| auth.clears_cookie())?;
        (auth.mode() == Mode::Enforce).then_some(())?;
        jwt.clear_cookie(found).map(|cookie| cookie.as_bytes().to_vec())
    }

    fn ask(&self, facts: &mut Facts, pending: Box<Pending>, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let Some(call) = worker.tokens.as_ref().and_then(|tokens| tokens.question(&pending)) else {
            let detail = "there is no auth service to ask";
            let refusal = Refusal { error: TokenError::RevocationUnknown, detail, provider: None };
            return self.refuse(facts, refusal, host);
        };
        if !self.may_ask(facts, &call, host, worker) {
            let Some(tokens) = worker.tokens.as_mut() else { return Verdict::Continue };
            // An auth service that is not asked gives no answer. It may be asked again, and is not, a few times at most.
            let authn = tokens.on_answer(*pending, Err(CallError::Reset), host.now(), host);
            return self.take_authn(facts, authn, host, worker);
        }
        facts.token.pending = Some(pending);
        facts.token.asked = true;
        Verdict::Call(Call::Http(call))
    }

    /// Whether the auth service's breaker lets a question through; one without a breaker is always asked.
    fn may_ask(&self, facts: &mut Facts, call: &HttpCall, host: &dyn Host, worker: &mut Worker) -> bool {
        let is_it = |index: &&usize| {
            self.policy.services.get(**index).is_some_and(|service| service.name == call.cluster)
        };
        let Some(service) = self.policy.auth_services.iter().find(is_it) else { return true };
        let Some(state) = worker.guards.breakers_mut() else { return true };
        let admitted = self.policy.breakers.admit(*service, state, host);
        facts.token.call = admitted.call;
        facts.guard.transitions.extend(admitted.transition);
        if admitted.failed {
            facts.guard.failures.push(StoreError::Host);
        }
        admitted.denial.is_none()
    }

    /// A refused token as a denial: a bad one with a challenge (RFC 6750 section 3), one that cannot be checked now without.
    pub(crate) fn token_denial(&self, error: TokenError) -> Denial {
        let denial = Denial::new(error.reason());
        match error {
            _ if denial.reason.class != Class::Unauthenticated => denial,
            // A request without any token is given no error code. A challenge has one parameter at least.
            TokenError::Missing => {
                denial.with_header(WWW_AUTHENTICATE, format!("Bearer realm=\"{}\"", self.policy.gateway.name))
            }
            _ => denial.with_header(
                WWW_AUTHENTICATE,
                format!("Bearer error=\"invalid_token\", error_description=\"{}\"", error.message()),
            ),
        }
    }
}

pub(crate) const WWW_AUTHENTICATE: &str = "www-authenticate";

/// An auth service is asked over HTTP.
fn http(answer: Result<Answered<'_>, CallError>) -> Result<(u16, &[u8]), CallError> {
    match answer {
        Ok(Answered::Http(status, body)) => Ok((status, body)),
        Ok(Answered::Grpc(..)) => Err(CallError::Reset),
        Err(error) => Err(error),
    }
}

fn authenticate(facts: &mut Facts, auth: &RouteAuth, tokens: &mut Tokens, host: &dyn Host) -> Authn {
    // A request that has not waited is checked at the time at which it came.
    let now = if facts.token.began == Mono::default() { facts.started } else { host.now() };
    facts.token.began = now.mono;
    let found = match tokens.find(auth, &facts.head) {
        Ok(found) => found,
        Err(refusal) => return Authn::Refused(refusal),
    };
    let authn = tokens.authenticate(auth, found.as_ref(), now, host);
    if let Some(found) = &found {
        facts.token.source = tokens.jwt().source_kind(found);
        let is_enforced = auth.mode() == Mode::Enforce;
        facts.token.strip = tokens.jwt().strip(&facts.head, found).filter(|_| is_enforced);
        let protocol = tokens.jwt().answered_protocol(&facts.head, found).filter(|_| is_enforced);
        facts.token.protocol = protocol.map(str::to_owned);
    }
    authn
}

pub(crate) fn micros(from: Mono, to: Mono) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

/// The bearer of a token, as rules see it.
pub struct Bearer<'i>(pub &'i Identity);

impl Subject for Bearer<'_> {
    fn has_role(&self, role: &str) -> bool {
        self.0.has_role(role)
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.0.has_scope(scope)
    }

    fn any_claim(&self, path: &[String], test: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        self.0.any_claim(path, |value| scalar(value).is_some_and(&mut *test))
    }
}

fn scalar(value: Value<'_>) -> Option<Scalar<'_>> {
    match value {
        Value::Text(text) => Some(Scalar::Text(text)),
        Value::UInt(n) => Some(Scalar::UInt(n)),
        Value::Int(n) => Some(Scalar::Int(n)),
        Value::Float(n) => Some(Scalar::Float(n)),
        Value::Bool(b) => Some(Scalar::Bool(b)),
        Value::Null | Value::List | Value::Object => None,
    }
}
