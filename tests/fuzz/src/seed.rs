//! What the fuzzing begins with.

use portcullis_token_lab::{mint, public_jwk};
use serde_json::{Value, json};

/// 2026-11-18.
pub const NOW: u64 = 1_795_000_000;

const ALGORITHMS: [&str; 4] = ["HS256", "ES256", "EdDSA", "RS256"];

/// Claims that every check takes.
pub fn claims() -> Value {
    json!({"sub": "alice", "role": "customer", "exp": NOW + 60, "iat": NOW, "type": "access_token"})
}

/// Tokens with good signatures.
pub fn tokens() -> Vec<String> {
    ALGORITHMS.iter().map(|alg| mint(alg, &claims())).collect()
}

/// The public keys that go with them.
pub fn key_set() -> Value {
    let keys: Vec<_> = ALGORITHMS[1..].iter().map(|alg| public_jwk(alg, alg)).collect();
    json!({ "keys": keys })
}
