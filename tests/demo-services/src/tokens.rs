//! The platform's access tokens: HS256, claims `sub`, `role`, `exp`, `iat`, `type`; no issuer, no audience.

use std::{fmt, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use serde::{Deserialize, Serialize};

use crate::clock;

/// The only `type` that opens anything.
pub const ACCESS_TOKEN: &str = "access_token";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// User name.
    pub sub: String,
    /// `public`, `customer`, `vip` or `admin`.
    pub role: String,
    /// Expiry, seconds since the Unix epoch.
    pub exp: i64,
    /// Issue time, seconds since the Unix epoch.
    pub iat: i64,
    /// [`ACCESS_TOKEN`].
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `exp` has passed; there is no leeway.
    #[error("token_expired")]
    Expired,
    /// Anything else: not a token, another algorithm or key, a claim missing or of another type.
    #[error("token_invalid")]
    Invalid,
}

/// Issues and verifies tokens under one secret.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    lifetime: Duration,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens under `secret` that live for `lifetime` (whole seconds count).
    pub fn new(secret: &str, lifetime: Duration) -> Self {
        let secret = secret.as_bytes();
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            lifetime,
        }
    }

    /// Seconds that an issued token lives.
    pub fn lifetime_seconds(&self) -> i64 {
        i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX / 2)
    }

    /// A token for this user from now on.
    ///
    /// # Errors
    /// Only if the crypto library cannot sign at all.
    pub fn issue(&self, username: &str, role: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = clock::unix_seconds();
        let exp = iat.saturating_add(self.lifetime_seconds());
        let (sub, role, kind) = (username.to_owned(), role.to_owned(), ACCESS_TOKEN.to_owned());
        self.sign(&Claims { sub, role, exp, iat, kind })
    }

    /// A token with exactly these claims, for tests that need an odd one.
    ///
    /// # Errors
    /// As [`Tokens::issue`].
    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
    }

    /// The claims of a token that is valid now.
    ///
    /// # Errors
    /// [`TokenError`], which says no more than which class of refusal it was.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        let claims = decode::<Claims>(token, &self.decoding, &rules).map_err(classify)?.claims;
        if claims.kind == ACCESS_TOKEN { Ok(claims) } else { Err(TokenError::Invalid) }
    }
}

fn classify(error: jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        _ => TokenError::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("a-secret-of-the-tests", Duration::from_secs(60))
    }

    fn claims(seconds_left: i64) -> Claims {
        let iat = clock::unix_seconds();
        Claims {
            sub: "alice".into(),
            role: "vip".into(),
            exp: iat + seconds_left,
            iat,
            kind: ACCESS_TOKEN.into(),
        }
    }

    #[test]
    fn an_issued_token_verifies_with_its_claims() {
        let read = tokens().verify(&tokens().issue("alice", "vip").unwrap()).unwrap();
        assert_eq!((read.sub.as_str(), read.role.as_str(), read.exp - read.iat), ("alice", "vip", 60));
    }

    #[test]
    fn a_token_one_second_past_its_expiry_is_refused_because_leeway_is_zero() {
        let token = tokens().sign(&claims(-1)).unwrap();
        assert_eq!(tokens().verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_under_another_secret_is_refused() {
        let token = Tokens::new("another", Duration::from_secs(60)).issue("alice", "admin").unwrap();
        assert_eq!(tokens().verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_of_another_algorithm_is_refused_even_under_the_right_secret() {
        let token = encode(&Header::new(Algorithm::HS384), &claims(60), &tokens().encoding).unwrap();
        assert_eq!(tokens().verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_of_another_type_is_refused() {
        let token = tokens().sign(&Claims { kind: "refresh_token".into(), ..claims(60) }).unwrap();
        assert_eq!(tokens().verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        assert!(!format!("{:?}", tokens()).contains("a-secret"));
    }
}
