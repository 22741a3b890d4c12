//! Trust headers: what services believe because only the gateway may say it.
//!
//! A client's copies are removed on every route, in any spelling a backend could read as the name: other case, `_` for
//! `-`, several values, in trailers. Names a client lists in `Connection` (RFC 9110 section 7.6.1) would be dropped by the
//! next hop, so ours are struck from that list.

use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, HeaderName, Headers, Named, Node, spelt_alike};
use schemars::JsonSchema;

/// `trust_headers`: the headers that tell services who is asking and that the gateway has checked it.
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
    /// Bit `n` is set if a name of `n` bytes could claim trust: nearly all headers are told by their length,
    lengths: u64,
    /// and most others by their first byte.
    firsts: u64,
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
        for name in trust.ours.iter().map(HeaderName::as_str).chain(PROXYS) {
            trust.lengths |= length_bit(name.len());
            trust.firsts |= first_bit(name.as_bytes());
        }
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
        let found = format!("`{}`", value.escape_debug());
        return Err(at.error(
            found,
            "a header value: visible ASCII, not empty, no line breaks, no space at either end",
        ));
    }
    Ok(value.as_bytes().to_vec())
}

/// Headers that the proxy and this gateway write themselves. A client's own are dealt with where they are written; a misspelt
/// copy would arrive beside the genuine one.
const PROXYS: [&str; 3] = ["x-request-id", "x-forwarded-for", "x-forwarded-proto"];

/// Lengths beyond 63 share the last bit.
fn length_bit(length: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(length).unwrap_or(u32::MAX)).unwrap_or(1 << 63)
}

/// Letters have a bit each, whatever their case; all other bytes share one, because a name may be spelt with them alike.
fn first_bit(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, u8::to_ascii_lowercase);
    let letter = u32::from(first).checked_sub(u32::from(b'a')).filter(|letter| *letter < 26);
    1_u64.checked_shl(letter.unwrap_or(63)).unwrap_or(1 << 63)
}

fn is_proxys(name: &[u8]) -> bool {
    PROXYS.iter().any(|p| p.as_bytes().eq_ignore_ascii_case(name))
}

fn is_like_proxys(name: &[u8]) -> bool {
    PROXYS.iter().any(|p| spelt_alike(p.as_bytes(), name))
}

impl TrustHeaders {
    /// What every service is told.
    pub fn to_set(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.set.iter().map(|(name, value)| (name, value.as_slice()))
    }

    /// The headers that tell who a token's bearer is, where the policy has tokens.
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

    /// Whether a client's header `name` must not pass: one of ours in any spelling, or one of the proxy's in a wrong one.
    #[must_use]
    pub fn claims_trust(&self, name: &[u8]) -> bool {
        if self.lengths & length_bit(name.len()) == 0 || self.firsts & first_bit(name) == 0 || is_proxys(name)
        {
            return false;
        }
        self.ours.iter().any(|ours| ours.is_spelt_like(name)) || is_like_proxys(name)
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
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn policy(set: &[(&str, &str)], reserve: &[&str]) -> RawTrustHeaders {
        RawTrustHeaders {
            set: Named(set.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()),
            reserve: reserve.iter().map(ToString::to_string).collect(),
            ..RawTrustHeaders::default()
        }
    }

    fn claims<'n>(names: &[&'n str]) -> Vec<ClaimHeaderName<'n>> {
        names.iter().enumerate().map(|(i, name)| ClaimHeaderName { name, at: Node::top().index(i) }).collect()
    }

    #[test]
    fn with_tokens_the_identity_and_claim_headers_are_ours_in_every_spelling() {
        let named =
            RawTrustHeaders { role: Some("X-Role".to_owned()), ..policy(&[("X-Source", "gateway")], &[]) };
        // Two providers may fill one header.
        let trust = named.compile_with(&Node::top(), Some(&claims(&["X-Tenant", "x-tenant"]))).unwrap();
        let identity = trust.identity().unwrap();
        let names = [&identity.user, &identity.role, &identity.authenticated].map(HeaderName::as_str);
        assert_eq!(names, ["x-user-id", "x-role", "x-authenticated"]);
        for name in ["X_User-Id", "x_role", "x.authenticated", "X_TENANT"] {
            assert!(trust.claims_trust(name.as_bytes()), "{name}");
        }
        assert!(!trust.claims_trust(b"x-user-role"));
        assert_eq!(trust.ours().len(), 5);
        assert_eq!(trust.fixed(), [HeaderName::parse("X-Source").unwrap()]);
        let without = policy(&[], &[]).compile(&Node::top()).unwrap();
        assert!(without.identity().is_none() && !without.claims_trust(b"x-user-id"));
    }

    #[test]
    fn identity_and_claim_headers_are_nothing_else_as_well() {
        let raw =
            RawTrustHeaders { user: Some("Cookie".to_owned()), ..policy(&[("X-A", "1")], &["x-user_role"]) };
        let at = Node::top().key("trust_headers");
        let errors =
            raw.compile_with(&at, Some(&claims(&["x_a", "X-Authenticated", "Accept", "X-B"]))).unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(places, ["trust_headers.user", "trust_headers.role", "[0]", "[1]", "[2]"]);
        let errors = raw.compile(&at).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].to_string().starts_with("trust_headers.user: found `Cookie`, expected a section `jwt`")
        );
    }

    fn trust() -> TrustHeaders {
        policy(&[("X-Source", "gateway")], &["X-User-Role"]).compile(&Node::top()).unwrap()
    }

    #[test]
    fn every_spelling_of_a_trust_header_is_found_and_others_are_left() {
        let names = [
            "x-user-role",
            "x_user_role",
            "x.user-role",
            "x-source",
            "x_request_id",
            "X_Forwarded-For",
            "x-user-rolex",
            "accept",
            "x-request-id",
            "x-forwarded-for",
        ];
        let headers = Headers::from_pairs(names.map(|n| (n, &b"v"[..])));
        let lower = names.map(str::to_lowercase);
        assert_eq!(trust().forged(&headers), lower[..6].iter().map(|n| n.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn in_trailers_the_proxys_own_names_are_forged_too() {
        let names = ["x-request-id", "x_forwarded_for", "x-user-role", "grpc-status"];
        let trailers = Headers::from_pairs(names.map(|name| (name, &b"v"[..])));
        assert_eq!(
            trust().forged_trailers(&trailers),
            names[..3].iter().map(|n| n.as_bytes()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_host_that_a_client_claims_can_be_reserved_like_any_name() {
        let trust = policy(&[], &["X-Forwarded-Host"]).compile(&Node::top()).unwrap();
        assert!(trust.claims_trust(b"x-forwarded-host") && trust.claims_trust(b"x_forwarded-host"));
    }

    #[test]
    fn a_client_cannot_have_the_next_hop_drop_our_headers() {
        let headers = Headers::from_pairs([
            ("connection", &b"Upgrade, X-Source"[..]),
            ("connection", b"x_user_role, X-Request-Id"),
        ]);
        assert_eq!(trust().clean_connection(&headers), Some(b"Upgrade".to_vec()));
        let harmless = Headers::from_pairs([("connection", &b"keep-alive, Upgrade"[..])]);
        assert_eq!(trust().clean_connection(&harmless), None);
    }

    #[test]
    fn mistakes_are_located() {
        let errors = policy(&[("X-A", "1\r\nX-B: 2"), ("bad name", "")], &["x_a", "x-c", "X_C", "Host"])
            .compile(&Node::top().key("trust_headers"))
            .unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(
            places,
            [
                "trust_headers.set.X-A",
                "trust_headers.set.bad name",
                "trust_headers.reserve[2]",
                "trust_headers.reserve[3]"
            ]
        );
    }

    #[test]
    fn headers_that_others_need_are_no_trust_headers_in_any_spelling() {
        let names = [
            "Host",
            "Cookie",
            "user_agent",
            "X_Request_ID",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "Accept",
            "Accept-Encoding",
            "Origin",
            "x_envoy_internal",
            "X-Envoy-Anything",
        ];
        let errors = policy(&[], &names).compile(&Node::top()).unwrap_err();
        assert_eq!(errors.len(), names.len(), "{errors:#?}");
        assert!(errors[3].to_string().contains("takes care of `x-request-id`, `x-forwarded-for` and"));
    }

    #[test]
    fn an_empty_trust_header_would_say_nothing() {
        let errors = policy(&[("X-A", "")], &[]).compile(&Node::top()).unwrap_err();
        assert_eq!(errors[0].at.to_string(), "set.X-A");
    }
}
