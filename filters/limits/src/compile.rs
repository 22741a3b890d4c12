//! The section `limits`, checked.

use crate::fleet::UNITS;
use crate::gcra::Rate;
use crate::key::KeyPart;
use crate::limits::{Limits, Rule, Tier};
use crate::section::{RawLimits, RawRule, RawScope, RawTier};
use crate::table::Tag;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Mode, Networks, Node, PolicyDuration, check_label_name};
use siphasher::sip::SipHasher13;

/// Keys of one block; limits whose keys are open must be fewer (see [`crate::Table`]).
pub(crate) const WAYS: usize = 32;

const SHORTEST: PolicyDuration = PolicyDuration::secs(1);
const LONGEST: PolicyDuration = PolicyDuration::secs(86_400);
const SHORTEST_ANSWER: PolicyDuration = PolicyDuration::millis(1);
const LONGEST_ANSWER: PolicyDuration = PolicyDuration::secs(10);

/// More units a second than this could not be told apart in nanoseconds.
const MOST_A_SECOND: u64 = 1_000_000;

impl RawLimits {
    /// Checks the section, which stands at `at`. `routes` are the paths of the policy's routes as written, by index; `clusters` the
    /// names of its clusters.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, routes: &[&str], clusters: &[&str]) -> Result<Limits, Vec<ConfigError>> {
        let mut errors = self.check_service(&at.key("service"), clusters);
        let place = at.key("rules");
        let mut rules = Vec::new();
        for (name, raw) in self.rules.iter() {
            let at = place.key(name);
            errors.extend(self.check_rule(name, raw, &at));
            match raw.compile(name, &at, routes) {
                Ok(rule) => rules.push(rule),
                Err(more) => errors.extend(more),
            }
        }
        errors.extend(too_many(&rules, &place));
        if errors.is_empty() {
            Ok(Limits::new(rules, self.headers, self.service.clone()))
        } else {
            Err(errors)
        }
    }

    fn check_rule(&self, name: &str, raw: &RawRule, at: &Node) -> Vec<ConfigError> {
        let wrong_name = check_label_name(name, at);
        let is_alone = raw.scope == RawScope::Fleet && self.service.is_none();
        let no_service =
            is_alone.then(|| at.key("scope").error("`fleet`", "a section `limits.service` beside it"));
        let has_unit = UNITS.contains(&raw.window.0.as_secs()) && raw.window.0.subsec_nanos() == 0;
        let no_unit = (raw.scope == RawScope::Fleet && !has_unit).then(|| {
            let expected = "`1s`, `1m`, `1h` or `1d`, in which the fleet's service counts";
            at.key("window").error(format!("`{}`", raw.window), expected)
        });
        wrong_name.into_iter().chain(no_service).chain(no_unit).collect()
    }

    fn check_service(&self, at: &Node, clusters: &[&str]) -> Vec<ConfigError> {
        let Some(service) = &self.service else { return Vec::new() };
        let mut errors: Vec<_> = service
            .timeout
            .outside(SHORTEST_ANSWER, LONGEST_ANSWER, &at.key("timeout"))
            .into_iter()
            .collect();
        if !clusters.contains(&service.cluster.as_str()) {
            let found = format!("`{}`", service.cluster.escape_debug());
            let error = at.key("cluster").error(found, "the name of a cluster of the policy");
            errors.push(error.near(&service.cluster, clusters.iter().copied()));
        }
        if service.domain.is_empty() {
            errors.push(at.key("domain").error("``", "the domain of the service's configuration"));
        }
        errors
    }
}

/// Limits, tiers counted, whose keys are open share blocks of [`WAYS`] places.
fn too_many(rules: &[Rule], at: &Node) -> Option<ConfigError> {
    let open = rules.iter().filter(|rule| rule.is_open());
    let tags: usize = open.map(|rule| rule.tiers.len().saturating_add(1)).sum();
    let expected =
        format!("fewer than {WAYS} limits with other keys than `route` and `service`, tiers counted");
    (tags >= WAYS).then(|| at.error(format!("{tags} limits"), expected))
}

impl RawRule {
    fn compile(&self, name: &str, at: &Node, routes: &[&str]) -> Result<Rule, Vec<ConfigError>> {
        let mut errors: Vec<_> =
            self.window.outside(SHORTEST, LONGEST, &at.key("window")).into_iter().collect();
        let rate = self.rate(self.limit, self.burst, at).map_err(|error| errors.push(error)).ok();
        let tiers: Vec<_> = self
            .tiers
            .iter()
            .enumerate()
            .filter_map(|(index, tier)| {
                let at = at.key("tiers").index(index);
                self.tier(name, tier, &at).map_err(|more| errors.extend(more)).ok()
            })
            .collect();
        errors.extend(self.check_routes(at, routes));
        let exempt = Networks::compile(&self.exempt.networks, &at.key("exempt").key("networks"), &mut errors);
        let smallest = rate.iter().chain(tiers.iter().map(|tier| &tier.rate)).map(Rate::burst).min();
        errors.extend(self.check_costs(smallest.unwrap_or(u64::MAX), &at.key("costs")));
        let Some(rate) = rate.filter(|_| errors.is_empty()) else { return Err(errors) };
        Ok(Rule {
            name: name.to_owned(),
            key: self.key.clone(),
            identity: self.identity(name, rate, "base"),
            rate,
            window: self.window.0,
            routes: (!self.routes.is_empty())
                .then(|| routes.iter().map(|route| self.routes.iter().any(|r| r == route)).collect()),
            route_ids: routes.iter().map(|route| plain_hash(route)).collect(),
            costs: routes.iter().map(|route| self.costs.get(*route).copied().unwrap_or(1)).collect(),
            tiers,
            exempt_networks: exempt,
            exempt_roles: self.exempt.roles.clone(),
            is_fleet: self.scope == RawScope::Fleet,
            on_failure: self.on_failure,
            mode: self.mode,
        })
    }

    fn rate(&self, limit: u64, burst: Option<u64>, at: &Node) -> Result<Rate, ConfigError> {
        let seconds = self.window.0.as_secs().max(1);
        let most = seconds.saturating_mul(MOST_A_SECOND);
        if !(1..=most).contains(&limit) {
            return Err(at
                .key("limit")
                .error(format!("`{limit}`"), format!("a whole number from 1 to {most}")));
        }
        let burst = burst.unwrap_or(limit);
        let window = self.window.0.clamp(SHORTEST.0, LONGEST.0);
        if !(1..=most).contains(&burst) {
            return Err(at
                .key("burst")
                .error(format!("`{burst}`"), format!("a whole number from 1 to {most}")));
        }
        Rate::new(limit, window, burst)
            .ok_or_else(|| at.key("burst").error(format!("`{burst}`"), "a smaller burst"))
    }

    fn tier(&self, name: &str, raw: &RawTier, at: &Node) -> Result<Tier, Vec<ConfigError>> {
        let mut errors = Vec::new();
        if raw.roles.is_empty() {
            errors.push(at.key("roles").error("an empty list", "one role or more"));
        }
        match self.rate(raw.limit, raw.burst, at) {
            Ok(rate) if errors.is_empty() => {
                let identity = self.identity(name, rate, &raw.roles.join("\n"));
                Ok(Tier { roles: raw.roles.clone(), rate, identity })
            }
            rate => Err(errors.into_iter().chain(rate.err()).collect()),
        }
    }

    fn check_routes(&self, at: &Node, routes: &[&str]) -> Vec<ConfigError> {
        let named = self.routes.iter().enumerate().map(|(i, route)| (at.key("routes").index(i), route));
        let priced = self.costs.keys().map(|route| (at.key("costs").key(route), route));
        let unknown = named.chain(priced).filter(|(_, route)| !routes.contains(&route.as_str()));
        unknown
            .map(|(at, route)| {
                let found = format!("`{}`", route.escape_debug());
                at.error(found, "the path of a route, as it stands there").near(route, routes.iter().copied())
            })
            .collect()
    }

    fn check_costs(&self, burst: u64, at: &Node) -> Vec<ConfigError> {
        let too_dear = self.costs.iter().filter(|(_, cost)| **cost > burst);
        let expected = format!("no more than the burst, which is {burst}: it would never pass");
        too_dear.map(|(route, cost)| at.key(route).error(format!("`{cost}`"), expected.as_str())).collect()
    }

    /// What a limit is, for its state to be kept through a new policy: if any of this changes, it is another limit and begins anew.
    fn identity(&self, name: &str, rate: Rate, tier: &str) -> Identity {
        // Without a secret, so that it is the same in every worker and under every policy.
        let mut hasher = SipHasher13::new();
        (name, tier, rate.limit(), rate.interval(), rate.span()).hash(&mut hasher);
        self.key.iter().for_each(|part| format!("{part:?}").hash(&mut hasher));
        let hash = hasher.finish();
        // 0 is no tag.
        let tag = u16::try_from(hash >> 48).unwrap_or(0).max(1);
        Identity { hash, tag: Tag(tag) }
    }
}

pub(crate) fn plain_hash(path: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Which limit a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub hash: u64,
    pub tag: Tag,
}

impl Rule {
    /// Whether its keys are as many as clients like.
    pub(crate) fn is_open(&self) -> bool {
        self.key.iter().any(KeyPart::is_open)
    }

    /// Whether it can only be asked once the token has been looked at.
    pub(crate) fn needs_subject(&self) -> bool {
        let by_role = !self.tiers.is_empty() || !self.exempt_roles.is_empty();
        by_role || self.key.iter().any(KeyPart::needs_subject)
    }

    /// How narrow it is: the narrowest are asked first, so that whoever is refused alone uses nothing of what all share.
    pub(crate) fn breadth(&self) -> (u8, usize, Duration) {
        let kind = match () {
            () if self.key.is_empty() => 3,
            () if !self.is_open() => 2,
            () if self
                .key
                .iter()
                .all(|part| matches!(part, KeyPart::Role | KeyPart::Route | KeyPart::Service)) =>
            {
                1
            }
            () => 0,
        };
        (kind, usize::MAX.saturating_sub(self.key.len()), self.window)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.mode != Mode::Off
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
