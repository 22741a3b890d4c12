//! The stages by which the gateway guards itself and its services: blocked networks, limits, places, breakers.

use crate::{Event, Facts, Pipeline, Worker};
use portcullis_breaker::metrics::Guarded;
use portcullis_breaker::{BreakerState, Call, State, Transition};
use portcullis_edge_core::{CallError, Denial, Host, Mode, Namespace, Verdict};
use portcullis_jwt::{Identity, Tokens, Value};
use portcullis_limits::{
    Asked, Caller, CellTable, Cells, Checked, ConcurrencyState, Explained, Fleet, Held, LimitState,
    LoginState, NETWORK_BLOCKED, Noted, Phase, StoreError, Subject, Suspect, TOKEN_ABUSED, TokenUseState,
};
use portcullis_policy::Policy;
use portcullis_source_check::Wrong;

/// What a worker needs for these stages; nothing for sections that the policy does not have.
pub struct Guards {
    limits: Option<LimitState>,
    places: Option<ConcurrencyState>,
    breakers: Option<BreakerState>,
    logins: Option<LoginState>,
    token_use: Option<TokenUseState>,
}

impl Guards {
    /// What the worker with this number begins with.
    pub(crate) fn new(policy: &Policy, namespace: &Namespace, worker: u32) -> Self {
        let has_limits = policy.limits.has(Phase::BeforeToken) || policy.limits.has(Phase::AfterRules);
        Self {
            limits: has_limits.then(|| LimitState::new(namespace)),
            places: (!policy.concurrency.is_empty()).then(|| ConcurrencyState::new(namespace, worker)),
            breakers: policy.breakers.any().then(|| policy.breakers.state(namespace)),
            logins: policy.abuse.logins.as_ref().map(|_| LoginState::new(namespace)),
            token_use: policy.abuse.tokens.as_ref().map(|_| TokenUseState::new(namespace)),
        }
    }
}

impl Guards {
    pub(crate) fn places_mut(&mut self) -> Option<&mut ConcurrencyState> {
        self.places.as_mut()
    }

    pub(crate) fn breakers_mut(&mut self) -> Option<&mut BreakerState> {
        self.breakers.as_mut()
    }

    pub(crate) fn logins_mut(&mut self) -> Option<&mut LoginState> {
        self.logins.as_mut()
    }

    /// What each service's breaker shows.
    pub fn breaker_states(&self, policy: &Policy, host: &dyn Host) -> Vec<(Guarded, State)> {
        let Some(state) = &self.breakers else { return Vec::new() };
        let states = policy.breakers.levels(state, host).enumerate();
        states.filter_map(|(service, state)| Some((policy.breakers.label(service), state?))).collect()
    }

    /// What the breaker of the auth service shows, the worst of several; nothing where none has one.
    pub fn auth_state(policy: &Policy, states: &[(Guarded, State)]) -> Option<State> {
        let of = |service: &usize| {
            let label = policy.breakers.label(*service);
            states.iter().find(|(guarded, _)| *guarded == label).map(|(_, state)| *state)
        };
        let worst = |state: &State| match state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        policy.auth_services.iter().filter_map(of).max_by_key(worst)
    }

    /// What the tables could not keep, by table.
    pub fn cells(&self) -> [(CellTable, Cells); 4] {
        let limits = self.limits.as_ref().map_or_else(Cells::default, LimitState::cells);
        let logins = self.logins.as_ref().map_or_else(Cells::default, LoginState::cells);
        let tokens = self.token_use.as_ref().map_or_else(Cells::default, TokenUseState::cells);
        let places = self.places.as_ref().map_or_else(Cells::default, ConcurrencyState::cells);
        [
            (CellTable::Limits, limits),
            (CellTable::Logins, logins),
            (CellTable::Tokens, tokens),
            (CellTable::Places, places),
        ]
    }

    /// To be called on every tick.
    pub fn tick(&mut self, host: &dyn Host) {
        self.places.iter_mut().for_each(|places| places.beat(host));
    }
}

/// What these stages said of a request.
#[derive(Debug, Default)]
pub struct GuardSlot {
    /// Whether the client's network is on the policy's list.
    pub(crate) blocked: Option<Mode>,
    /// Whether the client may not log in for a while.
    pub(crate) login_blocked: Option<Mode>,
    /// Whether nobody can tell which account the login is for.
    pub(crate) login_unreadable: Option<Mode>,
    /// Whether the token is in use in too many places.
    pub(crate) token_abused: Option<Mode>,
    /// Whether the request comes from the gateway, where that is checked.
    pub(crate) source: Option<(Result<(), Wrong>, Mode)>,
    pub(crate) limits: Checked,
    /// The question that the fleet's service has not answered yet.
    pub(crate) asked: Asked,
    /// Limits of requests at once that were reached: index and mode.
    pub(crate) places: Vec<(usize, Mode)>,
    pub(crate) held: Held,
    /// The call to be given back to its breaker.
    pub(crate) call: Option<Call>,
    /// Whether a breaker refused the request, or would have.
    pub(crate) breaker_open: Option<Mode>,
    pub(crate) transitions: Vec<Transition>,
    /// What came of a login, for the client's network.
    pub(crate) login: Option<Noted>,
    /// Whether what came of a login was noted.
    pub(crate) login_noted: bool,
    /// The account that a login named.
    pub(crate) account: Option<Suspect>,
    /// What came of a login, for its account.
    pub(crate) account_login: Option<Noted>,
    /// Shared state that could not be had or changed.
    pub(crate) failures: Vec<StoreError>,
}

impl GuardSlot {
    /// Whether nothing happened that is counted.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_free =
            self.limits.hits.is_empty() && self.limits.crowded == 0 && self.limits.failures.is_empty();
        let is_good = self.blocked.is_none()
            && self.login_blocked.is_none()
            && self.login_unreadable.is_none()
            && self.token_abused.is_none();
        let is_known = self.source.is_none();
        let is_calm = self.breaker_open.is_none() && self.transitions.is_empty() && self.login.is_none();
        is_free && is_good && is_known && is_calm && self.places.is_empty() && self.failures.is_empty()
    }
}

impl Pipeline {
    /// The stage `Network`: who may not come in, and who may not log in for a while.
    pub(crate) fn check_network(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let network = self.policy.client_ip.network(facts.client).address();
        facts.guard.blocked = self.policy.abuse.blocks(network);
        if facts.guard.blocked == Some(Mode::Enforce) {
            return Denial::new(NETWORK_BLOCKED).into();
        }
        self.check_login(facts, host, worker)
    }

    /// The stages `EarlyLimits` and `LateLimits`.
    pub(crate) fn check_limits(
        &self,
        phase: Phase,
        facts: &mut Facts,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Verdict {
        if !self.policy.limits.has(phase) {
            return Verdict::Continue;
        }
        let Some(state) = worker.guards.limits.as_mut() else { return Verdict::Continue };
        let mut checked = core::mem::take(&mut facts.guard.limits);
        let bearer = facts.token.bearer().map(|identity| User(identity));
        let subject = bearer.as_ref().map(|bearer| bearer as &dyn Subject);
        let caller = self.caller(facts, subject);
        let verdict = self.policy.limits.check(phase, &caller, host.now(), &mut checked, state, host);
        facts.guard.limits = checked;
        verdict.map_or_else(Verdict::from, |()| Verdict::Continue)
    }

    /// The stage `FleetLimits`.
    pub(crate) fn ask_fleet(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        if !self.policy.limits.has_fleet() {
            return Verdict::Continue;
        }
        let Some(state) = worker.guards.limits.as_mut() else { return Verdict::Continue };
        let mut checked = core::mem::take(&mut facts.guard.limits);
        let bearer = facts.token.bearer().map(|identity| User(identity));
        let subject = bearer.as_ref().map(|bearer| bearer as &dyn Subject);
        let caller = self.caller(facts, subject);
        let fleet = self.policy.limits.ask_fleet(&caller, host.now(), &mut checked, state, host);
        facts.guard.limits = checked;
        match fleet {
            Fleet::Nothing => Verdict::Continue,
            Fleet::Refused(denial) => Verdict::Deny(denial),
            Fleet::Ask(call, asked) => {
                facts.guard.asked = asked;
                Verdict::Call(call)
            }
        }
    }

    /// The fleet's service has answered, or will not.
    pub(crate) fn on_fleet_event(
        &self,
        facts: &mut Facts,
        event: Event<'_>,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Verdict {
        let answer = match event {
            Event::Answer(answer) => answer,
            Event::Ready | Event::NoRoom => Err(CallError::NotSent),
        };
        let Some(state) = worker.guards.limits.as_mut() else { return Verdict::Continue };
        let asked = core::mem::take(&mut facts.guard.asked);
        let (limits, checked) = (&self.policy.limits, &mut facts.guard.limits);
        let verdict = limits.on_fleet_answer(&asked, answer, host.now(), checked, state);
        verdict.map_or_else(Verdict::Deny, |()| Verdict::Continue)
    }

    /// The stage `Places`: how many requests are under way at once.
    pub(crate) fn take_places(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let Some(state) = worker.guards.places.as_mut() else { return Verdict::Continue };
        let taken = self.policy.concurrency.take(&self.caller(facts, None), state, host);
        facts.guard.held = taken.held;
        facts.guard.places = taken.hits;
        facts.guard.failures.extend(taken.failures);
        taken.denial.map_or(Verdict::Continue, Verdict::from)
    }

    /// The stage `TokenUse`: whether the token is in use in too many places.
    pub(crate) fn check_token_use(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let rule = self.policy.abuse.tokens.as_ref();
        let Some((rule, state)) = rule.zip(worker.guards.token_use.as_mut()) else {
            return Verdict::Continue;
        };
        let Some(token) = self.token_id(facts, worker.tokens.as_ref()) else { return Verdict::Continue };
        let network = self.policy.client_ip.network(facts.client).address();
        match rule.may_use(token, network, state, host) {
            Ok(true) => Verdict::Continue,
            Ok(false) => {
                facts.guard.token_abused = Some(rule.mode());
                refuse_if(rule.mode(), Denial::new(TOKEN_ABUSED))
            }
            Err(error) => {
                facts.guard.failures.push(error);
                Verdict::Continue
            }
        }
    }

    /// Tells a good token from others.
    fn token_id(&self, facts: &Facts, tokens: Option<&Tokens>) -> Option<u64> {
        let (identity, auth) = (facts.token.bearer()?, self.route_of(facts)?.auth.as_ref()?);
        let found = tokens?.find(auth, &facts.head).ok().flatten()?;
        Some(identity.token_id(&found.token))
    }

    /// The stage `Breaker`: whether the service is called at all.
    pub(crate) fn ask_breaker(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let service = self.route_of(facts).map(|route| route.service);
        let Some((service, state)) = service.zip(worker.guards.breakers.as_mut()) else {
            return Verdict::Continue;
        };
        let admitted = self.policy.breakers.admit(service, state, host);
        facts.guard.call = admitted.call;
        facts.guard.transitions.extend(admitted.transition);
        if admitted.failed {
            facts.guard.failures.push(StoreError::Host);
        }
        if admitted.denial.is_some() || admitted.shadow {
            facts.guard.breaker_open = Some(self.policy.breakers.mode(service));
        }
        admitted.denial.map_or(Verdict::Continue, Verdict::from)
    }

    /// What each limit has left for the caller of a request, in the order in which they are asked, without charging it.
    pub fn limits_left(
        &self,
        facts: &Facts,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Vec<(&str, Mode, Explained)> {
        let Some(state) = worker.guards.limits.as_mut() else { return Vec::new() };
        let bearer = facts.token.bearer().map(|identity| User(identity));
        let subject = bearer.as_ref().map(|bearer| bearer as &dyn Subject);
        self.policy.limits.explain(&self.caller(facts, subject), host.now(), state, host)
    }

    pub(crate) fn caller<'a>(&'a self, facts: &'a Facts, subject: Option<&'a dyn Subject>) -> Caller<'a> {
        let route = facts.matched_route();
        let service = route.and_then(|route| self.policy.routes.get(route));
        let service = service.and_then(|route| self.policy.services.get(route.service));
        Caller {
            network: self.policy.client_ip.network(facts.client).address(),
            route,
            service: service.map(|service| service.name.as_str()),
            headers: &facts.head.headers,
            subject,
        }
    }
}

pub(crate) fn refuse_if(mode: Mode, denial: Denial) -> Verdict {
    if mode == Mode::Enforce { denial.into() } else { Verdict::Continue }
}

/// The bearer of a token, as limits see it.
pub(crate) struct User<'i>(pub &'i Identity);

impl Subject for User<'_> {
    fn user(&self) -> Option<&str> {
        self.0.user()
    }

    fn has_role(&self, role: &str) -> bool {
        self.0.has_role(role)
    }

    fn each_role(&self, visit: &mut dyn FnMut(&str)) {
        self.0.roles().for_each(visit);
    }

    fn each_value(&self, path: &[String], visit: &mut dyn FnMut(&[u8])) -> bool {
        let mut found = false;
        // No value passes, so that all are seen.
        let _ = self.0.any_claim(path, |value| {
            found |= visit_scalar(&value, visit);
            false
        });
        found
    }
}

fn visit_scalar(value: &Value<'_>, visit: &mut dyn FnMut(&[u8])) -> bool {
    match value {
        Value::Text(text) => visit(text.as_bytes()),
        Value::UInt(n) => visit(n.to_string().as_bytes()),
        Value::Int(n) => visit(n.to_string().as_bytes()),
        Value::Float(n) => visit(n.to_string().as_bytes()),
        Value::Bool(b) => visit(b.to_string().as_bytes()),
        Value::Null | Value::List | Value::Object => return false,
    }
    true
}
