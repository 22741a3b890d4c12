//! Known tokens: the verdict is the one that an unknown token would get.

use crate::keys::{document, fetching, jwks, settles, token};
use crate::lab::{ask, claims, good, provider, reason, route, setup_with};
use crate::sides::Side;
use portcullis_e2e::KeyServer;
use portcullis_token_lab::{b64, mint};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_known_token_ends_with_its_exp_and_not_a_second_later() {
    let jwt = json!({"providers": {"main": provider(json!({}))}});
    for mut side in Side::both(&jwt, &[route("/a", json!({}))]) {
        let token = good();
        side.assert_known("/a", &token);
        side.pass(Duration::from_secs(61));
        side.assert_never_known("/a", &token, "expired");
    }
}

#[test]
fn a_known_token_is_still_refused_where_another_provider_is_wanted() {
    let (a, b) = (provider(json!({"issuer": "a"})), provider(json!({"issuer": "b"})));
    let jwt = json!({"providers": {"a": a, "b": b}});
    let routes = [
        route("/a", json!({"providers": ["a"]})),
        route("/b", json!({"providers": ["b"]})),
        route("/no", json!({"token": "refused"})),
    ];
    for mut side in Side::both(&jwt, &routes) {
        let token = mint("HS256", &claims(json!({"iss": "a"})));
        side.assert_known("/a", &token);
        side.assert_never_known("/b", &token, "invalid_issuer");
        side.assert_never_known("/no", &token, "unexpected");
        side.assert_known("/a", &token);
    }
}

#[test]
fn a_known_token_ends_with_its_key() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway =
        setup_with(fetching(json!({})), vec![route("/a", json!({}))], &[("idp", server.address())]).start();
    settles(&gateway, &token("RS256", "a"), 200);
    for _ in 0..12 {
        assert_eq!(ask(&gateway, "/a", &token("RS256", "a")).status, 200);
    }
    server.answer_with(document(&[("ES256", "e")]));
    gateway.envoy.travel(Duration::from_secs(601));
    server.wait_for_fetches(2);
    let answer = settles(&gateway, &token("RS256", "a"), 401);
    assert_eq!(reason(&gateway, &answer), "unknown_key");
}

#[test]
fn one_changed_byte_makes_it_another_token() {
    let jwt = json!({"providers": {"main": provider(json!({}))}});
    for mut side in Side::both(&jwt, &[route("/a", json!({}))]) {
        let token = good();
        side.assert_known("/a", &token);
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(side.ask("/a", &changed).status, 401, "{}: byte {at}", side.name());
        }
    }
}

/// The cache finds a token by its end, so these two have one hash.
#[test]
fn a_known_tokens_signature_under_other_claims_is_no_known_token() {
    let jwt = json!({"providers": {"main": provider(json!({}))}});
    for mut side in Side::both(&jwt, &[route("/a", json!({}))]) {
        let token = good();
        side.assert_known("/a", &token);
        let (header, signature) = (token.split('.').next(), token.rsplit('.').next());
        let other = b64(claims(json!({"sub": "mallory", "role": "admin"})).to_string());
        let forged = format!("{}.{other}.{}", header.expect("a header"), signature.expect("a signature"));
        side.assert_never_known("/a", &forged, "invalid_signature");
        side.assert_known("/a", &token);
    }
}
