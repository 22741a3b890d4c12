//! Known tokens: the verdict is the one that an unknown token would get.

use crate::keys::{document, fetching, jwks, settles, token};
use crate::lab::{ask, assert_refused, claims, good, provider, reason, route, setup, setup_with};
use portcullis_e2e::{Gateway, KeyServer};
use portcullis_token_lab::mint;
use serde_json::json;
use std::time::Duration;

/// Asks so often that every worker knows the token.
#[track_caller]
fn known(gateway: &Gateway, path: &str, token: &str) {
    for _ in 0..12 {
        let answer = ask(gateway, path, token);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn a_known_token_ends_with_its_exp_and_not_a_second_later() {
    let jwt = json!({"providers": {"main": provider(json!({}))}});
    let gateway = setup(jwt, vec![route("/a", json!({}))]).start();
    let token = good();
    known(&gateway, "/a", &token);
    gateway.envoy.travel(Duration::from_secs(61));
    for _ in 0..12 {
        assert_refused(&gateway, &ask(&gateway, "/a", &token), "expired");
    }
}

#[test]
fn a_known_token_is_still_refused_where_another_provider_is_wanted() {
    let (a, b) = (provider(json!({"issuer": "a"})), provider(json!({"issuer": "b"})));
    let jwt = json!({"providers": {"a": a, "b": b}});
    let routes = vec![
        route("/a", json!({"providers": ["a"]})),
        route("/b", json!({"providers": ["b"]})),
        route("/no", json!({"token": "refused"})),
    ];
    let gateway = setup(jwt, routes).start();
    let token = mint("HS256", &claims(json!({"iss": "a"})));
    known(&gateway, "/a", &token);
    for _ in 0..12 {
        assert_refused(&gateway, &ask(&gateway, "/b", &token), "invalid_issuer");
        assert_refused(&gateway, &ask(&gateway, "/no", &token), "unexpected");
    }
    known(&gateway, "/a", &token);
}

#[test]
fn a_known_token_ends_with_its_key() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway =
        setup_with(fetching(json!({})), vec![route("/a", json!({}))], &[("idp", server.address())]).start();
    settles(&gateway, &token("RS256", "a"), 200);
    known(&gateway, "/a", &token("RS256", "a"));
    server.answer_with(document(&[("ES256", "e")]));
    gateway.envoy.travel(Duration::from_secs(601));
    server.wait_for_fetches(2);
    let answer = settles(&gateway, &token("RS256", "a"), 401);
    assert_eq!(reason(&gateway, &answer), "unknown_key");
}

#[test]
fn one_changed_byte_makes_it_another_token() {
    let jwt = json!({"providers": {"main": provider(json!({}))}});
    let gateway = setup(jwt, vec![route("/a", json!({}))]).start();
    let token = good();
    known(&gateway, "/a", &token);
    for at in (0..token.len()).step_by(7) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(ask(&gateway, "/a", &changed).status, 401, "byte {at}");
    }
}
