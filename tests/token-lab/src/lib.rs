//! Tokens for tests: keys of every kind, honest signatures and forged ones, and every pairing of them.
//!
//! It knows nothing of the code under test, and signs with libraries that the code under test does not verify with where
//! there is a choice.
//!
//! ```
//! use portcullis_token_lab::{SECRET, mint};
//! use serde_json::json;
//! let token = mint("HS256", &json!({"sub": "alice", "exp": 1_795_000_060_u64}));
//! assert_eq!(token.split('.').count(), 3);
//! ```

mod keys;
pub mod matrix;
mod sign;

pub use keys::{KeyKind, curve_jwks, der, key_kinds, public_jwk, public_pem, rsa_jwks};
pub use sign::{b64, mac, mint, mint_with, sign};

/// Long enough for every HMAC.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The algorithms of RFC 7518 and RFC 8037 that sign.
pub const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "ES512", "EdDSA",
];
