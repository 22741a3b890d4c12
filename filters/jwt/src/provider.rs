//! One issuer, compiled, and the checks that its tokens go through.

use crate::claim_header::{ClaimHeader, fits_header, fits_list, is_printable};
use crate::deny::Revocation;
use crate::error::refuse;
use crate::identity::{Chosen, Facts};
use crate::introspection::Introspection;
use crate::jose::{Header, same_type};
use crate::json::{Json, JsonRef, Value};
use crate::keyset::{AlgSet, KeySet, SetRules, max_candidates};
use crate::registered::Registered;
use crate::{FetchPolicy, Identity, Key, Pointer, Refusal, SignatureCheck, TokenError, identity};
use portcullis_edge_core::Wall;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    pub(crate) name: String,
    pub(crate) issuer: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) any_audience: bool,
    pub(crate) algorithms: AlgSet,
    pub(crate) keys: KeySet,
    pub(crate) fetch: Option<(FetchPolicy, SetRules)>,
    pub(crate) types: Vec<String>,
    pub(crate) leeway_nanos: u64,
    pub(crate) max_lifetime_nanos: Option<u64>,
    pub(crate) max_token_bytes: usize,
    pub(crate) require_exp: bool,
    pub(crate) takes_bound_tokens: bool,
    pub(crate) required: Vec<(Pointer, Vec<serde_json::Value>)>,
    pub(crate) user: Pointer,
    pub(crate) role: Pointer,
    pub(crate) scope: Pointer,
    pub(crate) headers: Vec<ClaimHeader>,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) introspection: Option<Introspection>,
    /// Whether the policy gives it no keys at all, so that only its auth service knows its tokens.
    pub(crate) is_opaque: bool,
}

/// Where a signature stands before it is checked.
pub(crate) struct Signed<'t> {
    pub(crate) header: &'t Header<'t>,
    pub(crate) signed: &'t [u8],
    pub(crate) signature: &'t Vec<u8>,
}

impl Provider {
    /// Its name in the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its keys are fetched, if they are.
    #[must_use]
    pub fn fetch(&self) -> Option<&FetchPolicy> {
        self.fetch.as_ref().map(|(policy, _)| policy)
    }

    /// Reads a key set as if it had been fetched for this provider.
    ///
    /// # Errors
    /// What is wrong with it; also a provider that fetches none.
    pub fn read_keys(&self, body: &[u8]) -> Result<KeySet, &'static str> {
        let (_, rules) = self.fetch.as_ref().ok_or("not_fetched")?;
        <KeySet as crate::Document>::read(body, rules)
    }

    /// How its deny list is fetched, if it has one.
    #[must_use]
    pub fn revocation(&self) -> Option<&FetchPolicy> {
        self.revocation.as_ref().map(|revocation| &revocation.fetch)
    }

    /// The names of the headers that its claims become.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.header.as_str())
    }

    pub(crate) fn check_size(&self, token: &[u8]) -> Result<(), Refusal> {
        if token.len() <= self.max_token_bytes {
            return Ok(());
        }
        Err(refuse(TokenError::TooLarge, "the token is larger than its provider accepts"))
    }

    /// Finds the key and checks the signature.
    pub(crate) fn check_signature<'k>(
        &'k self,
        token: &Signed<'_>,
        fetched: Option<&'k KeySet>,
        host: &dyn SignatureCheck,
    ) -> Result<&'k Key, Refusal> {
        if !self.algorithms.contains(token.header.alg) {
            return Err(refuse(
                TokenError::UnsupportedAlgorithm,
                "the provider's tokens have other algorithms",
            ));
        }
        let mut tried = 0_usize;
        for key in self.candidates(token.header, fetched) {
            if key.verifies(token.signed, token.signature, host) {
                return Ok(key);
            }
            tried = tried.saturating_add(1);
        }
        Err(self.no_key(token.header, fetched, tried > 0))
    }

    fn all_keys<'k>(&'k self, fetched: Option<&'k KeySet>) -> impl Iterator<Item = &'k Key> {
        self.keys.keys().iter().chain(fetched.into_iter().flat_map(|set| set.keys()))
    }

    /// The keys that a token is tried against: those that it names first.
    pub(crate) fn candidates<'k>(
        &'k self,
        header: &Header<'_>,
        fetched: Option<&'k KeySet>,
    ) -> impl Iterator<Item = &'k Key> {
        self.possible_keys(header, fetched).take(max_candidates(header.alg))
    }

    fn possible_keys<'k>(
        &'k self,
        header: &Header<'_>,
        fetched: Option<&'k KeySet>,
    ) -> impl Iterator<Item = &'k Key> {
        let (alg, kid) = (header.alg, header.kid);
        let named = self.all_keys(fetched).filter(move |key| kid.is_some() && key.kid() == kid);
        let others = self.all_keys(fetched).filter(move |key| kid.is_none() || key.kid().is_none());
        named.chain(others).filter(move |key| key.alg() == alg)
    }

    /// Why no key verified the token.
    fn no_key(&self, header: &Header<'_>, fetched: Option<&KeySet>, tried: bool) -> Refusal {
        let pending = self.fetch.is_some() && fetched.is_none();
        // A secret is never fetched, so an HMAC need not wait for keys.
        if pending && header.alg.min_secret_bytes() == 0 {
            return refuse(TokenError::KeysPending, "the provider's keys have not been fetched yet");
        }
        if tried && self.possible_keys(header, fetched).count() > max_candidates(header.alg) {
            return refuse(
                TokenError::InvalidSignature,
                "none of the keys tried made this signature; there are more, and `kid` would tell which",
            );
        }
        if tried {
            return refuse(TokenError::InvalidSignature, "no key of the provider made this signature");
        }
        let has_kid = |key: &Key| header.kid.is_some() && key.kid() == header.kid;
        if self.all_keys(fetched).any(has_kid) {
            return refuse(
                TokenError::UnsupportedAlgorithm,
                "the key that `kid` names is for another algorithm",
            );
        }
        refuse(TokenError::UnknownKey, "no key of the provider has this `kid` and algorithm")
    }

    /// Everything that a token with a good signature must still say.
    ///
    /// Gives from when and until when it is good.
    pub(crate) fn check_claims(
        &self,
        header: &Header<'_>,
        claims: &Registered<'_>,
        all: JsonRef<'_>,
        now: Wall,
    ) -> Result<(Wall, Wall), Refusal> {
        self.check_type(header)?;
        self.check_answer(claims, all, now, self.require_exp)
    }

    /// The same for what an auth service answers; there is no header then, and `exp` is its own affair.
    pub(crate) fn check_answer(
        &self,
        claims: &Registered<'_>,
        all: JsonRef<'_>,
        now: Wall,
        needs_exp: bool,
    ) -> Result<(Wall, Wall), Refusal> {
        if claims.has_cnf && !self.takes_bound_tokens {
            return Err(refuse(
                TokenError::ConfirmationRequired,
                "`cnf`: the token is bound to its holder's key",
            ));
        }
        let times = self.check_times(claims, now, needs_exp)?;
        self.check_audience(claims)?;
        self.check_required(all)?;
        Ok(times)
    }

    fn check_type(&self, header: &Header<'_>) -> Result<(), Refusal> {
        let fits = |typ: &str| self.types.iter().any(|wanted| same_type(typ, wanted));
        if self.types.is_empty() || header.typ.is_some_and(fits) {
            return Ok(());
        }
        Err(refuse(TokenError::InvalidType, "`typ` is not one that the provider issues"))
    }

    /// From when and until when the token is good.
    fn check_times(
        &self,
        claims: &Registered<'_>,
        now: Wall,
        needs_exp: bool,
    ) -> Result<(Wall, Wall), Refusal> {
        if claims.exp.is_none() && needs_exp {
            return Err(refuse(TokenError::InvalidClaim, "`exp` is absent"));
        }
        let until = claims.exp.map_or(u64::MAX, |exp| exp.0.saturating_add(self.leeway_nanos));
        let mut from = claims.nbf.map_or(0, |nbf| nbf.0.saturating_sub(self.leeway_nanos));
        if now.0 >= until {
            return Err(refuse(TokenError::Expired, "`exp` is reached"));
        }
        if now.0 < from {
            return Err(refuse(TokenError::NotYetValid, "`nbf` is not reached"));
        }
        if let Some(longest) = self.max_lifetime_nanos {
            let latest_start = self.check_lifetime(claims, longest, now)?;
            from = from.max(latest_start);
        }
        Ok((Wall(from), Wall(until)))
    }

    /// Counted from `iat`, and from now too, since a token may claim to be issued whenever it likes. Gives the moment before
    /// which the token would be too long-lived.
    fn check_lifetime(&self, claims: &Registered<'_>, longest: u64, now: Wall) -> Result<u64, Refusal> {
        let exp = claims.exp.map_or(u64::MAX, |exp| exp.0);
        let by_claims = claims.iat.is_some_and(|iat| exp.saturating_sub(iat.0) > longest);
        let earliest = exp.saturating_sub(longest).saturating_sub(self.leeway_nanos);
        if by_claims || now.0 < earliest {
            return Err(refuse(
                TokenError::LifetimeTooLong,
                "the token lives longer than the provider allows",
            ));
        }
        Ok(earliest)
    }

    fn check_audience(&self, claims: &Registered<'_>) -> Result<(), Refusal> {
        let fine = match (self.any_audience, self.audiences.is_empty()) {
            (true, _) => true,
            (false, true) => claims.aud.is_none(),
            (false, false) => claims.is_for(&self.audiences),
        };
        if fine { Ok(()) } else { Err(refuse(TokenError::InvalidAudience, "`aud` does not name us")) }
    }

    fn check_required(&self, claims: JsonRef<'_>) -> Result<(), Refusal> {
        for (pointer, values) in &self.required {
            let claim = claims.at(pointer).filter(|claim| claim.value() != Value::Null);
            let claim = claim.ok_or(refuse(TokenError::InvalidClaim, "a required claim is absent"))?;
            let fits = |found: JsonRef<'_>| values.iter().any(|value| is_same(found, value));
            let any_fits = fits(claim)
                || claim.value() == Value::List && claim.children().any(|(_, element)| fits(element));
            if !values.is_empty() && !any_fits {
                return Err(refuse(TokenError::InvalidClaim, "a required claim has another value"));
            }
        }
        Ok(())
    }

    /// Takes out of the claims what the rest of the gateway asks for.
    pub(crate) fn identify(&self, index: usize, mut json: Json, facts: Facts) -> Result<Identity, Refusal> {
        let Facts { from, until, signed } = facts;
        json.shrink();
        let claims = json.root();
        let user = identity::user(claims, &self.user)?;
        let roles = identity::texts(claims, &self.role, None)?;
        let scopes = identity::texts(claims, &self.scope, Some(' '))?;
        check_words(user.as_deref(), &roles, &scopes)?;
        let mut headers = Vec::new();
        for (at, header) in self.headers.iter().enumerate() {
            if let Some(value) = header.value(claims)? {
                headers.push((at, value.into_boxed_slice()));
            }
        }
        let fresh_until = Wall(u64::MAX);
        Ok(Identity {
            provider: index,
            user,
            roles,
            scopes,
            headers,
            from,
            until,
            fresh_until,
            chosen: Chosen::ByClaims,
            signed,
            claims: json,
        })
    }
}

/// User and roles become headers, so they must arrive there as they are; scopes become log values.
fn check_words(user: Option<&str>, roles: &[Box<str>], scopes: &[Box<str>]) -> Result<(), Refusal> {
    let fine = user.is_none_or(fits_header)
        && roles.iter().all(|role| fits_list(role))
        && scopes.iter().all(|scope| is_printable(scope));
    let unfit =
        "user or role with a control character, a space at an end or (roles) a comma, or such a scope";
    if fine { Ok(()) } else { Err(refuse(TokenError::UnmappableClaim, unfit)) }
}

/// Whether a claim is the scalar `value` of a policy.
fn is_same(claim: JsonRef<'_>, value: &serde_json::Value) -> bool {
    match claim.value() {
        Value::Text(text) => value.as_str() == Some(text),
        Value::Bool(b) => value.as_bool() == Some(b),
        Value::UInt(n) => value.as_u64() == Some(n),
        Value::Int(n) => value.as_i64() == Some(n),
        Value::Float(n) => value.as_f64() == Some(n),
        Value::Null | Value::List | Value::Object => false,
    }
}
