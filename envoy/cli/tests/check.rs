//! `portcullis check` as its users see it.

use std::io::Write;
use std::process::{Command, Output};
use tempfile::NamedTempFile;

/// Six different mistakes, each on a line of its own.
const MISTAKEN: &str = r#"version: 1
client_ip: { ipv6_prefix: 8 }
services:
  order: { address: "orders.shop.svc" }
routes:
  - { path: /orders, methods: [GET], service: ordr }
  - { path: /balance, methods: [get], service: order }
trust_headers:
  set: { X-Source: "a\nb" }
metrcis: {}
"#;

/// Where each is, and what is said of it.
const MISTAKES: [(&str, &str, &str); 6] = [
    ("2:27", "client_ip.ipv6_prefix: found `8`", "a number of bits from 32 to 128"),
    ("4:21", "services.order.address: found `orders.shop.svc`", "`host:port`"),
    ("6:47", "routes[0].service: found `ordr`", "a name from `services`: order"),
    ("7:33", "routes[1].methods[0]: found `get`", "one of GET, HEAD"),
    ("9:20", "trust_headers.set.X-Source: found a value that is none, which is not shown", "a header value"),
    ("10:1", "metrcis: found the unknown field `metrcis`", "one of"),
];

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

fn check(path: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("check").arg(path).args(more).output().expect("it runs")
}

fn checked(text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = file(text);
    let path = file.path().to_string_lossy().into_owned();
    let output = check(&path, more);
    assert!(output.stdout.is_empty(), "mistakes go to standard error");
    let told = String::from_utf8(output.stderr).expect("it prints text");
    (output.status.code(), told, path)
}

#[test]
fn six_mistakes_are_six_located_errors_and_exit_status_1() {
    let (status, told, path) = checked(MISTAKEN, &[]);
    assert_eq!(status, Some(1), "{told}");
    assert_eq!(told.matches("error: ").count(), 6, "{told}");
    for (place, what, expected) in MISTAKES {
        let error = told.split("error: ").find(|error| error.starts_with(what));
        let error = error.unwrap_or_else(|| panic!("no `{what}` in\n{told}"));
        assert!(error.contains(&format!("--> {path}:{place}\n")), "not at {place}:\n{error}");
        assert!(error.contains(&format!("expected {expected}")), "{error}");
    }
    assert!(told.contains("did you mean `order`?") && told.contains("did you mean `metrics`?"), "{told}");
    assert!(told.trim_end().ends_with(": 6 errors"), "{told}");
}

#[test]
fn the_short_format_is_one_line_for_each() {
    let (status, told, path) = checked(MISTAKEN, &["--format", "short"]);
    assert_eq!((status, told.lines().count()), (Some(1), 6), "{told}");
    for (place, what, _) in MISTAKES {
        let start = format!("{path}:{place}: {what}");
        assert!(told.lines().any(|line| line.starts_with(&start)), "no `{start}` in\n{told}");
    }
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let (status, told, path) = checked("version: 1\nroutes: [1, 2\n", &[]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("this is no YAML document") && told.contains(&format!("{path}:2:9: ")), "{told}");
}

#[test]
fn a_file_that_cannot_be_read_is_exit_status_2() {
    let output = check("nowhere/gateway.yaml", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere/gateway.yaml"));
}

#[test]
fn a_short_secret_and_a_key_are_in_no_format_of_no_mistake() {
    let policy = r#"version: 1
services: { order: { address: "127.0.0.1:8002" } }
routes: [{ path: /orders, methods: [GET], service: order, auth: {} }]
jwt:
  providers:
    own: { secrets: [{ alg: HS256, value: s3cret }], leway: 0s } # s3cret
    other: { pem: [{ alg: RS256, value: "-----BEGIN PUBLIC KEY-----\ns3cret\n-----END PUBLIC KEY-----\n" }], leway: 0s }
"#;
    for more in [&[][..], &["--format", "short"]] {
        let (status, told, _) = checked(policy, more);
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains("jwt.providers.own") && told.contains("jwt.providers.other"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let (_, told, _) = checked(&policy.replace(", leway: 0s", ""), &[]);
    assert!(told.contains("jwt.providers.own.secrets[0]") && !told.contains("s3cret"), "{told}");
}

#[test]
fn a_secret_with_a_line_break_at_its_end_is_a_mistake() {
    let (status, told, _) = with_secret(&["check", "--strict-env"], Some(&format!("{}\n", "k".repeat(32))));
    assert_eq!(status, Some(1), "{told}");
}

const WITH_SECRET: &str = r#"version: 1
services: { order: { address: "127.0.0.1:8002" } }
routes: [{ path: /orders, methods: [GET], service: order, auth: {} }]
jwt: { providers: { own: { secrets: [{ alg: HS256, value: "${ENV:PORTCULLIS_TEST_SECRET}" }] } } }
"#;

/// `portcullis ARGUMENTS.. FILE` with the variable set or not: exit status, standard output and standard error.
fn with_secret(arguments: &[&str], secret: Option<&str>) -> (Option<i32>, String, String) {
    let file = file(WITH_SECRET);
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).arg(file.path()).env_remove("PORTCULLIS_TEST_SECRET");
    let output =
        command.envs(secret.map(|secret| ("PORTCULLIS_TEST_SECRET", secret))).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_policy_is_checked_where_its_secrets_are_not() {
    let (status, _, told) = with_secret(&["check"], None);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told, "note: the proxy's environment must have PORTCULLIS_TEST_SECRET\n");
    let (status, _, told) = with_secret(&["check", "--strict-env"], None);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("`${ENV:PORTCULLIS_TEST_SECRET}`, which is not set"), "{told}");
}

#[test]
fn a_secret_that_is_there_is_checked_and_never_shown() {
    let short = "only-so-short";
    let (status, out, told) = with_secret(&["check"], Some(short));
    assert_eq!(status, Some(1), "{told}");
    assert!(
        told.contains("a secret of 13 bytes for HS256") && !told.contains(short) && out.is_empty(),
        "{told}"
    );
}

#[test]
fn what_is_rendered_names_the_secret_and_does_not_have_it() {
    let secret = "0123456789abcdef0123456789abcdef-rendered";
    let (status, rendered, told) = with_secret(&["render", "envoy"], Some(secret));
    assert_eq!(status, Some(0), "{told}");
    assert!(
        rendered.contains("host_env_keys:") && rendered.contains("- PORTCULLIS_TEST_SECRET"),
        "{rendered}"
    );
    assert!(!rendered.contains(secret) && !told.contains(secret), "{rendered}");
    assert!(
        !rendered.contains("request_headers_to_remove:\n        - x-user"),
        "the filter writes them itself"
    );
}
