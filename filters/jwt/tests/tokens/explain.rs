//! Explanations, which tell all but signature and secret.

use crate::support::*;
use portcullis_jwt::{Alg, Explanation, Keys};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn explain(token: &str) -> Explanation {
    let secrets = json!([
        {"alg": "HS256", "kid": "old", "value": "an-old-secret-of-thirty-two-bytes"},
        {"alg": "HS256", "kid": "new", "value": "${ENV:JWT_SECRET}"},
        {"alg": "HS512", "kid": "other", "value": "${ENV:JWT_SECRET}"}]);
    let jwt = jwt(json!({"providers": {"main": {"secrets": secrets}}}));
    jwt.explain(
        &route(&jwt, json!({})),
        token.as_bytes(),
        &Keys::default(),
        at(NOW),
        &portcullis_edge_core::MemoryHost::default(),
    )
}

#[test]
fn a_good_token_names_its_provider_and_key() {
    let claims = json!({"sub": "alice", "exp": NOW + 60});
    let told = explain(&token(Alg::HS256, &claims)).to_json();
    assert_eq!(told["verdict"], "good");
    assert_eq!(told["provider"], "main");
    assert_eq!(told["key"], json!({"kid": "new", "alg": "HS256"}));
    assert_eq!(told["candidate_keys"].as_array().unwrap().len(), 2);
    assert_eq!(told["claims"], claims);
    assert_eq!(told["header"]["alg"], "HS256");
    assert_eq!(told["signature_bytes"], 32);
}

#[test]
fn a_bad_token_names_the_check_that_refused_it_and_what_could_be_read() {
    let expired = explain(&token(Alg::HS256, &json!({"exp": NOW - 1}))).to_json();
    assert_eq!((&expired["verdict"], &expired["detail"]), (&json!("expired"), &json!("`exp` is reached")));
    assert_eq!(expired["key"]["kid"], "new", "the signature was good");
    let forged =
        explain(&token(Alg::RS256, &json!({"exp": NOW + 9})).replace("eyJhbGciOiJSUz", "eyJhbGciOiJIUz"));
    assert_eq!(forged.to_json()["verdict"], "invalid_signature");
    assert_eq!(forged.key, None);
    let garbage = explain("no token").to_json();
    assert_eq!(garbage["verdict"], "malformed");
    assert_eq!(garbage["header"], Value::Null);
}

#[test]
fn neither_signature_nor_secret_is_told() {
    let token = token(Alg::HS256, &json!({"exp": NOW + 9}));
    let (_, signature) = token.rsplit_once('.').unwrap();
    let told = explain(&token);
    let all = format!("{told:?}{}", told.to_json());
    assert!(!all.contains(signature));
    assert!(!all.contains(std::str::from_utf8(SECRET).unwrap()));
}
