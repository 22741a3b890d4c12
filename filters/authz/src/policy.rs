//! The section `authz` of a route, as it is written.

use crate::check::{ClaimRule, Names, Rule, Rules};
use deserr::Deserr;
use portcullis_edge_core::{ClaimPath, ConfigError, ConfigErrors, Mode, Networks, Node};
use schemars::JsonSchema;

/// `authz`: who may use a route. `deny` rules come first, then `allow` rules, then `default`.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRules {
    /// Requests that one of these matches are forbidden.
    #[deserr(default)]
    #[schemars(default)]
    pub deny: Vec<RawRule>,
    /// Requests that one of these matches are let through.
    #[deserr(default)]
    #[schemars(default)]
    pub allow: Vec<RawRule>,
    /// What becomes of the others (default: `deny`).
    #[deserr(default)]
    #[schemars(default)]
    pub default: RawDefault,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// What becomes of a request that no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawDefault {
    /// It is forbidden.
    #[default]
    Deny,
    /// It is let through.
    Allow,
}

/// A rule: it matches when every condition in it holds.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRule {
    /// Roles of the bearer.
    #[deserr(default)]
    #[schemars(default)]
    pub roles: RawNames,
    /// Scopes of the token.
    #[deserr(default)]
    #[schemars(default)]
    pub scopes: RawNames,
    /// Claims of the token.
    #[deserr(default)]
    #[schemars(default)]
    pub claims: Vec<RawCondition>,
    /// Networks of the client (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`).
    #[deserr(default)]
    #[schemars(default)]
    pub networks: Vec<String>,
}

/// Names of which the bearer must have some.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawNames {
    /// At least one of these.
    #[deserr(default)]
    #[schemars(default)]
    pub any: Vec<String>,
    /// Each of these.
    #[deserr(default)]
    #[schemars(default)]
    pub all: Vec<String>,
}

/// A condition on one claim.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawCondition {
    /// Which claim.
    pub claim: ClaimPath,
    /// Its value, or an element of it if it is a list, is one of these texts, numbers or booleans.
    pub one_of: Vec<serde_json::Value>,
}

impl RawRules {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// Every mistake: rules without a condition, networks that are none, a set of rules that lets nobody through.
    pub fn compile(&self, at: &Node) -> Result<Rules, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let deny = compile_all(&self.deny, &at.key("deny"), &mut errors);
        let allow = compile_all(&self.allow, &at.key("allow"), &mut errors);
        let allow_by_default = self.default == RawDefault::Allow;
        if self.allow.is_empty() && !allow_by_default {
            errors.push(at.error("no `allow` rule", "one at least, or `default: allow`"));
        }
        if errors.is_empty() {
            Ok(Rules { deny, allow, allow_by_default, mode: self.mode, bearer_mode: self.mode })
        } else {
            Err(errors)
        }
    }
}

fn compile_all(rules: &[RawRule], at: &Node, errors: &mut Vec<ConfigError>) -> Vec<Rule> {
    rules.iter().enumerate().map(|(index, rule)| rule.compile(&at.index(index), errors)).collect()
}

impl RawRule {
    fn compile(&self, at: &Node, errors: &mut Vec<ConfigError>) -> Rule {
        let networks = Networks::compile(&self.networks, &at.key("networks"), errors);
        for (index, condition) in self.claims.iter().enumerate() {
            let is_scalar = |v: &serde_json::Value| v.is_string() || v.is_number() || v.is_boolean();
            if condition.one_of.is_empty() || !condition.one_of.iter().all(is_scalar) {
                let place = at.key("claims").index(index).key("one_of");
                errors.push(place.error("another list", "texts, numbers and booleans, one at least"));
            }
        }
        self.check_scopes(&at.key("scopes"), errors);
        let claims =
            self.claims.iter().map(|c| ClaimRule { path: c.claim.clone(), one_of: c.one_of.clone() });
        let rule = Rule {
            roles: self.roles.names(),
            scopes: self.scopes.names(),
            claims: claims.collect(),
            networks,
        };
        if rule.is_empty() && self.networks.is_empty() {
            errors.push(at.error("no condition", "one at least (`default` is for everybody)"));
        }
        rule
    }
}

impl RawRule {
    fn check_scopes(&self, at: &Node, errors: &mut Vec<ConfigError>) {
        for (list, names) in [("any", &self.scopes.any), ("all", &self.scopes.all)] {
            let place = at.key(list);
            let bad = names.iter().enumerate().filter(|(_, name)| !is_scope(name));
            errors.extend(bad.map(|(index, name)| {
                let expected = "a scope: printable ASCII without spaces, quotes and backslashes";
                place.index(index).error(format!("`{}`", name.escape_debug()), expected)
            }));
        }
    }
}

impl RawNames {
    fn names(&self) -> Names {
        Names { any: self.any.clone(), all: self.all.clone() }
    }
}

/// A scope token (RFC 6749 section 3.3). `WWW-Authenticate` tells clients which they need, between quotes.
fn is_scope(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
