//! Algorithm confusion, generated: every algorithm name x every signature that somebody could make x every key, and only the
//! exact pairs pass.

use crate::support::*;
use portcullis_jwt::{Alg, TokenError};
use portcullis_token_lab::matrix::{Bound, forgeries};
use serde_json::{Value, json};
use std::io::Write as _;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn only_exact_pairs_of_key_and_algorithm_pass() {
    let tokens = forgeries(&json!({"sub": "a", "exp": NOW + 60}));
    let (mut cases, mut passed, mut wrong) = (0, 0, Vec::new());
    for key in Bound::all() {
        let jwt = jwt(json!({"providers": {"p": key.provider()}}));
        for token in &tokens {
            let verdict = check(&jwt, &token.token);
            cases += 1;
            passed += usize::from(verdict.is_ok());
            if verdict.is_ok() != key.takes(token) {
                let (kind, alg) = (key.kind.name, key.alg);
                wrong.push(format!("{} by {} against {kind} as {alg}: {verdict:?}", token.alg, token.by));
            }
        }
    }
    // Past the test runner's capture: the count is a result of its own.
    let told = format!("algorithm matrix: {cases} cases, {passed} passed, {} wrong", wrong.len());
    let _ = writeln!(std::io::stderr(), "{told}");
    assert_eq!(wrong, [""; 0]);
    // EdDSA has two names.
    assert_eq!(passed, 2 * (Alg::ALL.len() + 1));
}

#[test]
fn a_token_never_chooses_its_key() {
    let claims = json!({"exp": NOW + 60}).to_string();
    let evil = json!({"kty": "oct", "k": b64(SECRET)});
    let jwt = jwt(json!({"providers": {"p": {"pem": [{"alg": "RS256", "value": public_pem("RSA")}]}}}));
    for header in [
        json!({"alg": "HS256", "jwk": evil}),
        json!({"alg": "HS256", "jku": "https://evil/keys"}),
        json!({"alg": "HS256", "x5c": ["MII"], "x5u": "https://evil"}),
    ] {
        let token = token_of(Alg::HS256, &header.to_string(), &claims);
        assert_eq!(check(&jwt, &token).err(), Some(TokenError::UnknownKey), "{header}");
    }
}

#[test]
fn a_key_id_narrows_and_never_widens() {
    let [a, b] = [("a", "HS256"), ("b", "HS512")]
        .map(|(kid, alg)| json!({"alg": alg, "kid": kid, "value": "${ENV:JWT_SECRET}"}));
    let jwt = jwt(json!({"providers": {"p": {"secrets": [a, b]}}}));
    let verdict = |alg: Alg, header: Value| {
        check(&jwt, &token_of(alg, &header.to_string(), &json!({"exp": NOW + 60}).to_string())).err()
    };
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256", "kid": "a"})), None);
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256"})), None);
    assert_eq!(
        verdict(Alg::HS256, json!({"alg": "HS256", "kid": "b"})),
        Some(TokenError::UnsupportedAlgorithm)
    );
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256", "kid": "c"})), Some(TokenError::UnknownKey));
    assert_eq!(verdict(Alg::HS512, json!({"alg": "HS256", "kid": "a"})), Some(TokenError::InvalidSignature));
}

#[test]
fn old_and_new_secret_are_accepted_together() {
    let old = "an-old-secret-of-thirty-two-bytes";
    let jwt = jwt(json!({"providers": {"p": {"secrets": [
        {"alg": "HS256", "value": "${ENV:JWT_SECRET}"}, {"alg": "HS256", "value": old}]}}}));
    let signed = format!("{}.{}", b64(r#"{"alg":"HS256"}"#), b64(json!({"exp": NOW + 60}).to_string()));
    for (secret, fine) in [(SECRET, true), (old.as_bytes(), true), (b"another", false)] {
        let token = format!("{signed}.{}", b64(mac(Alg::HS256, secret, signed.as_bytes())));
        assert_eq!(check(&jwt, &token).is_ok(), fine);
    }
}
