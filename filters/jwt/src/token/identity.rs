use super::issuer::IssuedBy;
use super::json::{Json, JsonRef, Value};
use super::pointer::Pointer;
use crate::error::{Refusal, TokenError, refuse};
use core::fmt;
use core::hash::{Hash as _, Hasher as _};
use portcullis_edge_core::Wall;
use std::hash::DefaultHasher;

/// What decided which provider the token is asked of; another route may so choose another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// `iss` of the claims at hand, which are the token's own.
    ByClaims,
    /// `iss` and `tid` of a token whose claims at hand are the auth service's.
    ByToken(Option<Box<str>>, Option<Box<str>>),
    /// The token is no JWT.
    Opaque,
}

/// What its checks found out of a token beside its claims.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    /// See [`Identity`].
    pub(crate) from: Wall,
    pub(crate) until: Wall,
    pub(crate) signed: Option<[u8; 32]>,
}

/// What a valid token says of its bearer.
#[derive(Clone)]
pub struct Identity {
    pub(crate) provider: usize,
    pub(crate) claims: Json,
    pub(crate) user: Option<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) scopes: Vec<Box<str>>,
    /// Values of the provider's claim headers, in its order.
    pub(crate) headers: Vec<(usize, Box<[u8]>)>,
    /// The first moment at which the token is good.
    pub(crate) from: Wall,
    /// The first moment at which it is not any more.
    pub(crate) until: Wall,
    /// The first moment at which the auth service must be asked again; later than any where it is not asked.
    pub(crate) fresh_until: Wall,
    pub(crate) chosen: Chosen,
    /// SHA-256 of the signing input, where the provider's deny list may need it.
    pub(crate) signed: Option<[u8; 32]>,
}

/// In the place of a provider, of an identity that this policy's providers did not check.
const NO_PROVIDER: usize = usize::MAX;

/// What another instance of the filter found out about a bearer.
#[derive(Clone, Copy)]
pub struct Handed<'a> {
    /// The user.
    pub user: Option<&'a str>,
    /// The roles.
    pub roles: &'a [String],
    /// The scopes.
    pub scopes: &'a [String],
    /// The claims, as a JSON object.
    pub claims: &'a [u8],
}

impl Identity {
    /// The identity that another instance found out. No provider of this policy has checked it, so it makes no claim headers; nothing
    /// where the claims are no JSON.
    #[must_use]
    pub fn handed(handed: Handed<'_>) -> Option<Self> {
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        Some(Self {
            provider: NO_PROVIDER,
            claims: Json::parse(handed.claims).ok()?,
            user: handed.user.map(Into::into),
            roles: texts(handed.roles),
            scopes: texts(handed.scopes),
            headers: Vec::new(),
            from: Wall(0),
            until: Wall(u64::MAX),
            fresh_until: Wall(u64::MAX),
            chosen: Chosen::ByClaims,
            signed: None,
        })
    }

    /// The claims.
    #[must_use]
    pub fn claims(&self) -> JsonRef<'_> {
        self.claims.root()
    }

    /// The user, by the provider's `user_claim`.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The roles, by the provider's `role_claim`.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(AsRef::as_ref)
    }

    /// The scopes, by the provider's `scope_claim`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(AsRef::as_ref)
    }

    /// Whether the bearer has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| **own == *role)
    }

    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| **own == *scope)
    }

    /// What the token says of its issuer; of an opaque token what the auth service says.
    #[must_use]
    pub fn issued_by(&self) -> IssuedBy<'_> {
        match &self.chosen {
            Chosen::ByToken(iss, tenant) => IssuedBy { iss: iss.as_deref(), tenant: tenant.as_deref() },
            Chosen::ByClaims | Chosen::Opaque => {
                let text = |name| self.claims().member(name).and_then(JsonRef::text);
                IssuedBy { iss: text("iss"), tenant: text("tid") }
            }
        }
    }

    /// Whether the value at `path`, or an element of the list there, passes `test`.
    #[must_use]
    pub fn any_claim(&self, path: &[String], mut test: impl FnMut(Value<'_>) -> bool) -> bool {
        let Some(claim) = self.claims().walk(path) else { return false };
        match claim.value() {
            Value::List => claim.children().any(|(_, element)| test(element.value())),
            value => test(value),
        }
    }

    /// The index of the token's provider.
    #[must_use]
    pub fn provider(&self) -> usize {
        self.provider
    }

    /// Tells one token from another, the same in every worker: from `iss` and `jti`, else from what was signed. Never from the
    /// signature, which can be changed into another valid one. Enough to count by, not to decide by. `token` is the one that
    /// the identity is of.
    #[must_use]
    pub fn token_id(&self, token: &[u8]) -> u64 {
        // Without a key, so that all workers agree.
        let mut hasher = DefaultHasher::new();
        let text = |name| self.claims().member(name).and_then(JsonRef::text);
        match (&self.chosen, text("jti")) {
            (Chosen::ByClaims, Some(jti)) => (text("iss"), jti).hash(&mut hasher),
            (Chosen::ByClaims, None) => signing_input(token).hash(&mut hasher),
            (Chosen::ByToken(..) | Chosen::Opaque, _) => token.hash(&mut hasher),
        }
        hasher.finish()
    }

    /// Values of the provider's claim headers, with their places among these.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.headers.iter().map(|(at, value)| (*at, value.as_ref()))
    }

    /// When the token stops being good, leeway included; `None` for a token without `exp`.
    #[must_use]
    pub fn expires(&self) -> Option<Wall> {
        (self.until != Wall(u64::MAX)).then_some(self.until)
    }

    /// Whether what is known of the token holds at `now`.
    #[must_use]
    pub fn is_good_at(&self, now: Wall) -> bool {
        self.from <= now && now < self.until.min(self.fresh_until)
    }

    /// Memory that it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.roles.iter().chain(&self.scopes).chain(&self.user);
        let text_bytes: usize = texts.map(|text| text.len().saturating_add(size_of::<Box<str>>())).sum();
        let headers: usize = self
            .headers
            .iter()
            .map(|(_, value)| value.len().saturating_add(size_of::<(usize, Box<[u8]>)>()))
            .sum();
        [size_of::<Self>(), self.claims.heap_bytes(), text_bytes, headers].iter().sum()
    }
}

#[cfg(test)]
impl Identity {
    /// For tests: nothing but claims.
    pub(crate) fn of_claims(claims: &str) -> Self {
        let nobody = Handed { user: None, roles: &[], scopes: &[], claims: claims.as_bytes() };
        Self { provider: 0, ..Self::handed(nobody).unwrap() }
    }
}

/// Shows no claim.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(provider {})", self.provider)
    }
}

/// Everything before the last dot.
pub(crate) fn signing_input(token: &[u8]) -> &[u8] {
    let dot = token.iter().rposition(|byte| *byte == b'.');
    dot.and_then(|dot| token.get(..dot)).unwrap_or(token)
}

/// The claim at `pointer` as one text. Null counts as absent; an empty text names nobody.
pub(crate) fn user(claims: JsonRef<'_>, pointer: &Pointer) -> Result<Option<Box<str>>, Refusal> {
    let Some(claim) = claims.at(pointer) else { return Ok(None) };
    match claim.value() {
        Value::Null => Ok(None),
        Value::Text(text) if !text.is_empty() => Ok(Some(text.into())),
        Value::UInt(n) => Ok(Some(n.to_string().into())),
        _ => Err(refuse(TokenError::InvalidClaim, "the user claim is neither text nor a whole number")),
    }
}

/// The claim at `pointer` as texts: a list's elements, or one text, cut at `separator` where there is one. Empty ones name
/// nothing and are left out.
pub(crate) fn texts(
    claims: JsonRef<'_>,
    pointer: &Pointer,
    separator: Option<char>,
) -> Result<Vec<Box<str>>, Refusal> {
    let wrong = refuse(TokenError::InvalidClaim, "a role or scope claim is neither text nor a list of texts");
    let Some(claim) = claims.at(pointer) else { return Ok(Vec::new()) };
    match (claim.value(), separator) {
        (Value::Null, _) => Ok(Vec::new()),
        (Value::Text(text), Some(separator)) => {
            Ok(text.split(separator).filter(|part| !part.is_empty()).map(Into::into).collect())
        }
        (Value::Text(text), None) => {
            Ok(Some(text).filter(|text| !text.is_empty()).map(Into::into).into_iter().collect())
        }
        (Value::List, _) => {
            let texts = claim.children().map(|(_, element)| element.text().ok_or(wrong));
            texts.filter(|text| *text != Ok("")).map(|text| text.map(Into::into)).collect()
        }
        _ => Err(wrong),
    }
}
