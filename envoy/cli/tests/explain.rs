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
      algorithms: [EdDSA]
      fetch: { jwks_uri: https://idp.example/keys, cluster: idp }
routes:
  - { path: /prices, methods: [GET], service: order, auth: { token: none } }
  - { path: "/orders/{id}", methods: [GET], service: order, auth: {} }
  - path: /admin
    methods: [GET, POST]
    service: order
    auth: { mode: shadow }
    authz: { allow: [{ networks: ["10.0.0.0/8"] }, { roles: { any: [admin] } }] }
"#;

/// 2026-11-18.
const NOW: u64 = 1_795_000_000;
const AT: &str = "2026-11-18T11:06:40Z";

struct Answer {
    status: Option<i32>,
    out: String,
    told: String,
}

fn file(text: &str, suffix: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

fn explain(token: &str, more: &[&str]) -> Answer {
    let policy = file(POLICY, ".yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("explain").arg(policy.path()).args(["--at", AT, "--token-file", "-"]).args(more);
    command.env("PORTCULLIS_TEST_SECRET", SECRET);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(token.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Answer { status: output.status.code(), out: text(output.stdout), told: text(output.stderr) }
}

fn explained(token: &str, more: &[&str]) -> (Option<i32>, Value) {
    let answer = explain(token, &[more, &["--json"]].concat());
    let json = serde_json::from_str(&answer.out);
    (answer.status, json.unwrap_or_else(|error| panic!("{error}: {}{}", answer.out, answer.told)))
}

fn customer() -> String {
    mint("HS256", &json!({"sub": "alice", "role": "customer", "exp": NOW + 60}))
}

#[test]
fn a_good_token_is_told_with_route_provider_and_key_and_exit_status_0() {
    let answer = explain(&format!("Bearer {}\n", customer()), &["--path", "/orders/7"]);
    assert_eq!(answer.status, Some(0), "{}{}", answer.out, answer.told);
    for expected in [
        "route       GET /orders/{id} -> order\n",
        "token       required (mode enforce)\n",
        "checked at  2026-11-18T11:06:40.000Z\n",
        "              \"sub\": \"alice\",\n",
        "signature   32 bytes, not shown\n",
        "provider    own\n",
        "key         HS256 without `kid` did sign it\n",
        "user        alice\n",
        "verdict     good: every check has passed\n",
        "outcome     the request goes on\n",
    ] {
        assert!(answer.out.contains(expected), "no `{expected}` in\n{}", answer.out);
    }
}

#[test]
fn neither_signature_nor_secret_is_printed() {
    let token = customer();
    let (_, signature) = token.rsplit_once('.').expect("three parts");
    for more in [&["--path", "/admin"][..], &["--path", "/admin", "--json"]] {
        let answer = explain(&token, more);
        let all = format!("{}{}", answer.out, answer.told);
        assert!(all.contains("alice") && !all.contains(signature) && !all.contains(SECRET), "{all}");
    }
}

#[test]
fn a_refused_token_is_told_with_the_check_that_refused_it_and_exit_status_1() {
    let expired = mint("HS256", &json!({"sub": "alice", "exp": NOW}));
    let (status, told) = explained(&expired, &["--path", "/orders/7"]);
    assert_eq!(status, Some(1));
    assert_eq!((&told["verdict"], &told["status"]), (&json!("expired"), &json!(401)));
    assert_eq!(told["detail"], "`exp` is reached");
    assert_eq!(told["token"]["key"]["alg"], "HS256", "its signature was good");
    let (status, told) = explained("garbage", &[]);
    assert_eq!((status, &told["verdict"]), (Some(1), &json!("malformed")));
}

#[test]
fn every_rule_is_judged_and_an_address_may_be_given() {
    let (status, told) = explained(&customer(), &["--path", "/admin", "--method", "POST"]);
    assert_eq!((status, &told["verdict"], &told["status"]), (Some(1), &json!("no_rule_allows"), &json!(403)));
    assert_eq!(
        told["authz"],
        json!([
            { "rule": "allow[0]", "matches": false, "failing": "networks" },
            { "rule": "allow[1]", "matches": false, "failing": "roles" },
        ])
    );
    assert_eq!(told["route"]["mode"], "shadow");
    let (status, told) = explained(&customer(), &["--path", "/admin", "--client", "10.1.2.3"]);
    assert_eq!((status, &told["authz"][0]["matches"]), (Some(0), &json!(true)), "{told:#}");
}

#[test]
fn fetched_keys_are_read_from_a_file() {
    let token = mint("EdDSA", &json!({"iss": "https://idp.example", "sub": "bob", "exp": NOW + 60}));
    let (status, told) = explained(&token, &["--path", "/orders/7"]);
    assert_eq!((status, &told["verdict"], &told["status"]), (Some(1), &json!("keys_pending"), &json!(503)));
    let set = file(&json!({ "keys": [public_jwk("EdDSA", "k1")] }).to_string(), ".json");
    let path = set.path().to_string_lossy();
    for argument in [path.to_string(), format!("partner={path}")] {
        let (status, told) = explained(&token, &["--path", "/orders/7", "--jwks", &argument]);
        assert_eq!((status, &told["token"]["key"]["kid"]), (Some(0), &json!("k1")), "{told:#}");
    }
    let answer = explain(&token, &["--jwks", &format!("own={path}")]);
    assert_eq!(answer.status, Some(2));
    assert!(answer.told.contains("no such provider fetches keys"), "{}", answer.told);
}

#[test]
fn a_route_that_looks_at_no_token_says_so() {
    let (status, told) = explained("whatever", &["--path", "/prices"]);
    assert_eq!((status, &told["verdict"], &told["token"]), (Some(0), &json!("not_looked_at"), &Value::Null));
}

#[test]
fn questions_without_an_answer_are_exit_status_2() {
    for more in [
        &["--path", "/nowhere"][..],
        &["--path", "/prices", "--method", "PUT"],
        &["--token", "x"],
        &["--at", "soon"],
    ] {
        let answer = explain(&customer(), more);
        assert_eq!(answer.status, Some(2), "{more:?}: {}{}", answer.out, answer.told);
    }
}

#[test]
fn a_terminal_is_not_given_orders() {
    let answer =
        explain(&mint("HS256", &json!({"sub": "a", "x": "\u{9b}31m\u{1b}[2J", "exp": NOW + 9})), &[]);
    assert!(answer.out.contains("u{9b}31m") && !answer.out.contains(['\u{9b}', '\u{1b}']), "{}", answer.out);
}
