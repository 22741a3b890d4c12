//! What a route asks for, against everything that a client may send.

use crate::support::*;
use portcullis_jwt::{Alg, TokenError};
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn worker() -> Worker {
    Worker::new(json!({"providers": {"main": hs256_provider(json!({"issuer": "us"}))}}))
}

fn good() -> String {
    token(Alg::HS256, &json!({"iss": "us", "sub": "alice", "exp": NOW + 60}))
}

/// Every kind of bad request, with the reason that it deserves.
fn bad() -> Vec<(&'static str, Vec<String>, TokenError)> {
    let mut forged = good();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let bearer = |token: &str| vec![format!("Bearer {token}")];
    let of = |claims| token(Alg::HS256, &claims);
    vec![
        ("wrong issuer", bearer(&of(json!({"iss": "them", "exp": NOW + 60}))), TokenError::InvalidIssuer),
        ("no issuer", bearer(&of(json!({"exp": NOW + 60}))), TokenError::InvalidIssuer),
        ("bad signature", bearer(&forged), TokenError::InvalidSignature),
        ("expired", bearer(&of(json!({"iss": "us", "exp": NOW - 1}))), TokenError::Expired),
        (
            "not yet valid",
            bearer(&of(json!({"iss": "us", "exp": NOW + 60, "nbf": NOW + 1}))),
            TokenError::NotYetValid,
        ),
        ("two tokens", vec![format!("Bearer {}", good()); 2], TokenError::TwoTokens),
        ("two in one", bearer(&format!("{0}, Bearer {0}", good())), TokenError::TwoTokens),
        ("joined by a comma", bearer(&format!("{0},{0}", good())), TokenError::Malformed),
        ("none", bearer("eyJhbGciOiJub25lIn0.e30."), TokenError::UnsupportedAlgorithm),
        ("garbage", bearer("garbage"), TokenError::Malformed),
    ]
}

fn verdict(worker: &mut Worker, need: &str, authorization: &[String]) -> Outcome {
    let route = worker.route(json!({"token": need}));
    let values: Vec<&str> = authorization.iter().map(String::as_str).collect();
    outcome(&worker.request(&route, &values, NOW))
}

#[test]
fn optional_means_no_token_at_all_and_nothing_else() {
    let worker = &mut worker();
    assert_eq!(verdict(worker, "optional", &[]), Outcome::Anonymous);
    assert_eq!(verdict(worker, "optional", &["Basic dXNlcg==".to_owned()]), Outcome::Anonymous);
    assert_eq!(verdict(worker, "optional", &[format!("Bearer {}", good())]), user("alice"));
    for (what, authorization, error) in bad() {
        assert_eq!(verdict(worker, "optional", &authorization), Outcome::Refused(error), "{what}");
    }
}

#[test]
fn required_refuses_the_same_and_the_absence_too() {
    let worker = &mut worker();
    assert_eq!(verdict(worker, "required", &[]), Outcome::Refused(TokenError::Missing));
    assert_eq!(verdict(worker, "required", &[format!("Bearer {}", good())]), user("alice"));
    for (what, authorization, error) in bad() {
        assert_eq!(verdict(worker, "required", &authorization), Outcome::Refused(error), "{what}");
    }
}

#[test]
fn refused_takes_no_token_not_even_a_good_one_and_none_looks_at_none() {
    let worker = &mut worker();
    let token = [format!("Bearer {}", good())];
    assert_eq!(verdict(worker, "refused", &[]), Outcome::Anonymous);
    assert_eq!(verdict(worker, "refused", &token), Outcome::Refused(TokenError::Unexpected));
    assert_eq!(verdict(worker, "none", &token), Outcome::Anonymous);
    for (what, authorization, _) in bad() {
        assert_eq!(verdict(worker, "none", &authorization), Outcome::Anonymous, "{what}");
        assert!(matches!(verdict(worker, "refused", &authorization), Outcome::Refused(_)), "{what}");
    }
}

#[test]
fn many_odd_authorization_values_are_refused_and_nothing_panics() {
    let worker = &mut worker();
    let route = worker.route(json!({"token": "required"}));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = good().into_bytes();
    for round in 0..100_000_u32 {
        let length = usize::try_from(next() % 64).unwrap();
        let mut value = if round % 2 == 0 { b"Bearer ".to_vec() } else { Vec::new() };
        if round % 4 == 0 {
            value.extend_from_slice(&good[..good.len() - length]);
        }
        value.extend((0..length).map(|_| u8::try_from(next() & 0xff).unwrap()));
        let head = portcullis_edge_core::RequestHead {
            headers: portcullis_edge_core::Headers::from_pairs([("authorization", value.as_slice())]),
            peer: Vec::new(),
        };
        let authn = match worker.tokens.find(&route, &head) {
            Ok(found) => worker.tokens.authenticate(&route, found.as_ref(), moment(NOW), &worker.host),
            Err(refusal) => portcullis_jwt::Authn::Refused(refusal),
        };
        if length > 0 || round % 4 != 0 {
            assert!(matches!(outcome(&authn), Outcome::Refused(_)), "{value:?}");
        }
    }
}

#[test]
fn a_route_ends_what_is_open_when_the_token_expires_only_where_it_says_so() {
    let worker = worker();
    assert!(!worker.route(json!({})).ends_at_expiry());
    assert!(worker.route(json!({"end_at_expiry": true})).ends_at_expiry());
}
