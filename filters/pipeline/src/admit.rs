//! Whether the one who asks may: the token's verdict, then the route's rules.

use crate::access::Bearer;
use crate::{Facts, Pipeline, Proxy, Step, Target, Worker};
use portcullis_authz::{Forbidden, Rules};
use portcullis_edge_core::{Because, CallError, DenyReason, Mode, Mono, Now};
use portcullis_jwt::{Authn, Pending, Refusal, RouteAuth, TokenError, Tokens};
use portcullis_policy::Route;

impl Pipeline {
    /// Judges the bearer of a request to a route.
    pub(crate) fn admit(
        &self,
        facts: &mut Facts,
        route: &Route,
        now: Now,
        worker: &mut Worker,
        proxy: &dyn Proxy,
    ) -> Step {
        let authn = match route.auth.as_ref().filter(|auth| auth.looks()).zip(worker.tokens.as_mut()) {
            None => Authn::Anonymous,
            Some((auth, tokens)) => {
                facts.access.looked = true;
                facts.access.mode = auth.mode();
                facts.access.began = now.mono;
                authenticate(facts, auth, tokens, now, proxy)
            }
        };
        self.judge(facts, route, authn, worker, proxy)
    }

    /// Judges a request again that has waited: what it waited for has come, or will not.
    pub fn resume(&self, facts: &mut Facts, now: Now, worker: &mut Worker, proxy: &dyn Proxy) -> Step {
        match self.route_of(facts) {
            Some(route) => self.admit(facts, route, now, worker, proxy),
            None => Step::Forward(self.forward(facts, proxy)),
        }
    }

    /// Judges a request with the auth service's answer: status and body, or why there is none.
    pub fn on_auth_answer(
        &self,
        facts: &mut Facts,
        answer: Result<(u16, &[u8]), CallError>,
        now: Now,
        worker: &mut Worker,
        proxy: &dyn Proxy,
    ) -> Step {
        let pending = facts.access.pending.take();
        match (pending, worker.tokens.as_mut(), self.route_of(facts)) {
            (Some(pending), Some(tokens), Some(route)) => {
                let authn = tokens.on_answer(*pending, answer, now, proxy);
                self.judge(facts, route, authn, worker, proxy)
            }
            // An answer that nobody waits for tells nothing.
            _ => self.refuse_waiting(facts, proxy),
        }
    }

    /// Judges a request that may not wait: as many wait already as may.
    pub fn refuse_waiting(&self, facts: &mut Facts, proxy: &dyn Proxy) -> Step {
        let refusal = Refusal {
            error: TokenError::KeysPending,
            detail: "as many requests wait already as may",
            provider: None,
        };
        match self.route_of(facts) {
            Some(route) => self.refused(facts, route, refusal, proxy),
            None => self.deny(facts, token_denial(refusal.error)),
        }
    }

    fn route_of(&self, facts: &Facts) -> Option<&Route> {
        match facts.target {
            Target::Route(route) => self.policy.routes.get(route),
            _ => None,
        }
    }

    fn judge(
        &self,
        facts: &mut Facts,
        route: &Route,
        authn: Authn,
        worker: &Worker,
        proxy: &dyn Proxy,
    ) -> Step {
        match authn {
            Authn::Anonymous => self.authorise(facts, route, proxy),
            Authn::Bearer { identity, .. } => {
                facts.access.token = Some(Ok(()));
                facts.access.identity = Some(identity);
                facts.access.validation_micros = Some(micros(facts.access.began, proxy.mono()));
                self.authorise(facts, route, proxy)
            }
            Authn::Refused(refusal) => self.refused(facts, route, refusal, proxy),
            Authn::Wait(provider) if facts.access.mode != Mode::Enforce => {
                let (error, detail) = (TokenError::KeysPending, "there are no keys yet");
                self.refused(facts, route, Refusal { error, detail, provider: Some(provider) }, proxy)
            }
            Authn::Wait(_) => Step::Wait,
            Authn::Ask(pending) => self.ask(facts, route, pending, worker, proxy),
        }
    }

    fn refused(&self, facts: &mut Facts, route: &Route, refusal: Refusal, proxy: &dyn Proxy) -> Step {
        facts.access.token = Some(Err(refusal));
        facts.access.validation_micros = Some(micros(facts.access.began, proxy.mono()));
        match facts.access.mode {
            Mode::Enforce => self.deny(facts, token_denial(refusal.error)),
            Mode::Shadow | Mode::Off => self.authorise(facts, route, proxy),
        }
    }

    fn ask(
        &self,
        facts: &mut Facts,
        route: &Route,
        pending: Box<Pending>,
        worker: &Worker,
        proxy: &dyn Proxy,
    ) -> Step {
        let Some(call) = worker.tokens.as_ref().and_then(|tokens| tokens.question(&pending)) else {
            let detail = "there is no auth service to ask";
            let refusal = Refusal { error: TokenError::RevocationUnknown, detail, provider: None };
            return self.refused(facts, route, refusal, proxy);
        };
        facts.access.pending = Some(pending);
        facts.access.asked = true;
        Step::Ask(call)
    }

    /// The route's rules, which have the last word.
    fn authorise(&self, facts: &mut Facts, route: &Route, proxy: &dyn Proxy) -> Step {
        let Some((rules, mode)) = rules_in_force(facts, route) else {
            return Step::Forward(self.forward(facts, proxy));
        };
        let subject =
            if mode == Mode::Enforce { facts.access.bearer() } else { facts.access.identity.as_ref() };
        let subject = subject.map(|identity| Bearer(identity));
        let verdict = rules.check(subject.as_ref(), facts.client.address());
        let reason = verdict.err().map(|forbidden| denial(forbidden, rules, subject.is_some()));
        facts.access.permission = Some((verdict, mode));
        match reason.filter(|_| mode == Mode::Enforce) {
            Some(reason) => self.deny(facts, reason),
            None => Step::Forward(self.forward(facts, proxy)),
        }
    }
}

fn authenticate(
    facts: &mut Facts,
    auth: &RouteAuth,
    tokens: &mut Tokens,
    now: Now,
    proxy: &dyn Proxy,
) -> Authn {
    let found = match tokens.find(auth, &facts.head) {
        Ok(found) => found,
        Err(refusal) => return Authn::Refused(refusal),
    };
    let authn = tokens.authenticate(auth, found.as_ref(), now, proxy);
    if let Some(found) = &found {
        facts.access.source = tokens.jwt().source_kind(found);
        let is_meant = auth.mode() == Mode::Enforce;
        facts.access.strip = tokens.jwt().strip(&facts.head, found).filter(|_| is_meant);
    }
    authn
}

/// The rules of a route that have a say. Those about a bearer have none on a request whose token was refused in vain.
fn rules_in_force<'r>(facts: &Facts, route: &'r Route) -> Option<(&'r Rules, Mode)> {
    let rules = route.rules.as_ref().filter(|rules| rules.mode() != Mode::Off)?;
    let in_vain = matches!(facts.access.token, Some(Err(_))) && rules.speak_of_subject();
    (!in_vain).then_some((rules, rules.mode()))
}

/// How a refused token is told.
pub(crate) fn token_denial(error: TokenError) -> DenyReason {
    let because = Because { reason: error.as_str(), message: error.message() };
    if error.is_ours() { DenyReason::TokenUnknown(because) } else { DenyReason::BadToken(because) }
}

/// How a broken rule is told: where only a bearer may pass and there is none, a token would help.
fn denial(forbidden: Forbidden, rules: &Rules, has_bearer: bool) -> DenyReason {
    if !has_bearer && rules.needs_subject() {
        return token_denial(TokenError::Missing);
    }
    let message = "You may not do this";
    DenyReason::Forbidden(Because { reason: forbidden.as_str(), message })
}

pub(crate) fn micros(from: Mono, to: Mono) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}
