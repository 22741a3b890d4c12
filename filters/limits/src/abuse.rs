//! The section `abuse`, checked: who may not come in at all, and the rules on logins and tokens.

use crate::abuse_section::{RawAbuse, RawLogins, RawTokens};
use crate::logins::Logins;
use crate::token_use::TokenUse;
use core::net::IpAddr;
use portcullis_edge_core::{Class, ConfigError, Mode, Networks, Node, PolicyDuration, Reason};

/// The client's network is on the policy's list.
pub const NETWORK_BLOCKED: Reason = Reason::new("network_blocked", Class::Blocked, "This address is blocked");

/// The compiled section.
#[derive(Clone, Debug, Default)]
pub struct Abuse {
    blocked: Networks,
    blocked_mode: Mode,
    trusted: Networks,
    /// Logins that fail too often.
    pub logins: Option<Logins>,
    /// Tokens that are used in too many places.
    pub tokens: Option<TokenUse>,
}

impl RawAbuse {
    /// Checks the section, which stands at `at`; `routes` are the paths of the policy's routes, by index.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, routes: &[&str]) -> Result<Abuse, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let place = at.key("blocked").key("networks");
        let blocked = Networks::compile(&self.blocked.networks, &place, &mut errors);
        let trusted = Networks::compile(&self.trusted_networks, &at.key("trusted_networks"), &mut errors);
        let logins = self.failed_logins.as_ref();
        errors.extend(logins.iter().flat_map(|logins| logins.check(&at.key("failed_logins"), routes)));
        errors.extend(self.tokens.iter().flat_map(|tokens| tokens.check(&at.key("tokens"))));
        if !errors.is_empty() {
            return Err(errors);
        }
        let logins =
            logins.filter(|logins| logins.mode != Mode::Off).map(|logins| Logins::new(logins, routes));
        let tokens = self.tokens.as_ref().filter(|tokens| tokens.mode != Mode::Off).map(TokenUse::new);
        Ok(Abuse { blocked, blocked_mode: self.blocked.mode, trusted, logins, tokens })
    }
}

impl Abuse {
    /// Whether nobody can be suspected of anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocked.is_empty() && self.logins.is_none() && self.tokens.is_none()
    }

    /// The enforcement mode in which the policy's list blocks a client's network; nothing if it does not.
    #[must_use]
    pub fn blocks(&self, network: Option<IpAddr>) -> Option<Mode> {
        let address = network.filter(|_| !self.blocked.is_empty() && self.blocked_mode != Mode::Off)?;
        let is_blocked = self.blocked.contains(address) && !self.trusted.contains(address);
        is_blocked.then_some(self.blocked_mode)
    }

    /// Whether a client's network is never blocked.
    #[must_use]
    pub fn trusts(&self, network: Option<IpAddr>) -> bool {
        network.is_some_and(|address| self.trusted.contains(address))
    }
}

const SHORTEST: PolicyDuration = PolicyDuration::secs(1);
const LONGEST: PolicyDuration = PolicyDuration::secs(7 * 86_400);

impl RawLogins {
    fn check(&self, at: &Node, routes: &[&str]) -> Vec<ConfigError> {
        let times = [("within", self.within), ("block_for", self.block_for)];
        let mut errors: Vec<_> = times
            .into_iter()
            .filter_map(|(key, time)| time.outside(SHORTEST, LONGEST, &at.key(key)))
            .collect();
        errors.extend(check_failures(self.failures, at));
        let account = self.account.as_ref();
        errors.extend(account.and_then(|account| check_failures(account.failures, &at.key("account"))));
        let lists = [("routes", self.routes.is_empty()), ("statuses", self.statuses.is_empty())];
        let empty = lists.into_iter().filter(|(_, is_empty)| *is_empty);
        errors.extend(empty.map(|(key, _)| at.key(key).error("an empty list", "one at least")));
        let unknown = self.routes.iter().enumerate().filter(|(_, route)| !routes.contains(&route.as_str()));
        errors.extend(unknown.map(|(index, route)| {
            let found = format!("`{}`", route.escape_debug());
            let error = at.key("routes").index(index).error(found, "the path of a route, as it stands there");
            error.near(route, routes.iter().copied())
        }));
        let odd = self.statuses.iter().enumerate().filter(|(_, status)| !(400..=599).contains(*status));
        errors.extend(odd.map(|(index, status)| {
            at.key("statuses").index(index).error(format!("`{status}`"), "a status from 400 to 599")
        }));
        errors
    }
}

fn check_failures(failures: u32, at: &Node) -> Option<ConfigError> {
    let is_odd = !(1..=100).contains(&failures);
    is_odd.then(|| at.key("failures").error(format!("`{failures}`"), "a whole number from 1 to 100"))
}

impl RawTokens {
    fn check(&self, at: &Node) -> Vec<ConfigError> {
        let within = self.within.outside(SHORTEST, LONGEST, &at.key("within"));
        let expected = "a whole number from 1 to 32";
        let networks = (!(1..=32).contains(&self.networks))
            .then(|| at.key("networks").error(format!("`{}`", self.networks), expected));
        within.into_iter().chain(networks).collect()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
#[path = "abuse_tests.rs"]
mod tests;
