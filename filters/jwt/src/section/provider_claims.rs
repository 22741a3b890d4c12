//! What a token of a provider must say, and what the rest of the gateway takes out of it.

use super::provider::Provider;
use crate::error::{Refusal, TokenError, refuse};
use crate::token::{
    self, Chosen, Facts, Header, Identity, Json, JsonRef, Registered, Value, fits_header, fits_list,
    is_printable, same_type,
};
use portcullis_edge_core::Wall;

impl Provider {
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

    /// The roles, each with the provider's prefix: what another provider calls `admin` is another role.
    fn roles(&self, claims: JsonRef<'_>) -> Result<Vec<Box<str>>, Refusal> {
        let roles = token::texts(claims, &self.role, None)?;
        if self.role_prefix.is_empty() {
            return Ok(roles);
        }
        Ok(roles.iter().map(|role| [&self.role_prefix, &**role].concat().into()).collect())
    }

    /// Takes out of the claims what the rest of the gateway asks for.
    /// A role that begins as another provider's do would be taken for that provider's.
    fn check_roles(&self, roles: &[Box<str>]) -> Result<(), Refusal> {
        let is_foreign = |role: &str| self.foreign_prefixes.iter().any(|prefix| role.starts_with(prefix));
        match roles.iter().any(|role| is_foreign(role)) {
            true => Err(refuse(
                TokenError::InvalidClaim,
                "a role that begins with another provider's `role_prefix`",
            )),
            false => Ok(()),
        }
    }

    pub(crate) fn identify(&self, index: usize, mut json: Json, facts: Facts) -> Result<Identity, Refusal> {
        let Facts { from, until, signed } = facts;
        json.shrink();
        let claims = json.root();
        let user = token::user(claims, &self.user)?;
        let roles = self.roles(claims)?;
        self.check_roles(&roles)?;
        let scopes = token::texts(claims, &self.scope, Some(' '))?;
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
