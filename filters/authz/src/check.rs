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

/// A route's compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) deny: Vec<Rule>,
    pub(crate) allow: Vec<Rule>,
    pub(crate) allow_by_default: bool,
    pub(crate) mode: Mode,
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
    /// Whether the request may pass. `subject` is nobody where there is no token, `client` nothing where it is unknown: then a
    /// rule that forbids networks forbids, and none that allows them allows.
    ///
    /// # Errors
    /// Why not.
    pub fn check<S: Subject>(&self, subject: Option<&S>, client: Option<IpAddr>) -> Result<(), Forbidden> {
        if let Some(index) = self.deny.iter().position(|rule| rule.failing(subject, client, true).is_none()) {
            return Err(Forbidden::Denied(index));
        }
        let mut failed = None;
        for rule in &self.allow {
            failed = rule.failing(subject, client, false);
            if failed.is_none() {
                return Ok(());
            }
        }
        if self.allow_by_default {
            return Ok(());
        }
        Err(Forbidden::NotAllowed(failed.filter(|_| self.allow.len() == 1)))
    }

    /// What each rule makes of a request, for people: [`Rules::check`] stops at the first that matches.
    pub fn explain<S: Subject>(&self, subject: Option<&S>, client: Option<IpAddr>) -> Vec<Judged> {
        let lists = [("deny", &self.deny, true), ("allow", &self.allow, false)];
        let mut judged = Vec::new();
        for (list, rules, if_unknown) in lists {
            let judge = |(index, rule): (usize, &Rule)| Judged {
                list,
                index,
                failing: rule.failing(subject, client, if_unknown),
            };
            judged.extend(rules.iter().enumerate().map(judge));
        }
        judged
    }

    /// How seriously they are meant.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same rules, meant as `mode` says.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Whether any rule asks for something that only the bearer of a token has.
    #[must_use]
    pub fn speak_of_subject(&self) -> bool {
        self.deny.iter().chain(&self.allow).any(Rule::needs_subject)
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

impl Rule {
    /// The first condition that does not hold.
    fn failing<S: Subject>(
        &self,
        subject: Option<&S>,
        client: Option<IpAddr>,
        if_unknown: bool,
    ) -> Option<Condition> {
        let in_networks = || client.map_or(if_unknown, |c| self.networks.contains(c));
        if !self.networks.is_empty() && !in_networks() {
            return Some(Condition::Networks);
        }
        if !self.roles.hold(|role| subject.is_some_and(|s| s.has_role(role))) {
            return Some(Condition::Roles);
        }
        if !self.scopes.hold(|scope| subject.is_some_and(|s| s.has_scope(scope))) {
            return Some(Condition::Scopes);
        }
        let holds = |rule: &ClaimRule| {
            subject.is_some_and(|s| s.any_claim(rule.path.steps(), &mut |value| rule.accepts(value)))
        };
        (!self.claims.iter().all(holds)).then_some(Condition::Claims)
    }

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
