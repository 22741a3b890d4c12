//! Documents of several providers: each request waits for its own, and each answer has its own bounds.

use crate::remote::*;
use crate::support::*;
use portcullis_jwt::metrics::TokenMetrics;
use portcullis_jwt::{Alg, Authn, TokenError, Tokens};
use portcullis_metrics::{Format, Registry, Vocabulary, exposition};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn fetching_provider(issuer: &str, more: Value) -> Value {
    let mut fetch = json!({"cluster": "idp", "jwks_uri": format!("https://{issuer}/keys")});
    fetch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"issuer": issuer, "algorithms": ["EdDSA"], "fetch": fetch})
}

fn revoking_provider(issuer: &str, more: Value) -> Value {
    let mut revocation = json!({"url": format!("https://{issuer}/revoked"), "cluster": "idp"});
    revocation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    hs256_provider(json!({"issuer": issuer, "revocation": revocation}))
}

#[test]
fn a_request_waits_for_the_keys_of_its_own_provider() {
    let of = |issuer: &str| fetching_provider(issuer, json!({}));
    let mut worker = Worker::new(json!({"providers": {"a": of("a"), "b": of("b")}}));
    let both = worker.route(json!({"providers": ["a", "b"]}));
    let bearer = |issuer: &str| {
        let claims = json!({"iss": issuer, "sub": "alice", "exp": NOW + 60}).to_string();
        format!("Bearer {}", token_of(Alg::EdDSA, r#"{"alg":"EdDSA","kid":"k"}"#, &claims))
    };
    let calls: Vec<_> = worker.poll(NOW).calls.into_iter().map(|(call, _)| call).collect();
    respond(&mut worker, calls[0], 200, &ed25519_set("k"), NOW);
    assert_eq!(outcome(&worker.request(&both, &[&bearer("a")], NOW)), user("alice"));
    let waits = worker.request(&both, &[&bearer("b")], NOW);
    assert!(matches!(waits, Authn::Wait(1)), "{waits:?}");
    respond(&mut worker, calls[1], 200, &ed25519_set("k"), NOW);
    assert_eq!(outcome(&worker.request(&both, &[&bearer("b")], NOW)), user("alice"));
}

#[test]
fn a_deny_list_speaks_of_its_own_providers_tokens() {
    let of = |issuer: &str| revoking_provider(issuer, json!({}));
    let mut worker = Worker::new(json!({"providers": {"a": of("a"), "b": of("b")}}));
    let both = worker.route(json!({"providers": ["a", "b"]}));
    let lists: [&[u8]; 2] = [br#"{"revoked":[{"jti":"x"}]}"#, br#"{"revoked":[{"jti":"y"}]}"#];
    for ((call, _), list) in worker.poll(NOW).calls.into_iter().zip(lists) {
        respond(&mut worker, call, 200, list, NOW);
    }
    let of = |issuer: &str, id: &str| {
        token(Alg::HS256, &json!({"iss": issuer, "jti": id, "sub": "alice", "exp": NOW + 60}))
    };
    let revoked = Outcome::Refused(TokenError::Revoked);
    for (issuer, id, expected) in [
        ("a", "x", revoked.clone()),
        ("a", "y", user("alice")),
        ("b", "x", user("alice")),
        ("b", "y", revoked),
    ] {
        assert_eq!(worker.token(&both, &of(issuer, id), NOW), expected, "{issuer} {id}");
    }
}

#[test]
fn each_answer_is_read_up_to_the_size_that_its_policy_allows() {
    let sizes = |keys: Value, list: Value| {
        let providers = json!({"a": fetching_provider("a", keys), "b": revoking_provider("b", list)});
        let mut worker = Worker::new(json!({ "providers": providers }));
        let calls = worker.poll(NOW).calls;
        calls.iter().map(|(call, _)| worker.tokens.max_answer(*call)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(json!({}), json!({})), [65_536, 262_144]);
    assert_eq!(sizes(json!({"max_bytes": 300}), json!({"max_bytes": 400})), [300, 400]);
}

#[test]
fn a_worker_is_polled_where_something_is_fetched_or_asked() {
    let asked = json!({"introspection": {"url": "http://auth/ask", "cluster": "auth"}});
    for (provider, fetches) in [
        (hs256_provider(json!({})), false),
        (fetching_provider("a", json!({})), true),
        (revoking_provider("a", json!({})), true),
        (asked, true),
    ] {
        let tokens = Tokens::new(jwt(json!({"providers": {"a": provider}})));
        assert_eq!(tokens.fetches(), fetches, "{provider}");
    }
}

#[test]
fn skipped_keys_are_counted_where_keys_are_fetched() {
    for (provider, counts) in [
        (hs256_provider(json!({})), false),
        (fetching_provider("a", json!({})), true),
        (revoking_provider("a", json!({})), false),
    ] {
        let (mut registry, mut vocabulary) = (Registry::new(), Vocabulary::new("", &[]));
        jwt(json!({"providers": {"a": provider}})).describe([].into_iter(), &mut vocabulary);
        let _ = TokenMetrics::build(&mut registry, &vocabulary);
        let told = exposition(&registry, Format::Text, |_| 0);
        assert!(told.contains("auth_jwt_validation_total"));
        assert_eq!(told.contains("gateway_jwt_keys_skipped_total"), counts, "{provider}");
    }
}
