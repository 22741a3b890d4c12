//! Hosts: whose routes a request is asked at, and that two names never mix.

use crate::common::{Echo, target_of};
use portcullis_e2e::{Connection, Gateway, Request};
use serde_json::json;

/// `/who` of three hosts and of none, each with a path of its own at the service.
fn gateway() -> Gateway {
    let echo = Echo::start();
    let address = echo.address().to_string();
    let setup = Gateway::setup().policy(move |policy| {
        policy["services"]["extra"] = json!({ "address": address });
        let route = |hosts: &[&str], at: &str| json!({ "path": "/who", "methods": ["GET"], "hosts": hosts, "service": "extra", "upstream_path": at });
        let routes = policy["routes"].as_array_mut().expect("the example has routes");
        routes.extend([
            route(&["api.example.com", "API2.example.com"], "/api"),
            route(&["*.example.com"], "/any"),
            route(&["*.shop.example.com"], "/shop"),
            route(&[], "/default"),
        ]);
        routes.push(json!({ "path": "/only", "methods": ["GET"], "hosts": ["api.example.com"], "service": "extra" }));
    });
    setup.start()
}

#[test]
fn the_exact_name_wins_then_the_longest_wildcard_then_the_default() {
    let gateway = gateway();
    let who = |host: &str| target_of(&gateway.send(&Request::get("/api/v1/who").host(host)));
    for (host, at) in [
        ("api.example.com", "/api"),
        ("API.Example.Com", "/api"),
        ("api.example.com:8443", "/api"),
        ("api.example.com.", "/api"),
        ("api2.example.com", "/api"),
        ("other.example.com", "/any"),
        ("a.b.example.com", "/any"),
        ("shop.example.com", "/any"),
        ("eu.shop.example.com", "/shop"),
        ("example.com", "/default"),
        ("api.example.com.evil.net", "/default"),
        ("notexample.com", "/default"),
        ("127.0.0.1", "/default"),
        ("[::1]:80", "/default"),
    ] {
        assert_eq!(who(host), at, "{host}");
        let over_h2 = gateway.send_h2(&Request::get("/api/v1/who").host(host));
        assert_eq!(target_of(&over_h2), at, "{host} over HTTP/2");
    }
}

#[test]
fn a_path_of_another_host_is_no_path_of_this_one() {
    let gateway = gateway();
    let at = |host: &str, path: &str| gateway.send(&Request::get(path).host(host)).status;
    assert_eq!(at("api.example.com", "/api/v1/only"), 200);
    assert_eq!(at("other.example.com", "/api/v1/only"), 404);
    assert_eq!(at("gateway.test", "/api/v1/only"), 404);
    // The example's routes are the default host's.
    assert_eq!(at("api.example.com", "/api/v1/inventory/assets"), 404);
    assert_eq!(at("gateway.test", "/api/v1/inventory/assets"), 200);
    // The gateway's own pages belong to every host.
    assert_eq!(at("api.example.com", "/health"), 200);
}

#[test]
fn filter_and_proxy_read_one_host_whatever_a_client_writes_twice() {
    let gateway = gateway();
    let raw = |head: &str| Connection::open(gateway.address()).send_raw(head.as_bytes()).expect("an answer");
    // An absolute target is the authority, and `Host` is not (RFC 9112 section 3.2.2).
    let absolute = raw("GET http://api.example.com/api/v1/who HTTP/1.1\r\nHost: other.example.com\r\n\r\n");
    assert_eq!(target_of(&absolute), "/api");
    let other = raw("GET http://other.example.com/api/v1/only HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    assert_eq!(other.status, 404);
    let twice = raw("GET /api/v1/only HTTP/1.1\r\nHost: api.example.com\r\nHost: other.example.com\r\n\r\n");
    assert!([400, 404].contains(&twice.status), "{twice:?}");
    // Over HTTP/2 `:authority` counts.
    let request = Request::get("/api/v1/only").host("other.example.com").header("host", "api.example.com");
    assert!([400, 404].contains(&gateway.send_h2(&request).status));
}
