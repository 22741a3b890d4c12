//! Tokens: the section `jwt`, and what routes ask of a request's bearer.

use crate::document::Document;
use crate::handed::Handed;
use crate::parts::TOKENS;
use crate::raw::RawRoute;
use portcullis_authz::Rules;
use portcullis_edge_core::{ConfigError, Mode, Node, PolicyDuration};
use portcullis_jwt::{Env, Jwt, Provider, RawJwt, RawNeed, RouteAuth};
use portcullis_security_headers::{ClaimHeaderName, TrustHeaders};

/// The section `jwt`.
pub(crate) struct Section {
    raw: Option<RawJwt>,
    /// Whether there is one at all, and be it wrong.
    is_given: bool,
    /// What other instances of the filter hand over, or are given, of bearers.
    handed: Handed,
    pub jwt: Option<Jwt>,
}

impl Section {
    pub fn read(document: &mut Document<'_>, env: Env<'_>, handed: Handed) -> Self {
        if !TOKENS {
            return Self { raw: None, is_given: false, handed, jwt: None };
        }
        let is_given = document.has("jwt");
        let raw: Option<RawJwt> = document.section("jwt");
        let jwt = raw.as_ref().and_then(|raw| document.keep(raw.compile(&at(), env)));
        Self { raw, is_given, handed, jwt }
    }

    /// Time-outs that are no shorter than what the gateway gives a request.
    pub fn check_waits(&self, request_timeout: PolicyDuration) -> Vec<ConfigError> {
        self.raw.as_ref().map(|raw| raw.check_waits(request_timeout, &at())).unwrap_or_default()
    }

    /// The headers that claims become; nothing without a section.
    pub fn claim_headers(&self) -> Option<Vec<ClaimHeaderName<'_>>> {
        let providers = self.raw.as_ref().map(|raw| raw.providers.iter());
        if !self.is_given {
            return None;
        }
        let issuer = self.raw.iter().filter_map(|raw| raw.issuer_header.as_deref());
        let issuer = issuer.map(|name| ClaimHeaderName { name, at: at().key("issuer_header") });
        let headers = providers.into_iter().flatten().flat_map(|(provider, raw)| {
            let at = at().key("providers").key(provider).key("claim_to_headers");
            let name = move |(index, header)| {
                let header: &portcullis_jwt::RawClaimHeader = header;
                ClaimHeaderName { name: &header.header, at: at.index(index).key("header") }
            };
            raw.claim_to_headers.iter().enumerate().map(name)
        });
        Some(issuer.chain(headers).collect())
    }

    /// Headers that tokens are read from.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.raw.iter().flat_map(|raw| raw.sources.iter().filter_map(|source| source.header.as_deref()))
    }

    /// Token sources that would never have a token, because a client's copy is removed.
    pub fn check_sources(&self, trust: &TrustHeaders) -> Vec<ConfigError> {
        let sources = self.raw.iter().flat_map(|raw| raw.sources.iter().enumerate());
        let headers = sources.filter_map(|(index, source)| Some((index, source.header.as_ref()?)));
        let ours = headers.filter(|(_, header)| trust.is_ours(header.as_bytes()));
        ours.map(|(index, header)| {
            let found = format!("`{}`, which is a trust header", header.escape_debug());
            at().key("sources").index(index).key("header").error(found, "a header that clients may send")
        })
        .collect()
    }
}

fn at() -> Node {
    Node::top().key("jwt")
}

/// What a route asks of its requests' bearers.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteTokens {
    pub auth: Option<RouteAuth>,
    pub rules: Option<Rules>,
}

impl RouteTokens {
    pub fn compile(raw: &RawRoute, section: &Section, at: &Node) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let auth = auth(raw, section, at).map_err(|e| errors.extend(e)).ok().flatten();
        let rules = rules(raw, section, at).map_err(|e| errors.extend(e)).ok().flatten();
        let rules = rules.map(|rules| as_serious_as(rules, auth.as_ref()));
        let handed = section.handed;
        let rules = rules.map(|rules| handed.as_serious(rules, auth.as_ref()));
        errors.extend(handed.check_mode(auth.as_ref(), at));
        errors.extend(handed.check_roles(auth.as_ref(), section.jwt.as_ref(), at));
        errors.extend(shared_roles(rules.as_ref(), auth.as_ref(), section, at));
        if errors.is_empty() { Ok(Self { auth, rules }) } else { Err(errors) }
    }
}

/// What the route says of tokens. Where the section itself is wrong there is nothing to check it against.
fn auth(raw: &RawRoute, section: &Section, at: &Node) -> Result<Option<RouteAuth>, Vec<ConfigError>> {
    if section.is_given && section.jwt.is_none() {
        return Ok(None);
    }
    match (&raw.auth, &section.jwt) {
        (Some(auth), jwt) => {
            let auth = auth.compile(jwt.as_ref(), &at.key("auth"))?;
            Ok(jwt.is_some().then_some(auth))
        }
        // A route that forgot to say so would be open.
        (None, Some(_)) => {
            let found = format!("nothing for `{}`", raw.path.escape_debug());
            let expected = "`auth` on every route, for the policy has a section `jwt`: `token: required`, `optional`, `refused` or `none`";
            Err(vec![at.key("auth").error(found, expected)])
        }
        (None, None) => Ok(None),
    }
}

fn rules(raw: &RawRoute, section: &Section, at: &Node) -> Result<Option<Rules>, Vec<ConfigError>> {
    let Some(authz) = &raw.authz else { return Ok(None) };
    let at = at.key("authz");
    let rules = authz.compile(&at)?;
    let need = raw.auth.as_ref().map_or(RawNeed::None, |auth| auth.token);
    let has_subject = section.is_given && matches!(need, RawNeed::Optional | RawNeed::Required);
    // Where `auth` is forgotten that is the mistake, reported by itself.
    let is_forgotten = section.is_given && raw.auth.is_none();
    let is_handed = section.handed.may_meet(need);
    if rules.speak_of_subject() && !has_subject && !is_handed && !is_forgotten {
        let expected = "a route that takes tokens (`auth`) or a section `findings` with `from`, without which nobody has any";
        return Err(vec![at.error("rules on roles, scopes or claims", expected)]);
    }
    Ok(Some(rules))
}

/// A role is its provider's: what one provider calls `admin` another may give to anybody.
fn shared_roles(
    rules: Option<&Rules>,
    auth: Option<&RouteAuth>,
    section: &Section,
    at: &Node,
) -> Option<ConfigError> {
    let (rules, auth, jwt) = (rules?, auth?, section.jwt.as_ref()?);
    let (one, other) = auth.with_one_role_prefix(jwt).filter(|_| rules.speak_of_roles())?;
    let found = match one.role_prefix() {
        "" => format!(
            "rules on roles for tokens of `{}` and `{}`, neither with a `role_prefix`",
            one.name(),
            other.name()
        ),
        prefix => format!(
            "rules on roles for tokens of `{}` and `{}`, both with the `role_prefix` `{}`",
            one.name(),
            other.name(),
            prefix.escape_debug()
        ),
    };
    Some(at.key("authz").error(found, own_prefixes(one, other)))
}

/// What would tell the roles of two providers apart.
pub(crate) fn own_prefixes(one: &Provider, other: &Provider) -> String {
    format!(
        "`role_prefix` of its own at `jwt.providers.{}` or `jwt.providers.{}`: a role is its provider's",
        one.name(),
        other.name()
    )
}

/// Conditions on a bearer are enforced no more than the token: where that is only looked at, many a request has none. Those on networks
/// need no token.
fn as_serious_as(rules: Rules, auth: Option<&RouteAuth>) -> Rules {
    let weight = |mode: Mode| match mode {
        Mode::Off => 0,
        Mode::Shadow => 1,
        Mode::Enforce => 2,
    };
    match auth.map(RouteAuth::mode) {
        Some(mode) if rules.speak_of_subject() && weight(mode) < weight(rules.mode()) => {
            rules.with_bearer_mode(mode)
        }
        _ => rules,
    }
}
