//! A worker that is kept busy with trying keys.

use crate::budget::Meter;
use portcullis_e2e::{Connection, Gateway, KeyServer, PATIENCE, Request, wait_for};
use portcullis_token_lab::{b64, curve_jwks, rsa_jwks};
use serde_json::{Value, json};
use std::time::Duration;

/// As many keys as a fetched set may have.
const KEYS: usize = 64;
const TOKENS: usize = 100;

/// A gateway that fetches a set of these keys, none of which has a `kid`.
fn with_keys(alg: &str, keys: Vec<Value>) -> (KeyServer, Gateway) {
    let server = KeyServer::of(&json!({ "keys": keys }));
    let fetch = json!({"jwks_uri": "http://idp.example/keys", "cluster": "idp", "max_bytes": 1_048_576});
    let provider = json!({"algorithms": [alg], "fetch": fetch});
    let gateway = Gateway::shipped().service_at("idp", server.address()).policy(move |policy| {
        policy["clusters"]["idp"] = json!({"address": "127.0.0.1:1"});
        policy["jwt"]["providers"] = json!({"idp": provider});
    });
    (server, gateway.start())
}

/// A token that each key could have signed, and none has.
fn forged(alg: &str, number: usize, signature: usize) -> String {
    let header = b64(json!({ "alg": alg }).to_string());
    let claims =
        b64(json!({"sub": "alice", "exp": 4_000_000_000_u64, "jti": number.to_string()}).to_string());
    format!("{header}.{claims}.{}", b64(vec![1; signature]))
}

/// What `TOKENS` such tokens take of Envoy's CPU time. All are refused, with the reason that there are too many keys.
#[track_caller]
fn cost(gateway: &Gateway, alg: &str, signature: usize) -> Duration {
    let mut connection = Connection::open(gateway.address());
    let mut refused = |number| {
        let request = Request::get("/api/v1/orders").bearer(&forged(alg, number, signature));
        connection.send(&request)
    };
    wait_for(PATIENCE, || (refused(0).status == 401).then_some(())).expect("the keys are there");
    let meter = Meter::start(gateway);
    for number in 1..=TOKENS {
        let answer = refused(number);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let (cpu, _) = meter.read(gateway, &format!("{TOKENS} {alg} tokens without `kid`"));
    let count = f64::from(u32::try_from(TOKENS).expect("few"));
    let budget = [("provider", "idp")];
    assert!(gateway.settled("gateway_jwt_check_budget_exhausted_total", &budget, count) >= count);
    cpu
}

/// Seen: 4.7 ms a token; 64 keys would be 41 ms.
#[test]
fn es384_keys_without_ids_cost_a_token_no_more_than_its_budget() {
    let (_server, gateway) = with_keys("ES384", curve_jwks(KEYS));
    let cpu = cost(&gateway, "ES384", 96);
    assert!(cpu < Duration::from_millis(18) * 100, "{cpu:?} for {TOKENS} tokens");
}

/// Seen: 5.7 ms a token; 64 keys would be 260 ms and more.
#[test]
fn pss_keys_of_4096_bits_cost_a_token_one_of_them() {
    let (_server, gateway) = with_keys("PS256", rsa_jwks(KEYS, 512));
    let cpu = cost(&gateway, "PS256", 512);
    assert!(cpu < Duration::from_millis(60) * 100, "{cpu:?} for {TOKENS} tokens");
}
