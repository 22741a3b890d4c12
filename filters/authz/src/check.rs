//! The verdict.

use portcullis_edge_core::{ClaimPath, Mode, Networks};
use std::net::IpAddr;

/// A claim's value, as far as rules compare it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Scalar<'a> {
    Text(&'a str),
    UInt(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// What is known of the bearer of a valid token.
pub trait Subject {
    /// Whether the bearer has this role.
    fn has_role(&self, role: &str) -> bool;
    /// Whether the token has this scope.
    fn has_scope(&self, scope: &str) -> bool;
    /// Whether the scalar at `path`, or an element of the list there, passes `test`. No claim passes none.
    fn any_claim(&self, path: &[String], test: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool;
}

/// Who asks, as far as rules may rely on it.
#[derive(Debug)]
pub enum Who<'s, S> {
    /// The bearer of a valid token.
    Bearer(&'s S),
    /// A client without any token.
    Nobody,
    /// A client whose token was refused, and nothing was done about it (shadow mode): nothing is known of its bearer. Conditions on
    /// a bearer have no say then; those on networks keep theirs.
    Unsure,
}

impl<'s, S> From<Option<&'s S>> for Who<'s, S> {
    fn from(bearer: Option<&'s S>) -> Self {
        bearer.map_or(Self::Nobody, Self::Bearer)
    }
}

impl<S> Who<'_, S> {
    /// What a condition on the bearer says: `holds` of a known one, nothing of one who is not known.
    fn says(&self, if_unsure: bool, holds: impl FnOnce(&S) -> bool) -> bool {
        match self {
            Self::Bearer(bearer) => holds(bearer),
            Self::Nobody => false,
            Self::Unsure => if_unsure,
        }
    }
}

/// A route's compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) deny: Vec<Rule>,
    pub(crate) allow: Vec<Rule>,
    pub(crate) allow_by_default: bool,
    pub(crate) mode: Mode,
    /// Of the conditions on a bearer; never stricter than `mode`.
    pub(crate) bearer_mode: Mode,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) roles: Names,
    pub(crate) scopes: Names,
    pub(crate) claims: Vec<ClaimRule>,
    pub(crate) networks: Networks,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) any: Vec<String>,
    pub(crate) all: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ClaimRule {
    pub(crate) path: ClaimPath,
    pub(crate) one_of: Vec<serde_json::Value>,
}

/// A condition of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// On roles.
    Roles,
    /// On scopes.
    Scopes,
    /// On a claim.
    Claims,
    /// On the client's network.
    Networks,
}

impl Condition {
    /// As the policy calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Scopes => "scopes",
            Self::Claims => "claims",
            Self::Networks => "networks",
        }
    }
}

/// What one rule makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// `deny` or `allow`.
    pub list: &'static str,
    /// Its place there.
    pub index: usize,
    /// The first condition that does not hold; nothing where the rule matches.
    pub failing: Option<Condition>,
}

/// Why a request is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forbidden {
    /// The `deny` rule with this index matches.
    Denied(usize),
    /// No `allow` rule matches. The condition that failed, where there is just one such rule to speak of.
    NotAllowed(Option<Condition>),
}

impl Forbidden {
    /// As a label and log value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied(_) => "denied_by_rule",
            Self::NotAllowed(Some(Condition::Roles)) => "role_missing",
            Self::NotAllowed(Some(Condition::Scopes)) => "scope_missing",
            Self::NotAllowed(Some(Condition::Claims)) => "claim_mismatch",
            Self::NotAllowed(Some(Condition::Networks)) => "network_not_allowed",
            Self::NotAllowed(None) => "no_rule_allows",
        }
    }
}

impl Rules {
    /// Whether the request may pass. `client` is nothing where it is unknown: then a rule that forbids networks forbids, and
    /// none that allows them allows.
    ///
    /// # Errors
    /// Why not.
    pub fn check<'s, S: Subject + 's>(
        &self,
        who: impl Into<Who<'s, S>>,
        client: Option<IpAddr>,
    ) -> Result<(), Forbidden> {
        let who = &who.into();
        if let Some(index) = self.deny.iter().position(|rule| DENY.failing(rule, who, client).is_none()) {
            return Err(Forbidden::Denied(index));
        }
        let mut failed = None;
        for rule in &self.allow {
            failed = ALLOW.failing(rule, who, client);
            if failed.is_none() {
                return Ok(());
            }
        }
        if self.allow_by_default {
            return Ok(());
        }
        Err(Forbidden::NotAllowed(failed.filter(|_| self.allow.len() == 1)))
    }

    /// The verdict and its enforcement mode: that of the rules for conditions on networks; for those on a bearer no stricter than
    /// the token. Nothing where no condition has a say.
    pub fn judge<S: Subject>(
        &self,
        who: Who<'_, S>,
        client: Option<IpAddr>,
    ) -> Option<(Result<(), Forbidden>, Mode)> {
        if self.mode == Mode::Off {
            return None;
        }
        let is_unsure = matches!(who, Who::Unsure);
        if !is_unsure && self.bearer_mode == self.mode {
            return Some((self.check(who, client), self.mode));
        }
        let of_networks = || self.check(Who::<S>::Unsure, client);
        let certain = self.speak_of_networks().then(of_networks);
        match certain {
            Some(Err(forbidden)) => Some((Err(forbidden), self.mode)),
            _ if is_unsure || self.bearer_mode == Mode::Off => certain.map(|verdict| (verdict, self.mode)),
            _ => Some((self.check(who, client), self.bearer_mode)),
        }
    }

    /// What each rule makes of a request, for people: [`Rules::check`] stops at the first that matches.
    pub fn explain<'s, S: Subject + 's>(
        &self,
        who: impl Into<Who<'s, S>>,
        client: Option<IpAddr>,
    ) -> Vec<Judged> {
        let who = &who.into();
        let mut judged = Vec::new();
        for (list, rules, doubts) in [("deny", &self.deny, DENY), ("allow", &self.allow, ALLOW)] {
            let judge = |(index, rule): (usize, &Rule)| Judged {
                list,
                index,
                failing: doubts.failing(rule, who, client),
            };
            judged.extend(rules.iter().enumerate().map(judge));
        }
        judged
    }

    /// Their enforcement mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The enforcement mode of the conditions on a bearer.
    #[must_use]
    pub fn bearer_mode(&self) -> Mode {
        self.bearer_mode
    }

    /// The same rules, with `mode` for the conditions on a bearer.
    #[must_use]
    pub fn with_bearer_mode(self, mode: Mode) -> Self {
        Self { bearer_mode: mode, ..self }
    }

    fn speak_of_networks(&self) -> bool {
        self.deny.iter().chain(&self.allow).any(|rule| !rule.networks.is_empty())
    }

    /// Whether any rule asks for something that only the bearer of a token has.
    #[must_use]
    pub fn speak_of_subject(&self) -> bool {
        self.deny.iter().chain(&self.allow).any(Rule::needs_subject)
    }

    /// Whether any rule asks for a role.
    #[must_use]
    pub fn speak_of_roles(&self) -> bool {
        let asks = |rule: &Rule| !rule.roles.any.is_empty() || !rule.roles.all.is_empty();
        self.deny.iter().chain(&self.allow).any(asks)
    }

    /// Whether only a bearer of a token can ever pass, so that a missing token is worth a 401 rather than a 403.
    #[must_use]
    pub fn needs_subject(&self) -> bool {
        !self.allow_by_default && self.allow.iter().all(Rule::needs_subject)
    }

    /// The scopes that would help (RFC 6750 section 3: the `scope` of an `insufficient_scope` challenge).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.allow.iter().flat_map(|rule| rule.scopes.all.iter().chain(&rule.scopes.any)).map(String::as_str)
    }
}

/// What a condition says in doubt.
#[derive(Clone, Copy)]
struct Doubts {
    /// One on networks, of a client whose address is unknown.
    networks: bool,
    /// One on a bearer of whom nothing is known.
    bearer: bool,
}

/// A client from nowhere is in every network that is forbidden; who is not known has no role that is.
const DENY: Doubts = Doubts { networks: true, bearer: false };
/// A client from nowhere is in no network that is allowed; of whom nothing is known, nothing is asked.
const ALLOW: Doubts = Doubts { networks: false, bearer: true };

impl Doubts {
    /// The first condition of `rule` that does not hold.
    fn failing<S: Subject>(self, rule: &Rule, who: &Who<'_, S>, client: Option<IpAddr>) -> Option<Condition> {
        let in_networks = || client.map_or(self.networks, |c| rule.networks.contains(c));
        if !rule.networks.is_empty() && !in_networks() {
            return Some(Condition::Networks);
        }
        if !rule.roles.hold(|role| who.says(self.bearer, |s| s.has_role(role))) {
            return Some(Condition::Roles);
        }
        if !rule.scopes.hold(|scope| who.says(self.bearer, |s| s.has_scope(scope))) {
            return Some(Condition::Scopes);
        }
        let holds = |claim: &ClaimRule| {
            who.says(self.bearer, |s| s.any_claim(claim.path.steps(), &mut |value| claim.accepts(value)))
        };
        (!rule.claims.iter().all(holds)).then_some(Condition::Claims)
    }
}

impl Rule {
    pub(crate) fn is_empty(&self) -> bool {
        !self.needs_subject() && self.networks.is_empty()
    }

    fn needs_subject(&self) -> bool {
        !self.roles.is_empty() || !self.scopes.is_empty() || !self.claims.is_empty()
    }
}

impl Names {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty()
    }

    fn hold(&self, has: impl Fn(&str) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(|name| has(name)))
            && self.all.iter().all(|name| has(name))
    }
}

impl ClaimRule {
    /// Types count: the text `1` is not the number 1.
    fn accepts(&self, found: Scalar<'_>) -> bool {
        self.one_of.iter().any(|value| match found {
            Scalar::Text(text) => value.as_str() == Some(text),
            Scalar::Bool(b) => value.as_bool() == Some(b),
            Scalar::UInt(n) => value.as_u64() == Some(n),
            Scalar::Int(n) => value.as_i64() == Some(n),
            Scalar::Float(n) => value.as_f64() == Some(n),
        })
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
