//! Trust headers: what services believe because only the gateway may say it.
//!
//! Some names services believe by habit ([`crate::RESERVED`]); others are the policy's. A client's copies are removed on every route, in any spelling a backend could read as the name: other case, `_` for
//! `-`, several values, in trailers. Names a client lists in `Connection` (RFC 9110 section 7.6.1) would be dropped by the
//! next hop, so ours are struck from that list.

use crate::reserved::RESERVED;
use crate::spellings::Spellings;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, HeaderName, Headers, Named, Node, spelt_alike};
use schemars::JsonSchema;

/// `trust_headers`: the request headers that name the user to services, and say that the gateway has checked the request.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawTrustHeaders {
    /// Sent to every service, with these values.
    #[deserr(default)]
    #[schemars(default)]
    pub set: Named<String>,
    /// Further names that only the gateway may send: removed from what a client sends, on every route, like those in `set`.
    #[deserr(default)]
    #[schemars(default)]
    pub reserve: Vec<String>,
    /// Names that clients may send though they are reserved by default (`X-Real-IP`, `X-Forwarded-Host` and the like, which services
    /// believe because proxies are wont to say them).
    #[deserr(default)]
    #[schemars(default)]
    pub pass: Vec<String>,
    /// The header with the user of a valid token (default `X-User-ID`; sent where the policy has a section `jwt`).
    #[deserr(default)]
    #[schemars(default)]
    pub user: Option<String>,
    /// The header with the user's roles, commas between (default `X-User-Role`; as above).
    #[deserr(default)]
    #[schemars(default)]
    pub role: Option<String>,
    /// The header that says `true` where the token was valid (default `X-Authenticated`; as above).
    #[deserr(default)]
    #[schemars(default)]
    pub authenticated: Option<String>,
}

/// The headers that say who a token's bearer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The user.
    pub user: HeaderName,
    /// The roles, commas between.
    pub role: HeaderName,
    /// `true` for a valid token.
    pub authenticated: HeaderName,
}

impl IdentityHeaders {
    /// User, role, authenticated.
    #[must_use]
    pub fn all(&self) -> [&HeaderName; 3] {
        [&self.user, &self.role, &self.authenticated]
    }
}

/// A header that a token's claim becomes, and where the policy says so.
pub struct ClaimHeaderName<'p> {
    /// Its name.
    pub name: &'p str,
    /// The place of the name.
    pub at: Node,
}

/// The compiled section.
#[derive(Clone, Debug, Default)]
pub struct TrustHeaders {
    identity: Option<IdentityHeaders>,
    /// How many of `ours` are in `set` and `reserve`; they come first.
    fixed: usize,
    set: Vec<(HeaderName, Vec<u8>)>,
    /// Names of `set` and `reserve`, of the identity headers, and of the headers that claims become.
    ours: Vec<HeaderName>,
    /// Names reserved by default, without those that the policy passes or uses itself.
    usual: Vec<HeaderName>,
    /// Beginnings of names reserved by default.
    families: Vec<HeaderName>,
    /// What clients may send of those.
    passed: Vec<HeaderName>,
    /// Headers with tokens: a client's to send, but in one spelling only.
    tokens: Vec<HeaderName>,
    /// All that is removed.
    removed: Spellings,
}

impl RawTrustHeaders {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// Names that are none, values that could split a header, a name twice, a name the proxy needs itself.
    pub fn compile(&self, at: &Node) -> Result<TrustHeaders, Vec<ConfigError>> {
        self.compile_with(at, None)
    }

    /// The same for a policy with tokens, whose claims become these headers.
    ///
    /// # Errors
    /// As above; also claims' headers that are one of the others.
    pub fn compile_with(
        &self,
        at: &Node,
        claims: Option<&[ClaimHeaderName<'_>]>,
    ) -> Result<TrustHeaders, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut trust = TrustHeaders::default();
        for (name, value) in self.set.iter() {
            errors.extend(trust.add(name, value, &at.key("set").key(name)).err());
        }
        for (index, name) in self.reserve.iter().enumerate() {
            errors.extend(trust.reserve(name, &at.key("reserve").index(index)).err());
        }
        trust.fixed = trust.ours.len();
        match claims {
            Some(claims) => self.add_identity(&mut trust, claims, at, &mut errors),
            None => errors.extend(self.without_tokens(at)),
        }
        errors.extend(trust.pass(&self.pass, &at.key("pass")));
        trust.index();
        if errors.is_empty() { Ok(trust) } else { Err(errors) }
    }
}

impl RawTrustHeaders {
    fn add_identity(
        &self,
        trust: &mut TrustHeaders,
        claims: &[ClaimHeaderName<'_>],
        at: &Node,
        errors: &mut Vec<ConfigError>,
    ) {
        let mut own = |name: &Option<String>, usual: &str, key| {
            let name = name.as_deref().unwrap_or(usual);
            trust.reserve(name, &at.key(key)).map_err(|error| errors.push(error)).ok()
        };
        let user = own(&self.user, "X-User-ID", "user");
        let role = own(&self.role, "X-User-Role", "role");
        let authenticated = own(&self.authenticated, "X-Authenticated", "authenticated");
        if let (Some(user), Some(role), Some(authenticated)) = (user, role, authenticated) {
            trust.identity = Some(IdentityHeaders { user, role, authenticated });
        }
        // Two providers may well fill the same header: a token has one of them.
        let taken = trust.ours.clone();
        for claim in claims {
            match trust_name(claim.name, &taken, &claim.at) {
                Ok(name) if !trust.ours.contains(&name) => trust.ours.push(name),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
    }

    /// Names for what is never sent.
    fn without_tokens(&self, at: &Node) -> Vec<ConfigError> {
        let names = [("user", &self.user), ("role", &self.role), ("authenticated", &self.authenticated)];
        let given = names.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?)));
        let expected = "a section `jwt`, or the name in `reserve`";
        given.map(|(key, name)| at.key(key).error(format!("`{}`", name.escape_debug()), expected)).collect()
    }
}

impl TrustHeaders {
    /// What is reserved by default, but for what clients may send and what the policy itself uses.
    fn pass(&mut self, names: &[String], at: &Node) -> Vec<ConfigError> {
        let parse = |name: &&&str| HeaderName::parse(name).ok();
        let all = |group: fn(&crate::Reserved) -> &'static [&'static str]| -> Vec<HeaderName> {
            RESERVED.iter().flat_map(group).filter_map(|name| parse(&name)).collect()
        };
        (self.usual, self.families) = (all(|group| group.names), all(|group| group.families));
        let mut errors = Vec::new();
        for (index, text) in names.iter().enumerate() {
            match HeaderName::parse(text).ok().filter(|name| self.may_pass(name)) {
                Some(name) => self.passed.push(name),
                None => {
                    let usual = self.usual.iter().map(HeaderName::as_str);
                    let expected = "a name that is reserved by default (docs/security.md lists them), and not in `reserve` or `set` too";
                    let found = format!("`{}`", text.escape_debug());
                    errors.push(at.index(index).error(found, expected).near(text, usual));
                }
            }
        }
        errors
    }

    /// Adds a header that the gateway itself writes on every request, named at `at`.
    ///
    /// # Errors
    /// A name that is none, or taken.
    pub fn writing(mut self, name: &str, at: &Node) -> Result<Self, ConfigError> {
        self.reserve(name, at)?;
        self.index();
        Ok(self)
    }

    /// Says which headers tokens are read from: clients may send them, but no second one that a service could take for them.
    #[must_use]
    pub fn expecting_tokens<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Self {
        self.tokens = names.filter_map(|name| HeaderName::parse(name).ok()).collect();
        self.index();
        self
    }

    /// Prepares [`TrustHeaders::claims_trust`], which is asked of every header of every request.
    fn index(&mut self) {
        let proxys: Vec<HeaderName> = PROXYS.iter().filter_map(|name| HeaderName::parse(name).ok()).collect();
        let names = self.ours.iter().chain(&self.usual).chain(&self.tokens).chain(&proxys);
        self.removed = Spellings::new(names, &self.families);
    }

    /// Whether a name is reserved by default, and not by the policy too.
    fn may_pass(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        Spellings::new(self.usual.iter(), &self.families).has(name) && !self.is_ours(name)
    }

    fn add(&mut self, name: &str, value: &str, at: &Node) -> Result<(), ConfigError> {
        let (name, value) = (trust_name(name, &self.ours, at)?, header_value(value, at)?);
        self.ours.push(name.clone());
        self.set.push((name, value));
        Ok(())
    }

    fn reserve(&mut self, name: &str, at: &Node) -> Result<HeaderName, ConfigError> {
        let name = trust_name(name, &self.ours, at)?;
        self.ours.push(name.clone());
        Ok(name)
    }
}

/// Headers that mean something to the proxy or the protocol, or that clients send for good reasons; removing a client's copy
/// would break the request. Those that begin with `x-envoy-` are the proxy's too.
const NOT_OURS: [&str; 16] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

/// Compared as claims are: what is removed in every spelling must not be one of these in any spelling.
fn is_not_ours(name: &HeaderName) -> bool {
    NOT_OURS.iter().any(|other| name.is_spelt_like(other.as_bytes()))
        || name.as_str().replace('_', "-").starts_with("x-envoy-")
}

fn trust_name(name: &str, known: &[HeaderName], at: &Node) -> Result<HeaderName, ConfigError> {
    let parsed = HeaderName::parse(name)
        .map_err(|expected| at.error(format!("`{}`", name.escape_debug()), expected))?;
    if is_not_ours(&parsed) {
        let expected = "a header that neither clients nor the proxy need (the gateway takes care of `x-request-id`, \
            `x-forwarded-for` and `x-forwarded-proto` itself)";
        return Err(at.error(format!("`{name}`"), expected));
    }
    if known.iter().any(|k| k.is_spelt_like(name.as_bytes())) {
        return Err(
            at.error(format!("`{name}` a second time"), "each name once (case and `_` make no difference)")
        );
    }
    Ok(parsed)
}

/// A field value (RFC 9110 section 5.5): visible ASCII, spaces and tabs inside. Not an empty one: Envoy would leave it out.
pub(crate) fn header_value(value: &str, at: &Node) -> Result<Vec<u8>, ConfigError> {
    let fine =
        !value.is_empty() && value.bytes().all(|b| matches!(b, b'\t' | 0x20..=0x7e)) && value.trim() == value;
    if !fine {
        // It may be a secret that gateway and services share.
        return Err(at.error(
            "a value that is none, which is not shown",
            "a header value: visible ASCII, not empty, no line breaks, no space at either end",
        ));
    }
    Ok(value.as_bytes().to_vec())
}

/// Headers that the proxy and this gateway write, or read, themselves. A client's own are dealt with there; a misspelt copy would
/// arrive beside the genuine one.
const PROXYS: [&str; 6] = [
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
    "transfer-encoding",
    "content-length",
];

fn is_proxys(name: &[u8]) -> bool {
    PROXYS.iter().any(|p| p.as_bytes().eq_ignore_ascii_case(name))
}

fn is_like_proxys(name: &[u8]) -> bool {
    PROXYS.iter().any(|p| spelt_alike(p.as_bytes(), name))
}

impl TrustHeaders {
    /// The headers that every service gets.
    pub fn to_set(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.set.iter().map(|(name, value)| (name, value.as_slice()))
    }

    /// The headers that name a token's bearer, where the policy has tokens.
    #[must_use]
    pub fn identity(&self) -> Option<&IdentityHeaders> {
        self.identity.as_ref()
    }

    /// Every name that only the gateway may send.
    #[must_use]
    pub fn ours(&self) -> &[HeaderName] {
        &self.ours
    }

    /// Those of [`TrustHeaders::ours`] that say the same on every request, or nothing: the names in `set` and `reserve`.
    #[must_use]
    pub fn fixed(&self) -> &[HeaderName] {
        self.ours.get(..self.fixed).unwrap_or_default()
    }

    /// Whether a client's header `name` must not pass: one of ours or one that is reserved by default in any spelling, or one of the
    /// proxy's or of a token in a wrong one.
    #[must_use]
    pub fn claims_trust(&self, name: &[u8]) -> bool {
        // The headers that every proxy adds look like names of ours: whether they are the proxy's own is asked before the lists are read.
        self.removed.may_have(name) && !self.is_a_clients(name) && self.removed.has(name)
    }

    /// Whether a name, spelt just so, is a client's to send, or written by the proxy itself.
    fn is_a_clients(&self, name: &[u8]) -> bool {
        let is_it = |other: &HeaderName| other.as_str().as_bytes().eq_ignore_ascii_case(name);
        is_proxys(name) || self.tokens.iter().chain(&self.passed).any(is_it)
    }

    /// Whether the policy itself keeps `name` for the gateway: sets, reserves or fills it.
    #[must_use]
    pub fn is_ours(&self, name: &[u8]) -> bool {
        self.ours.iter().any(|ours| ours.is_spelt_like(name))
    }

    /// The names in `headers` (as the client spelt them) that must be removed; none in nearly every request.
    #[must_use]
    pub fn forged<'h>(&self, headers: &'h Headers) -> Vec<&'h [u8]> {
        headers.iter().map(|(name, _)| name).filter(|name| self.claims_trust(name)).collect()
    }

    /// The names in a request's trailers that must be removed. Nobody in front writes trailers, so there the proxy's own names are
    /// forged in any spelling.
    #[must_use]
    pub fn forged_trailers<'h>(&self, trailers: &'h Headers) -> Vec<&'h [u8]> {
        let names = trailers.iter().map(|(name, _)| name);
        names.filter(|name| self.claims_trust(name) || is_like_proxys(name)).collect()
    }

    /// The `Connection` header without our names, if a client listed any.
    #[must_use]
    pub fn clean_connection(&self, headers: &Headers) -> Option<Vec<u8>> {
        let options =
            || headers.all("connection").flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        let is_needed = |option: &[u8]| self.claims_trust(option) || is_like_proxys(option);
        if !options().any(is_needed) {
            return None;
        }
        let kept: Vec<&[u8]> = options().filter(|option| !is_needed(option)).collect();
        Some(kept.join(&b", "[..]))
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
