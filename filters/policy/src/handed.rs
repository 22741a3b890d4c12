//! What the section `findings` means for the rest of a policy.

use crate::raw::RawProxy;
use crate::tokens::own_prefixes;
use portcullis_authz::Rules;
use portcullis_edge_core::{ConfigError, Mode, Node};
use portcullis_findings::RawFindings;
use portcullis_jwt::{Jwt, RawNeed, RouteAuth};

/// Whether bearers are handed on to other instances of the filter, or taken from one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handed {
    /// The enforcement mode in which findings are taken; nothing where none are.
    pub taken: Option<Mode>,
    /// Whether findings are left.
    pub published: bool,
}

impl Handed {
    pub fn of(findings: Option<&RawFindings>) -> Self {
        let taken = findings.filter(|raw| raw.takes()).map(|raw| raw.mode);
        Self { taken, published: findings.is_some_and(|raw| raw.publish) }
    }

    /// Whether a route's rules may meet a handed bearer. A token that the route refuses is no earlier instance's business either.
    pub fn may_meet(self, need: RawNeed) -> bool {
        self.taken.is_some() && need != RawNeed::Refused
    }

    /// Findings in shadow mode are believed where they are there and refuse nothing: nor do rules on a bearer that may be missing.
    pub fn as_serious(self, rules: Rules, auth: Option<&RouteAuth>) -> Rules {
        let is_shadow = self.taken == Some(Mode::Shadow) && !auth.is_some_and(RouteAuth::looks);
        let weakens = is_shadow && rules.speak_of_subject() && rules.mode() == Mode::Enforce;
        if weakens { rules.with_bearer_mode(Mode::Shadow) } else { rules }
    }

    /// A check in shadow mode would change what is enforced: who checks a token believes no other instance.
    pub fn check_mode(self, auth: Option<&RouteAuth>, at: &Node) -> Option<ConfigError> {
        auth.filter(|auth| self.taken.is_some() && auth.looks() && auth.mode() == Mode::Shadow)?;
        let expected = "`enforce`, or `token: none`: where tokens are checked, the bearer of `findings.from` does not count, and nothing \
            would be enforced in its place";
        Some(at.key("auth").error("a check in mode `shadow` beside `findings.from`", expected))
    }

    /// Another instance may have rules on roles: there, nobody can tell two providers' roles apart.
    pub fn check_roles(self, auth: Option<&RouteAuth>, jwt: Option<&Jwt>, at: &Node) -> Option<ConfigError> {
        let (one, other) = auth.filter(|_| self.published)?.with_one_role_prefix(jwt?)?;
        let found =
            format!("tokens of `{}` and `{}`, whose roles `findings` publishes", one.name(), other.name());
        Some(at.key("auth").error(found, own_prefixes(one, other)))
    }

    /// The proxy's routes would write what an earlier instance found out, whatever the check here says.
    pub fn check_proxy(self, proxy: &RawProxy, has_tokens: bool) -> Option<ConfigError> {
        (self.taken.is_some() && has_tokens && proxy.sets_trust_headers).then(|| {
            let at = Node::top().key("proxy").key("sets_trust_headers");
            let expected = "`false`, or no section `jwt`: the proxy's routes would write the bearer of `findings.from` over that of a token \
                checked here";
            at.error("`true` beside `findings.from` and `jwt`", expected)
        })
    }

    /// A token's use is counted where it is checked.
    pub fn check_token_use(counts: bool, has_tokens: bool) -> Option<ConfigError> {
        (counts && !has_tokens).then(|| {
            let at = Node::top().key("abuse").key("tokens");
            at.error("a rule on tokens", "a section `jwt`: where no token is checked, none is counted")
        })
    }
}
