//! Certificates as `openssl s_client` sees them, and what `portcullis check` says of those that cannot be shown.

use crate::pki::Pki;
use portcullis_cli::certificates;
use portcullis_e2e::Gateway;
use portcullis_policy::{Policy, Variable};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// A gateway with the certificates of these files.
fn gateway(pki: &Pki, files: &[&str], more: Value) -> Gateway {
    let tls = tls(pki, files, more);
    Gateway::setup().policy(move |policy| policy["gateway"]["tls"] = tls).start()
}

fn tls(pki: &Pki, files: &[&str], more: Value) -> Value {
    let pair = |file: &&str| json!({ "certificate_file": pki.text(&format!("{file}.pem")), "key_file": pki.text(&format!("{file}.key")) });
    let mut tls = json!({ "certificates": files.iter().map(pair).collect::<Vec<_>>() });
    tls.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    tls
}

/// What `openssl s_client` says of the gateway: the handshake, and the answer to a request for `/health`.
fn s_client(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &gateway.address().to_string(), "-ign_eof"]).args(arguments);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("openssl is installed");
    let request = b"GET /health HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n";
    let mut input = client.stdin.take().expect("it is piped");
    // It may have been refused, and be gone.
    let _ = std::io::Write::write_all(&mut input, request);
    drop(input);
    let output = client.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn servers() -> Pki {
    let pki = Pki::new();
    for (file, name) in [("server", "gateway.test"), ("other", "other.test"), ("client", "alice.test")] {
        pki.issue("ca", file, &format!("/CN={file}"), name, 30);
    }
    pki
}

#[track_caller]
fn assert_says(said: &str, what: &str) {
    assert!(said.contains(what), "no `{what}` in:\n{said}");
}

#[test]
fn the_chain_is_shown_whole_and_verified() {
    let pki = servers();
    pki.intermediate("between");
    pki.issue("between", "leaf", "/CN=leaf", "gateway.test", 30);
    pki.append("leaf", "between");
    let gateway = gateway(&pki, &["leaf"], json!({}));
    let ca = pki.text("ca.pem");
    let trusted = [
        "-CAfile",
        &ca,
        "-servername",
        "gateway.test",
        "-verify_hostname",
        "gateway.test",
        "-verify_return_error",
    ];
    let said = s_client(&gateway, &[&trusted[..], &["-showcerts"]].concat());
    assert_says(&said, "Verification: OK");
    assert_says(&said, "Verified peername: gateway.test");
    assert_eq!(said.matches("-----BEGIN CERTIFICATE-----").count(), 2, "{said}");
    for (depth, subject) in [(0, "CN = leaf"), (1, "CN = between")] {
        assert_says(&said, &format!(" {depth} s:{subject}"));
    }
    assert_says(&said, "HTTP/1.1 200 OK");
    let distrusted = s_client(&gateway, &["-servername", "gateway.test", "-verify_return_error"]);
    assert_says(&distrusted, "unable to get");
    assert!(!distrusted.contains("HTTP/1.1 200"), "{distrusted}");
}

#[test]
fn a_name_that_is_asked_for_chooses_the_certificate() {
    let pki = servers();
    let gateway = gateway(&pki, &["server", "other"], json!({}));
    for (name, subject) in [("gateway.test", "server"), ("other.test", "other"), ("unknown.test", "server")] {
        assert_says(&s_client(&gateway, &["-servername", name]), &format!("subject=CN = {subject}"));
    }
    assert_says(&s_client(&gateway, &["-noservername"]), "subject=CN = server");
}

#[test]
fn old_versions_are_refused_and_http_2_is_negotiated() {
    let pki = servers();
    let gateway = gateway(&pki, &["server"], json!({}));
    let weak = ["-cipher", "DEFAULT@SECLEVEL=0"];
    for (version, is_taken) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let said = s_client(&gateway, &[&[version], &weak[..]].concat());
        assert_eq!(said.contains("HTTP/1.1 200 OK"), is_taken, "{version}: {said}");
        assert_eq!(said.contains("alert protocol version"), !is_taken, "{version}: {said}");
    }
    // A request of HTTP/1.1 is none there: only the handshake counts.
    assert_says(&s_client(&gateway, &["-alpn", "h2,http/1.1"]), "ALPN protocol: h2");
    assert_says(&s_client(&gateway, &["-alpn", "http/1.1"]), "ALPN protocol: http/1.1");
    assert_says(&s_client(&gateway, &["-alpn", "spdy/3"]), "No ALPN negotiated");
}

#[test]
fn a_client_s_certificate_is_asked_for_and_needed_as_the_policy_says() {
    let pki = servers();
    pki.authority("stranger");
    pki.issue("stranger", "mallory", "/CN=mallory", "mallory.test", 30);
    pki.issue("ca", "late", "/CN=late", "late.test", -1);
    for mode in ["required", "optional"] {
        let clients = json!({ "client_certificates": { "mode": mode, "ca_file": pki.text("ca.pem") } });
        let gateway = gateway(&pki, &["server"], clients);
        let with = |name: &str| {
            let (pem, key) = (pki.text(&format!("{name}.pem")), pki.text(&format!("{name}.key")));
            s_client(&gateway, &["-cert", &pem, "-key", &key])
        };
        let without = s_client(&gateway, &[]);
        assert_says(&without, "Acceptable client certificate CA names\nCN = ca");
        assert_eq!(without.contains("HTTP/1.1 200 OK"), mode == "optional", "{without}");
        assert_says(&with("client"), "HTTP/1.1 200 OK");
        for bad in ["mallory", "late"] {
            let said = with(bad);
            assert!(!said.contains("HTTP/1.1 200"), "{mode}, {bad}: {said}");
            assert_says(&said, "alert");
        }
    }
}

/// What `check` says of a policy's files: each mistake's place, and its beginning without the files' names.
fn mistakes(tls: &Value) -> Vec<(String, String)> {
    let mut policy = portcullis_e2e::without_tokens(portcullis_e2e::example_policy());
    policy["gateway"]["tls"] = tls.clone();
    let env = |_: &str| Variable::Elsewhere;
    let policy = Policy::from_value_with(&policy, &env).unwrap_or_else(|errors| panic!("{errors:?}"));
    let errors = certificates::check(&policy, SystemTime::now());
    errors.iter().map(|error| (error.at.to_string(), error.found.clone())).collect()
}

#[test]
fn certificates_that_cannot_be_shown_are_mistakes_at_their_place() {
    let pki = servers();
    pki.issue("ca", "expired", "/CN=expired", "gateway.test", -1);
    std::fs::write(pki.path("empty.pem"), "no certificate").expect("it is writable");
    std::fs::write(pki.path("empty.key"), "no key").expect("it is writable");
    assert_eq!(mistakes(&tls(&pki, &["server", "other"], json!({}))), []);

    let mut list = tls(&pki, &["server", "expired", "empty", "missing"], json!({}));
    list["certificates"][0]["key_file"] = json!(pki.text("other.key"));
    let found = mistakes(&list);
    let at = |index: usize, key: &str| format!("gateway.tls.certificates[{index}].{key}");
    let expected = [
        (at(0, "key_file"), "which is another certificate's key"),
        (at(1, "certificate_file"), "which expired at"),
        (at(2, "certificate_file"), "in which there is no certificate"),
        (at(2, "key_file"), "in which there is no usable key"),
        (at(3, "certificate_file"), "which cannot be read"),
        (at(3, "key_file"), "which cannot be read"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((place, says), (expected_place, expected)) in found.iter().zip(&expected) {
        assert!(place == expected_place && says.contains(expected), "{place}: {says}");
    }
}
