//! TLS: the gateway's listener and services behind it, with openssl's certificates and curl as the client.

use crate::common::with_extra;
use crate::pki::{Pki, curl};
use portcullis_demo_services::Service;
use portcullis_e2e::{Gateway, Setup};
use serde_json::{Value, json};

const ASSETS: &str = "/api/v1/inventory/assets";

fn issued() -> Pki {
    let pki = Pki::new();
    pki.issue("ca", "server", "/CN=gateway", "gateway.test", 30);
    pki.issue("ca", "client", "/O=Shop/CN=alice", "alice.test", 30);
    pki.authority("other");
    pki.issue("other", "stranger", "/CN=mallory", "mallory.test", 30);
    pki
}

fn with_tls(pki: &Pki, more: Value) -> Setup {
    let mut tls = json!({
        "certificates": [{ "certificate_file": pki.text("server.pem"), "key_file": pki.text("server.key") }],
    });
    tls.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    Gateway::setup().policy(move |policy| policy["gateway"]["tls"] = tls)
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("https://gateway.test:{}{path}", gateway.address().port())
}

#[test]
fn the_listener_speaks_http_2_or_1_1_as_the_client_prefers_and_no_old_tls() {
    let pki = issued();
    let gateway = with_tls(&pki, json!({ "redirect_from": "127.0.0.1:8081" })).start();
    let (ca, url) = (pki.text("ca.pem"), url(&gateway, ASSETS));
    let get = |more: &[&str]| curl(gateway.address(), &[&["--cacert", &ca, &url], more].concat());
    let h2 = get(&[]);
    assert_eq!((h2.status, h2.version.as_str()), (200, "2"), "{h2:?}");
    assert!(h2.headers.to_lowercase().contains("strict-transport-security: max-age="), "{h2:?}");
    let h1 = get(&["--http1.1"]);
    assert_eq!((h1.status, h1.version.as_str()), (200, "1.1"), "{h1:?}");
    let old = get(&["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert_ne!(old.exit, 0, "{old:?}");
    let untrusted = curl(gateway.address(), &["--cacert", &pki.text("other.pem"), &url]);
    assert_eq!(untrusted.exit, 60, "{untrusted:?}");
    let plain = gateway.envoy.listener("gateway-redirect");
    let redirected = curl(plain, &[&format!("http://gateway.test:{}{ASSETS}?x=1", plain.port())]);
    assert_eq!(redirected.status, 301, "{redirected:?}");
    let to = format!("location: https://gateway.test:8080{ASSETS}?x=1");
    assert!(redirected.headers.to_lowercase().contains(&to), "{redirected:?}");
}

#[test]
fn the_oldest_version_and_http_2_are_the_policys_choice() {
    let pki = issued();
    let gateway = with_tls(&pki, json!({ "min_version": "1.3", "http2": false })).start();
    let (ca, url) = (pki.text("ca.pem"), url(&gateway, "/health"));
    let get = |more: &[&str]| curl(gateway.address(), &[&["--cacert", &ca, &url], more].concat());
    let usual = get(&[]);
    assert_eq!((usual.status, usual.version.as_str()), (200, "1.1"), "{usual:?}");
    assert_ne!(get(&["--tls-max", "1.2"]).exit, 0);
}

#[test]
fn a_required_client_certificate_is_checked_and_its_subject_told() {
    let pki = issued();
    let clients = json!({ "client_certificates": {
        "ca_file": pki.text("ca.pem"), "subject_header": "X-Client-Subject",
    } });
    let gateway = with_tls(&pki, clients).start();
    let (ca, url) = (pki.text("ca.pem"), url(&gateway, ASSETS));
    let get = |more: &[&str]| curl(gateway.address(), &[&["--cacert", &ca, &url], more].concat());
    let with = |name: &str| {
        let (pem, key) = (pki.text(&format!("{name}.pem")), pki.text(&format!("{name}.key")));
        get(&["--cert", &pem, "--key", &key, "-H", "x-client-subject: CN=root"])
    };
    assert_ne!(get(&[]).exit, 0);
    assert_ne!(with("stranger").exit, 0);
    assert_eq!(with("client").status, 200);
    let seen = gateway.captured_once(Service::Inventory, "/inventory/assets");
    assert_eq!(seen.header("x-client-subject"), Some("CN=alice,O=Shop"));
}

#[test]
fn an_optional_client_certificate_is_told_where_there_is_one_and_never_forged() {
    let pki = issued();
    let clients = json!({ "client_certificates": {
        "mode": "optional", "ca_file": pki.text("ca.pem"), "subject_header": "X-Client-Subject",
    } });
    let gateway = with_tls(&pki, clients).start();
    let (ca, url) = (pki.text("ca.pem"), url(&gateway, ASSETS));
    let got = curl(gateway.address(), &["--cacert", &ca, &url, "-H", "x-client-subject: CN=root"]);
    assert_eq!(got.status, 200, "{got:?}");
    let seen = gateway.captured_once(Service::Inventory, "/inventory/assets");
    assert_eq!(seen.header("x-client-subject"), None);
}

/// The service is another gateway, which wants a certificate of its clients and speaks HTTP/2.
#[test]
fn a_service_is_reached_over_tls_and_http_2_with_a_certificate() {
    let pki = issued();
    let clients = json!({ "client_certificates": {
        "ca_file": pki.text("ca.pem"), "subject_header": "X-Client-Subject",
    } });
    let behind = with_tls(&pki, clients).start();
    let in_front = |tls: Value| {
        let service = json!({ "address": behind.address().to_string(), "protocol": "http2", "tls": tls });
        with_extra(&service, json!({ "upstream_path": ASSETS })).start()
    };
    let trusted = json!({
        "sni": "gateway.test",
        "ca_file": pki.text("ca.pem"),
        "certificate_file": pki.text("client.pem"),
        "key_file": pki.text("client.key"),
    });
    let good = in_front(trusted.clone());
    assert_eq!(good.get("/api/v1/extra").status, 200);
    let seen = behind.captured_once(Service::Inventory, "/inventory/assets");
    assert_eq!(seen.header("x-client-subject"), Some("CN=alice,O=Shop"));
    assert_eq!(behind.envoy.admin().stat("http.gateway.downstream_cx_http2_total"), Some(1));
    for (key, wrong) in [("ca_file", pki.text("other.pem")), ("sni", "elsewhere.test".to_owned())] {
        let mut tls = trusted.clone();
        tls[key] = json!(wrong);
        assert_eq!(in_front(tls).get("/api/v1/extra").status, 503, "{key}");
    }
}
