//! `portcullis explain` as its users see it.

use portcullis_token_lab::{SECRET, mint, public_jwk};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;

const POLICY: &str = r#"version: 1
services: { order: { address: "127.0.0.1:8002" } }
clusters: { idp: { address: "idp.example:443", tls: true } }
jwt:
  providers:
    own:
      secrets: [{ alg: HS256, value: "${ENV:PORTCULLIS_TEST_SECRET}" }]
    partner:
      issuer: https://idp.example
      role_prefix: "partner:"
      algorithms: [EdDSA]
      fetch: { jwks_uri: https://idp.example/keys, cluster: idp }
routes:
  - { path: /prices, methods: [GET], service: order, auth: { token: none } }
  - { path: "/orders/{id}", methods: [GET], service: order, auth: { providers: [own, partner] } }
  - { path: /stripped, methods: [GET], service: order, auth: { providers: [own, partner] } }
  - path: /admin
    methods: [GET, POST]
    service: order
    auth: { mode: shadow, providers: [own, partner] }
    authz: { allow: [{ networks: ["10.0.0.0/8"] }, { roles: { any: [admin] } }] }
"#;

/// 2026-11-18.
const NOW: u64 = 1_795_000_000;
const AT: &str = "2026-11-18T11:06:40Z";

struct Answer {
    status: Option<i32>,
    out: String,
    err: String,
}

fn file(text: &str, suffix: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

fn explain(request: &str, token: &str, more: &[&str]) -> Answer {
    explain_under(&file(POLICY, ".yaml"), request, token, more)
}

fn explain_under(policy: &NamedTempFile, request: &str, token: &str, more: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("explain").arg(policy.path()).args(["--request", request, "--at", AT]);
    command.args(["--token-file", "-"]).args(more);
    command.env("PORTCULLIS_TEST_SECRET", SECRET);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(token.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Answer { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn explained(request: &str, token: &str, more: &[&str]) -> (Option<i32>, Value) {
    let answer = explain(request, token, &[more, &["--json"]].concat());
    let json = serde_json::from_str(&answer.out);
    (answer.status, json.unwrap_or_else(|error| panic!("{error}: {}{}", answer.out, answer.err)))
}

fn customer() -> String {
    mint("HS256", &json!({"sub": "alice", "role": "customer", "exp": NOW + 60}))
}

fn series(report: &Value) -> Vec<&str> {
    report["metrics"].as_array().unwrap().iter().map(|moved| moved["series"].as_str().unwrap()).collect()
}

#[test]
fn a_request_that_passes_is_explained_from_route_to_log_line_and_exit_status_0() {
    let answer = explain("GET /orders/7", &format!("Bearer {}\n", customer()), &["-H", "X-Source: me"]);
    assert_eq!(answer.status, Some(0), "{}{}", answer.out, answer.err);
    for expected in [
        "route       GET /orders/{id} -> order\n",
        "client      192.0.2.0\n",
        "              \"sub\": \"alice\",\n",
        "signature   32 bytes, not shown\n",
        "provider    own\n",
        "key         HS256 without `kid` did sign it\n",
        "user        alice\n",
        "stage       token continue\n",
        "service     x-user-id: alice\n",
        "answer      200\n",
        "metric      gateway_requests_total{status_code=\"200\",endpoint=\"/orders/{id}\"} +1\n",
        "\"message\":\"GET /orders/7 -> order\"",
    ] {
        assert!(answer.out.contains(expected), "no `{expected}` in\n{}", answer.out);
    }
}

#[test]
fn neither_signature_nor_secret_nor_whole_address_is_printed() {
    let token = customer();
    let (_, signature) = token.rsplit_once('.').expect("three parts");
    for more in [&["--from", "203.0.113.77"][..], &["--from", "203.0.113.77", "--json"]] {
        let answer = explain("GET /stripped", &token, more);
        let all = format!("{}{}", answer.out, answer.err);
        let shown: Vec<_> =
            [signature, SECRET, "203.0.113.77"].into_iter().filter(|secret| all.contains(secret)).collect();
        assert!(all.contains("alice") && shown.is_empty(), "{shown:?} in {all}");
    }
}

#[test]
fn a_denied_token_is_explained_with_the_check_that_refused_it_and_exit_status_1() {
    let expired = mint("HS256", &json!({"sub": "alice", "exp": NOW}));
    let (status, report) = explained("GET /orders/7", &expired, &[]);
    assert_eq!(
        (status, &report["denied"], &report["answer"]["status"]),
        (Some(1), &json!("expired"), &json!(401))
    );
    assert_eq!(
        report["refusal"],
        json!({"reason": "expired", "detail": "`exp` is reached", "mode": "enforce"})
    );
    assert_eq!(report["token"]["key"]["alg"], "HS256", "its signature was good");
    let last = report["stages"].as_array().and_then(|stages| stages.last());
    assert_eq!(last, Some(&json!({"stage": "token", "verdict": "deny", "detail": "expired"})));
    assert!(
        series(&report).contains(&r#"auth_jwt_validation_total{status="failure",reason="expired"}"#),
        "{report:#}"
    );
    assert_eq!(report["lines"].as_array().unwrap().len(), 2, "the event's line and the request's");
}

#[test]
fn a_route_in_shadow_mode_lets_pass_what_enforce_mode_would_deny_and_says_so() {
    let (status, report) = explained("POST /admin", &customer(), &[]);
    assert_eq!((status, &report["verdict"]), (Some(0), &json!("pass")), "{report:#}");
    assert_eq!(report["rules"][1], json!({ "rule": "allow[1]", "matches": false, "failing": "roles" }));
    assert_eq!(report["forbidden"], json!({ "reason": "no_rule_allows", "mode": "shadow" }));
    let (_, report) = explained("POST /admin", &customer(), &["--from", "10.1.2.3"]);
    assert_eq!((&report["rules"][0]["matches"], &report["forbidden"]), (&json!(true), &Value::Null));
}

#[test]
fn fetched_keys_are_read_from_a_file() {
    let token = mint("EdDSA", &json!({"iss": "https://idp.example", "sub": "bob", "exp": NOW + 60}));
    let (status, report) = explained("GET /orders/7", &token, &[]);
    assert_eq!(
        (status, &report["denied"], &report["answer"]["status"]),
        (Some(1), &json!("keys_pending"), &json!(503))
    );
    let set = file(&json!({ "keys": [public_jwk("EdDSA", "k1")] }).to_string(), ".json");
    let path = set.path().to_string_lossy();
    for argument in [path.to_string(), format!("partner={path}")] {
        let (status, report) = explained("GET /orders/7", &token, &["--jwks", &argument]);
        assert_eq!((status, &report["token"]["key"]["kid"]), (Some(0), &json!("k1")), "{report:#}");
    }
    let answer = explain("GET /orders/7", &token, &["--jwks", &format!("own={path}")]);
    assert_eq!(answer.status, Some(2));
    assert!(answer.err.contains("no such provider fetches keys"), "{}", answer.err);
}

#[test]
fn a_request_without_a_route_is_shown_the_nearest_ones_and_why_they_do_not_match() {
    let (status, report) = explained("PUT /orders/7", "", &[]);
    assert_eq!((status, &report["denied"]), (Some(1), &json!("no_route")));
    let expected =
        json!({"methods": ["GET"], "path": "/orders/{id}", "why": "the path matches, the method does not"});
    assert_eq!(report["nearest"][0], expected);
    let (_, report) = explained("GET /order/7", "", &[]);
    assert_eq!(report["nearest"][0]["why"], "the path is similar");
}

#[test]
fn a_route_that_looks_at_no_token_passes_any_and_reads_none() {
    let (status, report) = explained("GET /prices", "whatever", &[]);
    assert_eq!((status, &report["verdict"], &report["token"]), (Some(0), &json!("pass"), &Value::Null));
}

#[test]
fn arguments_that_are_no_request_are_exit_status_2() {
    for (request, more) in [
        ("/prices", &[][..]),
        ("GET /prices", &["--token", "x"]),
        ("GET /prices", &["--at", "soon"]),
        ("GET /a", &["-H", "x"]),
    ] {
        let answer = explain(request, &customer(), more);
        assert_eq!(answer.status, Some(2), "{request} {more:?}: {}{}", answer.out, answer.err);
    }
}

#[test]
fn a_terminal_is_not_given_orders() {
    let token = mint("HS256", &json!({"sub": "a", "x": "\u{9b}31m\u{1b}[2J", "exp": NOW + 9}));
    let answer = explain("GET /orders/7", &token, &["-H", "X-Odd: \u{1b}[2J"]);
    assert!(answer.out.contains("u{9b}31m") && !answer.out.contains(['\u{9b}', '\u{1b}']), "{}", answer.out);
}

#[test]
fn what_limits_have_left_is_told_with_why_the_next_request_is_refused() {
    let limits = "limits: { rules: {\
        per_ip: { key: [ip], limit: 3, window: 60s, costs: { /prices: 2 } },\
        per_user: { key: [user], limit: 5, window: 1h } } }\n";
    let policy = file(&format!("{POLICY}{limits}"), ".yaml");
    let explain = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("explain").arg(policy.path()).args(["--request", "GET /prices", "--at", AT, "--state"]);
        let ran = command.env("PORTCULLIS_TEST_SECRET", SECRET).args(more).output().expect("it runs");
        (ran.status.code(), String::from_utf8(ran.stdout).expect("text"))
    };
    let (code, out) = explain(&["--json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let per_ip = &report["limits"][0];
    assert_eq!((code, &per_ip["limit"], &per_ip["units"]), (Some(0), &json!("per_ip"), &json!(3)));
    assert_eq!((&per_ip["remaining"], &per_ip["next_is_admitted"]), (&json!(1), &json!(false)));
    assert_eq!(per_ip["retry_after_seconds"], json!(20.0));
    assert_eq!(report["limits"][1], json!({ "limit": "per_user", "mode": "enforce", "concerns": false }));
    let (code, out) = explain(&["--before", "1"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("limit       per_ip: 1 of 3 units left, another request like this is refused for 20s"),
        "{out}"
    );
    assert!(out.contains("denied: rate_limited"), "{out}");
}

const EARLIER: &str = r#"version: 1
gateway: { instance: edge }
services: { order: { address: "127.0.0.1:8002" } }
routes: [{ path: "/orders/{id}", methods: [GET], service: order, auth: { token: optional } }]
jwt: { providers: { own: { secrets: [{ alg: HS256, value: "${ENV:PORTCULLIS_TEST_SECRET}" }], user_claim: sub } } }
findings: { secrets: ["${ENV:PORTCULLIS_TEST_SECRET}"], publish: true }
"#;

const LATER: &str = r#"version: 1
gateway: { instance: limits }
services: { order: { address: "127.0.0.1:8002" } }
routes: [{ path: "/orders/{id}", methods: [GET], service: order }]
limits: { rules: { per_user: { key: [user], limit: 2, window: 60s } } }
findings: { secrets: ["${ENV:PORTCULLIS_TEST_SECRET}"], from: edge }
"#;

#[test]
fn a_request_is_explained_through_two_instances_and_findings_are_not_shown() {
    let (earlier, later) = (file(EARLIER, ".yaml"), file(LATER, ".yaml"));
    let behind = ["--behind", earlier.path().to_str().expect("a path")];
    let passes =
        explain_under(&later, "GET /orders/7", &customer(), &[&behind[..], &["--before", "1"]].concat());
    assert_eq!(passes.status, Some(0), "{}{}", passes.out, passes.err);
    assert!(passes.out.contains("alice"), "{}", passes.out);
    let refused =
        explain_under(&later, "GET /orders/7", &customer(), &[&behind[..], &["--before", "2"]].concat());
    assert!(refused.status == Some(1) && refused.out.contains("429"), "{}{}", refused.out, refused.err);
    let alone = explain_under(&later, "GET /orders/7", &customer(), &[]);
    assert!(alone.status == Some(1) && alone.out.contains("findings_unusable"), "{}{}", alone.out, alone.err);
    let publishes = explain_under(&earlier, "GET /orders/7", &customer(), &[]);
    assert!(
        publishes.out.contains("portcullis_findings_edge: [")
            && !publishes.out.contains("portcullis_findings_edge: 1."),
        "{}",
        publishes.out
    );
    let answered = explain_under(&later, "GET /nowhere", &customer(), &behind);
    assert!(answered.err.contains("the instance before this one answers"), "{}", answered.err);
}
