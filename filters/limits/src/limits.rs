//! The stage: which limits concern a request, and what they say.

use crate::cells::Cells;
use crate::compile::{Identity, WAYS};
use crate::fleet::Refusals;
use crate::gcra::{Judged, Rate};
use crate::headers::Standing;
use crate::key::{Caller, KeyPart};
use crate::metrics::LimitKind;
use crate::secret::{Hashed, Secret};
use crate::section::{OnFailure, RawHeaders, RawService};
use crate::store::StoreError;
use crate::table::{Charge, Charged, Table};
use core::time::Duration;
use portcullis_edge_core::{Class, Denial, Host, Mode, Namespace, Networks, Now, Quota, Reason};

/// A limit was reached.
pub const RATE_LIMITED: Reason = Reason::new("rate_limited", Class::RateLimited, "Too many requests");

/// A limit of `on_failure: deny` could not be counted.
pub const LIMIT_UNKNOWN: Reason =
    Reason::new("limit_unknown", Class::Unavailable, "The gateway cannot tell whether the limit is reached");

/// All limits of a policy.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    pub(crate) rules: Vec<Rule>,
    pub(crate) headers: RawHeaders,
    pub(crate) service: Option<RawService>,
    /// Indices of the rules of each phase, narrow before wide.
    order: [Vec<usize>; 2],
}

/// One limit.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub name: String,
    pub key: Vec<KeyPart>,
    pub identity: Identity,
    pub rate: Rate,
    pub window: Duration,
    /// By route; nothing for all requests.
    pub routes: Option<Vec<bool>>,
    /// By route: the hash of its path, which stays the same when routes are added.
    pub route_ids: Vec<u64>,
    /// By route.
    pub costs: Vec<u64>,
    pub tiers: Vec<Tier>,
    pub exempt_networks: Networks,
    pub exempt_roles: Vec<String>,
    pub is_fleet: bool,
    pub on_failure: OnFailure,
    pub mode: Mode,
}

/// Another limit for some roles.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub roles: Vec<String>,
    pub rate: Rate,
    pub identity: Identity,
}

/// When limits are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anything costs: those that need no token.
    BeforeToken,
    /// Those that count by user, role or claim, once the bearer is known to be allowed in.
    AfterRules,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Index of the limit (see [`Limits::names`]).
    pub rule: usize,
    /// Whether that had an effect.
    pub mode: Mode,
}

/// What limits say of a request; filled in phase by phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Limits that were reached: those in shadow mode, and at most one that refused.
    pub hits: Vec<Hit>,
    /// The limit that the client is nearest to, of those that have an effect.
    pub standing: Option<Standing>,
    /// Why limits could not be counted.
    pub failures: Vec<StoreError>,
    /// How many limits began with what other clients had used, because a flood has filled the table.
    pub crowded: u32,
}

impl Checked {
    /// Keeps the limit that the client is nearer to.
    pub(crate) fn consider(&mut self, standing: Standing) {
        let nearest = self.standing.take().filter(|other| other.remaining <= standing.remaining);
        self.standing = Some(nearest.unwrap_or(standing));
    }
}

/// What a worker needs to count.
pub struct LimitState {
    pub(crate) refusals: Refusals,
    pub(crate) cells: Cells,
    secret: Secret,
    secret_key: String,
    /// Keys that clients choose.
    clients: Table,
    /// Keys that the policy knows: routes, all requests. No flood comes here.
    own: Table,
}

/// 4,096 blocks of 32 clients: 2 MiB when full.
const CLIENT_BITS: u32 = 12;
/// 64 blocks.
const OWN_BITS: u32 = 6;

impl LimitState {
    /// The state of the instance with this namespace.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            refusals: Refusals::default(),
            cells: Cells::default(),
            secret: Secret::default(),
            secret_key: namespace.key("limits/secret"),
            clients: Table::new(namespace.key("limits/c/"), CLIENT_BITS, WAYS),
            own: Table::new(namespace.key("limits/o/"), OWN_BITS, WAYS),
        }
    }

    fn table(&mut self, is_open: bool) -> &mut Table {
        if is_open { &mut self.clients } else { &mut self.own }
    }
}

impl Limits {
    pub(crate) fn new(rules: Vec<Rule>, headers: RawHeaders, service: Option<RawService>) -> Self {
        let mut all: Vec<usize> = (0..rules.len()).collect();
        all.sort_by_key(|index| rules.get(*index).map(Rule::breadth));
        let of_phase = |late: bool| {
            let is_in = |rule: &Rule| rule.is_on() && rule.needs_subject() == late;
            all.iter().copied().filter(|index| rules.get(*index).is_some_and(is_in)).collect()
        };
        let order = [of_phase(false), of_phase(true)];
        Self { rules, headers, service, order }
    }

    /// The names of all limits, by index.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// What a limit counts by.
    #[must_use]
    pub fn kind(&self, index: usize) -> LimitKind {
        kind_of(self.rules.get(index).map(|rule| rule.key.as_slice()).unwrap_or_default())
    }

    /// Whether any limit is asked in this phase.
    #[must_use]
    pub fn has(&self, phase: Phase) -> bool {
        !self.of(phase).is_empty()
    }

    fn of(&self, phase: Phase) -> &[usize] {
        let [before, after] = &self.order;
        match phase {
            Phase::BeforeToken => before,
            Phase::AfterRules => after,
        }
    }

    /// Charges a request to every limit of a phase that concerns it, narrow before wide, up to the first that refuses.
    ///
    /// # Errors
    /// The denial.
    pub fn check(
        &self,
        phase: Phase,
        caller: &Caller<'_>,
        now: Now,
        checked: &mut Checked,
        state: &mut LimitState,
        host: &dyn Host,
    ) -> Result<(), Denial> {
        for index in self.of(phase) {
            let Some(rule) = self.rules.get(*index) else { continue };
            let Some((identity, rate, cost)) = rule.concerns(caller) else { continue };
            match rule.charge((identity, rate, cost), caller, now, state, host) {
                Ok(None) => {}
                Ok(Some(charged)) => {
                    state.cells.count(charged.evicted, false);
                    self.note(*index, rule, rate, charged, now, checked)?;
                }
                Err(error) => {
                    checked.failures.push(error);
                    if rule.on_failure == OnFailure::Deny && rule.mode == Mode::Enforce {
                        return Err(LIMIT_UNKNOWN.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn note(
        &self,
        index: usize,
        rule: &Rule,
        rate: Rate,
        charged: Charged,
        now: Now,
        checked: &mut Checked,
    ) -> Result<(), Denial> {
        checked.crowded = checked.crowded.saturating_add(u32::from(charged.crowded));
        if !charged.judged.is_admitted() {
            checked.hits.push(Hit { rule: index, mode: rule.mode });
        }
        if rule.mode != Mode::Enforce {
            return Ok(());
        }
        let standing = Standing::new(index, rate, charged.judged);
        if charged.judged.is_admitted() {
            checked.consider(standing);
            return Ok(());
        }
        checked.standing = Some(standing);
        Err(refusal(rate, charged.judged, now))
    }

    /// The headers that describe `standing` to a client; `refused` is whether its request was refused by it.
    #[must_use]
    pub fn headers(&self, standing: &Standing, refused: bool, now: Now) -> Vec<(&'static str, Vec<u8>)> {
        match self.rules.get(standing.rule) {
            Some(rule) => standing.headers(&rule.name, rule.window, self.headers, refused, now.wall),
            None => Vec::new(),
        }
    }

    /// What each limit has left for `caller`, without charging it; for `explain`. In the order in which they are asked.
    pub fn explain(
        &self,
        caller: &Caller<'_>,
        now: Now,
        state: &mut LimitState,
        host: &dyn Host,
    ) -> Vec<(&str, Mode, Explained)> {
        let all = self.order.iter().flatten().filter_map(|index| self.rules.get(*index));
        all.map(|rule| (rule.name.as_str(), rule.mode, rule.explain(caller, now, state, host))).collect()
    }
}

/// What a limit would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// It does not concern the request.
    DoesNotConcern,
    /// What it would say of one more request like this.
    Says {
        /// Units of a window.
        limit: u64,
        /// Units that are left now.
        left: u64,
        /// What it would say.
        judged: Judged,
    },
    /// It cannot be asked.
    Failed(StoreError),
}

pub(crate) fn kind_of(key: &[KeyPart]) -> LimitKind {
    let has = |is_it: fn(&KeyPart) -> bool| key.iter().any(is_it);
    match () {
        () if has(|part| matches!(part, KeyPart::Ip)) => LimitKind::PerIp,
        () if has(KeyPart::needs_subject) => LimitKind::PerUser,
        () if has(|part| matches!(part, KeyPart::Header(_))) => LimitKind::PerKey,
        () => LimitKind::Global,
    }
}

fn refusal(rate: Rate, judged: Judged, now: Now) -> Denial {
    let quota =
        Quota { limit: rate.limit(), remaining: judged.remaining, reset: now.wall.plus(judged.reset) };
    let mut denial = Denial::new(RATE_LIMITED).retry_after(judged.retry);
    denial.quota = Some(quota);
    denial
}

impl Rule {
    /// Which of its limits a request counts for, and how many units; nothing where it does not.
    pub(crate) fn concerns(&self, caller: &Caller<'_>) -> Option<(Identity, Rate, u64)> {
        if let Some(routes) = &self.routes {
            caller.route.and_then(|route| routes.get(route)).filter(|named| **named)?;
        }
        let has_role = |roles: &[String]| {
            caller.subject.is_some_and(|subject| roles.iter().any(|role| subject.has_role(role)))
        };
        let is_exempt = caller.network.is_some_and(|network| self.exempt_networks.contains(network));
        if is_exempt || has_role(&self.exempt_roles) {
            return None;
        }
        let cost = caller.route.and_then(|route| self.costs.get(route)).copied().unwrap_or(1);
        let tier = self.tiers.iter().find(|tier| has_role(&tier.roles));
        let (identity, rate) = tier.map_or((self.identity, self.rate), |tier| (tier.identity, tier.rate));
        (cost > 0).then_some((identity, rate, cost))
    }

    /// Nothing where the request lacks a part of the key.
    fn charge(
        &self,
        (identity, rate, cost): (Identity, Rate, u64),
        caller: &Caller<'_>,
        now: Now,
        state: &mut LimitState,
        host: &dyn Host,
    ) -> Result<Option<Charged>, StoreError> {
        let Some(key) = self.hash(identity, caller, state, host)? else { return Ok(None) };
        let charge = Charge { key, tag: identity.tag, rate, cost, now: now.mono.0 };
        state.table(self.is_open()).charge(&charge, host).map(Some)
    }

    pub(crate) fn hash(
        &self,
        identity: Identity,
        caller: &Caller<'_>,
        state: &mut LimitState,
        host: &dyn Host,
    ) -> Result<Option<Hashed>, StoreError> {
        let mut hasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(identity.hash);
        let route = caller.route.and_then(|route| self.route_ids.get(route)).copied().unwrap_or(0);
        let is_whole = self.key.iter().all(|part| part.add(caller, route, &mut hasher));
        Ok(is_whole.then(|| hasher.finish()))
    }

    fn explain(&self, caller: &Caller<'_>, now: Now, state: &mut LimitState, host: &dyn Host) -> Explained {
        let Some((identity, rate, cost)) = self.concerns(caller) else { return Explained::DoesNotConcern };
        let key = match self.hash(identity, caller, state, host) {
            Ok(Some(key)) => key,
            Ok(None) => return Explained::DoesNotConcern,
            Err(error) => return Explained::Failed(error),
        };
        let charge = Charge { key, tag: identity.tag, rate, cost, now: now.mono.0 };
        match state.table(self.is_open()).look(&charge, host) {
            Ok(Charged { judged, .. }) => {
                let back = if judged.is_admitted() { cost } else { 0 };
                Explained::Says { limit: rate.limit(), left: judged.remaining.saturating_add(back), judged }
            }
            Err(error) => Explained::Failed(error),
        }
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
