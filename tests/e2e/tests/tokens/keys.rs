//! Keys that are fetched, from servers that rotate, hang, reset and send too much.

use crate::lab::{ask, claims, reason, route, setup_with, with_kid};
use portcullis_e2e::{Answer, Gateway, KeyAnswer, KeyServer, PATIENCE, wait_for};
use portcullis_token_lab::public_jwk;
use serde_json::{Value, json};
use std::time::Duration;

/// A set with these keys, by their ids.
pub fn jwks(keys: &[(&str, &str)]) -> Value {
    json!({"keys": keys.iter().map(|(alg, kid)| public_jwk(alg, kid)).collect::<Vec<_>>()})
}

pub fn document(keys: &[(&str, &str)]) -> KeyAnswer {
    KeyAnswer::Document(jwks(keys).to_string())
}

/// A provider whose keys come from the cluster `idp`. Time-outs are far longer than a busy machine keeps anybody waiting: where one is
/// meant to pass, time is moved.
pub fn fetching(more: Value) -> Value {
    let mut fetch = json!({"jwks_uri": "http://idp.example/keys", "cluster": "idp", "refresh": "10m", "timeout": "60s",
        "retry": "1s", "cooldown": "30s", "max_age": "1h", "max_bytes": 16384});
    fetch.as_object_mut().expect("settings").extend(more.as_object().expect("settings").clone());
    json!({"providers": {"idp": {"algorithms": ["RS256", "ES256"], "fetch": fetch}}})
}

fn gateway(server: &KeyServer) -> Gateway {
    setup_with(fetching(json!({})), vec![route("/a", json!({}))], &[("idp", server.address())]).start()
}

/// A token that outlives all travels.
pub fn token(alg: &str, kid: &str) -> String {
    with_kid(alg, kid, &claims(json!({"exp": 4_000_000_000_u64})))
}

/// Asks until the answer has this status: other workers hear of fetches up to a tick later.
#[track_caller]
pub fn settles(gateway: &Gateway, token: &str, status: u16) -> Answer {
    let answer =
        wait_for(PATIENCE, || Some(ask(gateway, "/a", token)).filter(|answer| answer.status == status));
    answer.unwrap_or_else(|| panic!("it never answered {status}: {:?}", ask(gateway, "/a", token)))
}

/// Asks often enough that every worker is asked, over connections of their own.
#[track_caller]
fn all_answer(gateway: &Gateway, token: &str, status: u16) {
    for _ in 0..12 {
        let answer = ask(gateway, "/a", token);
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

fn fetches_counted(gateway: &Gateway, result: &str, at_least: f64) -> f64 {
    let labels = [("provider", "idp"), ("document", "keys"), ("result", result)];
    gateway.settled("gateway_jwt_fetches_total", &labels, at_least)
}

#[track_caller]
fn assert_no_trap(gateway: &Gateway) {
    assert_eq!(gateway.envoy.samples().sum("envoy_wasm_portcullis_vm_reload_success", &[]), 0.0, "no trap");
}

#[test]
fn one_fetch_serves_all_workers() {
    let server = KeyServer::of(&jwks(&[("RS256", "a"), ("ES256", "e")]));
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    all_answer(&gateway, &token("RS256", "a"), 200);
    all_answer(&gateway, &token("ES256", "e"), 200);
    assert_eq!(server.fetches(), 1);
    assert!(
        server.asked()[0].starts_with("GET /keys HTTP/1.1\r\nhost: idp.example\r\n"),
        "{:?}",
        server.asked()
    );
    assert_eq!(fetches_counted(&gateway, "success", 1.0), 1.0);
    assert_no_trap(&gateway);
}

#[test]
fn a_rotated_key_is_fetched_at_once_and_the_old_one_goes() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    server.answer_with(document(&[("RS256", "b")]));
    let fetched_before = server.fetches();
    gateway.envoy.travel(Duration::from_secs(31));
    let answer = ask(&gateway, "/a", &token("RS256", "b"));
    assert_eq!(answer.status, 200, "it waited for the new key: {answer:?}");
    assert_eq!(server.fetches(), fetched_before + 1);
    let answer = settles(&gateway, &token("RS256", "a"), 401);
    assert_eq!(reason(&gateway, &answer), "unknown_key");
    assert_no_trap(&gateway);
}

#[test]
fn unknown_key_ids_cause_one_fetch_in_a_cooldown_however_many_there_are() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    for round in 1..=3 {
        gateway.envoy.travel(Duration::from_secs(31));
        for number in 0..60 {
            let answer = ask(&gateway, "/a", &token("RS256", &format!("unknown{round}.{number}")));
            assert_eq!(answer.status, 401, "{answer:?}");
        }
        assert_eq!(server.fetches(), 1 + round);
    }
    assert_no_trap(&gateway);
}

#[test]
fn keys_are_refreshed_before_anybody_asks() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    for fetches in [2, 3, 4] {
        gateway.envoy.travel(Duration::from_secs(601));
        // Its answer too must be there before time goes on: the next fetch is due a while after it.
        let counted = f64::from(u32::try_from(fetches).expect("few"));
        assert_eq!(fetches_counted(&gateway, "success", counted), counted);
        assert_eq!(server.fetches(), fetches);
    }
    all_answer(&gateway, &token("RS256", "a"), 200);
    assert_eq!(server.fetches(), 4);
}

#[test]
fn a_bundle_that_asks_to_be_fetched_sooner_is() {
    let mut bundle = jwks(&[("RS256", "a")]);
    bundle["spiffe_refresh_hint"] = 60.into();
    let server = KeyServer::of(&bundle);
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    gateway.envoy.travel(Duration::from_secs(61));
    assert_eq!(fetches_counted(&gateway, "success", 2.0), 2.0, "the policy's `refresh` is ten minutes");
}

/// Why a key is not used is said once in Envoy's log, by the worker that fetched it, and counted.
#[test]
fn a_key_that_is_not_used_is_named_once_with_its_reason() {
    let mut set = jwks(&[("RS256", "a")]);
    let even = json!({"kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    set["keys"].as_array_mut().expect("keys").push(even);
    let server = KeyServer::of(&set);
    let mut jwt = fetching(json!({}));
    jwt["providers"]["idp"]["algorithms"] = json!(["RS256", "EdDSA"]);
    let gateway = setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())]).start();
    settles(&gateway, &token("RS256", "a"), 200);
    gateway.envoy.travel(Duration::from_secs(601));
    assert_eq!(fetches_counted(&gateway, "success", 2.0), 2.0);
    let is_it = |line: &&portcullis_e2e::Line| {
        line.contains("(kid `weak`) of the provider idp is not used: small_order")
    };
    assert_eq!(gateway.envoy.stderr().all().iter().filter(is_it).count(), 1);
    let labels = [("provider", "idp"), ("reason", "small_order")];
    assert_eq!(gateway.settled("gateway_jwt_keys_skipped_total", &labels, 1.0), 1.0);
}

/// Every way in which a fetch may fail that the server can show at once, and how it is counted.
fn failures() -> Vec<(KeyAnswer, &'static str)> {
    let half = jwks(&[("RS256", "a")]).to_string();
    let nothing = json!({"keys": []}).to_string();
    vec![
        (KeyAnswer::Status(500), "status"),
        (KeyAnswer::Status(404), "status"),
        (KeyAnswer::Reset, "status"),
        (KeyAnswer::Half(half), "reset"),
        (KeyAnswer::Large(10 * 1024 * 1024), "too_large"),
        (KeyAnswer::Large(17 * 1024), "too_large"),
        (KeyAnswer::Document("<html>".to_owned()), "not_json"),
        (KeyAnswer::Document("[]".to_owned()), "not_a_key_set"),
        (KeyAnswer::Document(nothing), "no_usable_key"),
    ]
}

#[test]
fn while_there_are_no_keys_tokens_get_503_and_the_next_success_recovers() {
    for (failure, counted) in failures() {
        eprintln!("{counted}"); // shown if the test fails
        let server = KeyServer::start(failure);
        let gateway = gateway(&server);
        let answer = settles(&gateway, &token("RS256", "a"), 503);
        assert_eq!(answer.json()["code"], "SVC_001", "{answer:?}");
        assert_eq!(reason(&gateway, &answer), "keys_pending");
        assert!(
            fetches_counted(&gateway, counted, 1.0) >= 1.0,
            "{counted}: {}",
            gateway.get("/metrics").text()
        );
        server.answer_with(document(&[("RS256", "a")]));
        gateway.envoy.travel(Duration::from_secs(61));
        settles(&gateway, &token("RS256", "a"), 200);
        assert_no_trap(&gateway);
    }
}

#[test]
fn a_server_that_hangs_is_given_up_after_the_timeout() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = gateway(&server);
    server.wait_for_fetches(1);
    gateway.envoy.travel(Duration::from_secs(66));
    let answer = settles(&gateway, &token("RS256", "a"), 503);
    assert_eq!(reason(&gateway, &answer), "keys_pending");
    server.answer_with(document(&[("RS256", "a")]));
    gateway.envoy.travel(Duration::from_secs(61));
    settles(&gateway, &token("RS256", "a"), 200);
    assert_no_trap(&gateway);
}

#[test]
fn the_last_good_keys_serve_while_fetching_fails_up_to_their_age() {
    let server = KeyServer::of(&jwks(&[("RS256", "a")]));
    let gateway = gateway(&server);
    settles(&gateway, &token("RS256", "a"), 200);
    server.answer_with(KeyAnswer::Status(500));
    gateway.envoy.travel(Duration::from_secs(1200));
    server.wait_for_fetches(2);
    all_answer(&gateway, &token("RS256", "a"), 200);
    gateway.envoy.travel(Duration::from_secs(2500));
    settles(&gateway, &token("RS256", "a"), 503);
    server.answer_with(document(&[("RS256", "a")]));
    gateway.envoy.travel(Duration::from_secs(601));
    settles(&gateway, &token("RS256", "a"), 200);
    assert_no_trap(&gateway);
}

#[test]
fn discovery_finds_the_keys_of_the_issuer_and_of_no_other() {
    for (issuer, status) in [("http://idp.example", 200), ("http://evil.example", 503)] {
        let keys = KeyServer::of(&jwks(&[("RS256", "a")]));
        let config = json!({"issuer": issuer, "jwks_uri": "http://keys.example/all"});
        let idp = KeyServer::of(&config);
        let fetch = json!({"discovery": true, "cluster": "idp", "jwks_cluster": "keys", "timeout": "60s", "retry": "1s"});
        let provider = json!({"issuer": "http://idp.example", "algorithms": ["RS256"], "fetch": fetch});
        let clusters = [("idp", idp.address()), ("keys", keys.address())];
        let jwt = json!({"providers": {"idp": provider}});
        let gateway = setup_with(jwt, vec![route("/a", json!({}))], &clusters).start();
        let token = with_kid("RS256", "a", &claims(json!({"iss": "http://idp.example"})));
        settles(&gateway, &token, status);
        assert!(idp.asked()[0].starts_with("GET /.well-known/openid-configuration "), "{:?}", idp.asked());
        assert_eq!(keys.fetches(), usize::from(status == 200));
    }
}
