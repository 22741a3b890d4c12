//! The chains that are compared do the same work; otherwise comparing them says nothing.

use crate::contenders::{ALONE, BARE, Bench, EMPTY, GATEWAY, NATIVE};
use crate::tokens::{self, Sight};
use portcullis_e2e::{Answer, Envoy, EnvoyConfig, Request};
use serde_json::Value;

/// What one request came to.
struct Outcome {
    answer: Answer,
    upstream_saw: String,
    logged: Option<Value>,
}

fn outcome(chain: &str) -> Outcome {
    let bench = Bench::of_defaults();
    let chains = bench.bootstraps().expect("the example is right");
    let (_, bootstrap) = chains.into_iter().find(|(name, _)| name == chain).expect("there is such a chain");
    let envoy = Envoy::start(EnvoyConfig::json(bootstrap.into_value()).workers(1));
    let request =
        Request::get("/api/v1/orders/12345").header("x-source", "forged").header("x-user-id", "forged");
    let answer = envoy.send(&request);
    let logged = (chain != BARE && chain != EMPTY)
        .then(|| envoy.stdout().wait_for_line(|line| line.contains("12345")).json().expect("it is JSON"));
    Outcome { answer, upstream_saw: bench.upstream().last_head(), logged }
}

fn assert_does_the_work(chain: &str) {
    let Outcome { answer, upstream_saw, logged } = outcome(chain);
    assert_eq!(answer.status, 200);
    assert!(upstream_saw.contains("x-source: gateway\r\n"), "{upstream_saw}");
    assert!(upstream_saw.contains("x-auth-service: auth_service\r\n"), "{upstream_saw}");
    assert!(!upstream_saw.contains("forged"), "{upstream_saw}");
    assert!(upstream_saw.contains("x-request-id: "), "{upstream_saw}");
    let headers = ["x-frame-options", "x-content-type-options", "content-security-policy", "referrer-policy"];
    for name in [&headers[..], &["permissions-policy", "cross-origin-opener-policy", "x-request-id"]].concat()
    {
        assert!(answer.headers.get(name).is_some(), "{name} is missing: {:?}", answer.headers);
    }
    assert!(answer.headers.get("server").is_none(), "{:?}", answer.headers);
    let logged = logged.expect("a line");
    assert_eq!(keys(&logged), LOGGED);
    assert_eq!(logged["extra"]["status"].to_string().trim_matches('"'), "200");
}

const LOGGED: [&str; 16] = [
    "action",
    "auth_flow",
    "duration_ms",
    "endpoint",
    "ip",
    "level",
    "message",
    "method",
    "path",
    "request_id",
    "security_headers",
    "service",
    "status",
    "target_service",
    "timestamp",
    "extra",
];

/// Names of the members, those of `extra` included, in alphabetic order but for `extra`, which is last.
fn keys(line: &Value) -> Vec<&str> {
    let members = |value: &'_ Value| value.as_object().cloned().unwrap_or_default();
    let (top, extra) = (members(line), members(&line["extra"]));
    let own = LOGGED.iter().copied();
    assert_eq!(top.len() + extra.len(), LOGGED.len(), "{line}");
    own.filter(|key| top.contains_key(*key) || extra.contains_key(*key)).collect()
}

#[test]
fn the_native_chain_does_what_the_gateway_does() {
    assert_does_the_work(NATIVE);
}

#[test]
fn the_gateway_does_it_with_envoys_help() {
    assert_does_the_work(GATEWAY);
}

#[test]
fn the_gateway_does_it_alone() {
    assert_does_the_work(ALONE);
}

#[test]
fn the_floor_does_nothing_but_forward() {
    for chain in [BARE, EMPTY] {
        let Outcome { answer, upstream_saw, .. } = outcome(chain);
        assert_eq!(answer.status, 200);
        assert!(upstream_saw.contains("x-source: forged\r\n"), "{upstream_saw}");
        assert!(answer.headers.get("x-frame-options").is_none(), "{:?}", answer.headers);
    }
}

/// Both chains take a good token, tell the service whose it is, log the user, and refuse a request without one.
#[test]
fn the_chains_that_check_tokens_do_the_same() {
    let bench = Bench::of_defaults();
    for alg in tokens::ALGORITHMS {
        for (name, chain) in tokens::chains(&bench, alg, Sight::Repeated).expect("the example is right") {
            if name == BARE {
                continue;
            }
            let envoy = Envoy::start(EnvoyConfig::json(chain.into_value()).workers(1));
            let request = Request::get("/api/v1/orders/12345").header("x-user-id", "forged");
            assert_eq!(envoy.send(&request).status, 401, "{name}, {alg}");
            let answer = envoy.send(&request.bearer(&tokens::token(alg, 7)));
            assert_eq!(answer.status, 200, "{name}, {alg}: {answer:?}");
            let seen = bench.upstream().last_head();
            for header in ["x-user-id: alice\r\n", "x-user-role: customer\r\n"] {
                assert!(seen.contains(header) && !seen.contains("forged"), "{name}, {alg}: {seen}");
            }
            let line =
                envoy.stdout().wait_for_line(|line| line.contains("alice")).json().expect("it is JSON");
            assert_eq!(line["user"], "alice", "{name}, {alg}: {line}");
        }
    }
}
