//! The stage `Rules`: whether the one who asks may use the route.

use crate::token::{Bearer, WWW_AUTHENTICATE};
use crate::{Facts, Pipeline};
use portcullis_authz::{Forbidden, Rules};
use portcullis_edge_core::{Class, Denial, Mode, Reason, Verdict};
use portcullis_jwt::TokenError;
use portcullis_policy::Route;

/// What the route's rules said.
#[derive(Debug, Default)]
pub struct RulesSlot {
    /// The verdict and its enforcement mode; nothing where no rules had a say.
    pub(crate) verdict: Option<(Result<(), Forbidden>, Mode)>,
}

impl RulesSlot {
    /// The verdict and its enforcement mode; nothing where no rules had a say.
    #[must_use]
    pub fn verdict(&self) -> Option<(Result<(), Forbidden>, Mode)> {
        self.verdict
    }
}

impl Pipeline {
    pub(crate) fn check_rules(&self, facts: &mut Facts) -> Verdict {
        let in_force = self.route_of(facts).and_then(|route| rules_in_force(facts, route));
        let Some((rules, mode)) = in_force else { return Verdict::Continue };
        let subject =
            if mode == Mode::Enforce { facts.token.bearer() } else { facts.token.identity.as_ref() };
        let subject = subject.map(|identity| Bearer(identity));
        let verdict = rules.check(subject.as_ref(), facts.client.address());
        let has_bearer = subject.is_some();
        facts.rules.verdict = Some((verdict, mode));
        match verdict.err().filter(|_| mode == Mode::Enforce) {
            Some(forbidden) => self.rules_denial(forbidden, rules, has_bearer).into(),
            None => Verdict::Continue,
        }
    }

    /// A broken rule as a denial: where only a bearer may pass and there is none, a token would help.
    fn rules_denial(&self, forbidden: Forbidden, rules: &Rules, has_bearer: bool) -> Denial {
        if !has_bearer && rules.needs_subject() {
            return self.token_denial(TokenError::Missing);
        }
        let reason = Reason::new(forbidden.as_str(), Class::PermissionDenied, "You may not do this");
        let denial = Denial::new(reason);
        if has_bearer { denial.with_header(WWW_AUTHENTICATE, insufficient_scope(rules)) } else { denial }
    }
}

/// The challenge of RFC 6750 section 3.1, with the scopes that the rules ask for.
fn insufficient_scope(rules: &Rules) -> String {
    let scopes: Vec<&str> = rules.scopes().collect();
    let scopes = if scopes.is_empty() { String::new() } else { format!(", scope=\"{}\"", scopes.join(" ")) };
    format!("Bearer error=\"insufficient_scope\"{scopes}")
}

/// The rules of a route that have a say. Those about a bearer have none on a request whose token shadow mode let pass.
fn rules_in_force<'r>(facts: &Facts, route: &'r Route) -> Option<(&'r Rules, Mode)> {
    let rules = route.rules.as_ref().filter(|rules| rules.mode() != Mode::Off)?;
    let in_shadow = matches!(facts.token.verdict, Some(Err(_))) && !facts.token.ignored;
    let let_pass = in_shadow && rules.speak_of_subject();
    (!let_pass).then_some((rules, rules.mode()))
}
