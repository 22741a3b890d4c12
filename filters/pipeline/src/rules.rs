//! The stage `Rules`: whether the one who asks may use the route.

use crate::token::{Bearer, WWW_AUTHENTICATE};
use crate::{Facts, Pipeline};
use portcullis_authz::{Forbidden, Rules, Who};
use portcullis_edge_core::{Class, Denial, Mode, Reason, Verdict};
use portcullis_jwt::TokenError;

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
        let rules = self.route_of(facts).and_then(|route| route.rules.as_ref());
        let Some(rules) = rules else { return Verdict::Continue };
        let bearer = facts.token.identity.as_deref().map(Bearer);
        // A bad token that counts as none is no doubt about its bearer: there is nobody.
        let is_unsure = matches!(facts.token.verdict, Some(Err(_))) && !facts.token.ignored;
        let who = if is_unsure { Who::Unsure } else { Who::from(bearer.as_ref()) };
        let Some((verdict, mode)) = rules.judge(who, facts.client.address()) else {
            return Verdict::Continue;
        };
        let has_bearer = bearer.is_some();
        facts.rules.verdict = Some((verdict, mode));
        match verdict.err().filter(|_| mode == Mode::Enforce) {
            Some(forbidden) => self.rules_denial(forbidden, rules, (has_bearer, is_unsure)).into(),
            None => Verdict::Continue,
        }
    }

    /// A broken rule as a denial: where only a bearer may pass and there is no token, one would help.
    fn rules_denial(
        &self,
        forbidden: Forbidden,
        rules: &Rules,
        (has_bearer, is_unsure): (bool, bool),
    ) -> Denial {
        if !has_bearer && !is_unsure && rules.needs_subject() {
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
