//! What browsers are told, on every answer, whoever gives it.

use crate::common::{as_rendered, assert_dressed, assert_error, both_ways, both_ways_behind_a_proxy};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{Answer, Connection, EnvoyConfig, Gateway, Request};

#[test]
fn a_services_answers_have_them() {
    both_ways(|gateway| {
        assert_dressed(&gateway.get("/api/v1/inventory/assets"));
        assert_dressed(&gateway.get("/api/v1/orders"));
        assert_dressed(&gateway.send_h2(&Request::get("/api/v1/inventory/assets")));
    });
}

#[test]
fn the_gateways_own_answers_have_them() {
    both_ways(|gateway| {
        for path in ["/no/such/route", "/api/v1/orders;x", "/health", "/metrics"] {
            assert_dressed(&gateway.get(path));
            assert_dressed(&gateway.send_h2(&Request::get(path)));
        }
    });
}

/// Sends raw bytes on a connection of their own.
#[track_caller]
fn raw(gateway: &Gateway, bytes: &[u8]) -> Answer {
    Connection::open(gateway.address()).send_raw(bytes).expect("Envoy answers")
}

/// Envoy answers these before any filter sees them; only its own configuration can dress them.
#[test]
fn what_envoy_refuses_before_any_filter_sees_it_has_them_and_the_error_body() {
    let gateway = &*as_rendered();
    let huge = Request::get("/api/v1/orders").header("x-huge", vec![b'a'; 64 * 1024]);
    let refusals = [
        (raw(gateway, b"nonsense\r\n\r\n"), 400),
        (raw(gateway, b"GET /api/v1/orders HTTP/1.1\r\n\r\n"), 400),
        (raw(gateway, b"GET /api/v1/orders HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n"), 400),
        (gateway.get("/api/v1/orders%2fadmin"), 400),
        (gateway.send(&huge), 431),
    ];
    for (answer, status) in refusals {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_dressed(&answer);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{answer:?}");
        let body = answer.json();
        assert_eq!(body["code"], body["error"], "{body}");
        crate::common::assert_timestamp(&body["timestamp"]);
    }
}

/// A service that has its own ideas about headers, for one asset.
fn opinionated(gateway: &Gateway, asset: &str) -> Answer {
    let fault = Fault::on(Service::Inventory, &format!("/inventory/assets/{asset}"))
        .status(200)
        .header("x-frame-options", "SAMEORIGIN")
        .header("x-frame-options", "ALLOWALL")
        .header("content-security-policy", "default-src https:")
        .header("server", "nginx/1.0")
        .header("x-powered-by", "PHP/5")
        .header("x-own", "kept");
    gateway.knobs().set(fault).expect("a possible fault");
    gateway.get(&format!("/api/v1/inventory/assets/{asset}"))
}

#[test]
fn set_replaces_if_absent_yields_and_remove_removes() {
    both_ways(|gateway| {
        let answer = opinionated(gateway, "OPINION");
        assert_eq!(answer.headers.all("x-frame-options"), [b"DENY"]);
        assert_eq!(answer.headers.all("content-security-policy"), [b"default-src https:"]);
        assert!(!answer.headers.has("server") && !answer.headers.has("x-powered-by"), "{answer:?}");
        assert_eq!(answer.headers.all("x-own"), [b"kept"]);
    });
}

#[test]
fn a_route_overrides_by_name_and_keeps_the_rest() {
    both_ways_behind_a_proxy(|gateway| {
        let answer = opinionated(gateway, "OVERRIDDEN");
        assert!(!answer.headers.has("x-frame-options"), "{answer:?}");
        assert_eq!(answer.headers.all("content-security-policy"), [b"default-src 'self'"]);
        assert_eq!(answer.headers.all("x-robots-tag"), [b"noindex"]);
        assert_eq!(answer.headers.all("x-content-type-options"), [b"nosniff"]);
        assert_dressed(&gateway.get("/api/v1/inventory/assets"));
        assert_dressed(&gateway.get("/no/such/route"));
    });
}

fn over_tls_to_the_proxy(path: &str) -> Request {
    Request::get(path).header("x-forwarded-for", "203.0.113.9").header("x-forwarded-proto", "https")
}

#[test]
fn hsts_is_sent_where_a_trusted_proxy_says_that_the_client_came_over_tls() {
    both_ways_behind_a_proxy(|gateway| {
        for path in ["/api/v1/inventory/assets", "/no/such/route", "/health"] {
            let answer = gateway.send(&over_tls_to_the_proxy(path));
            let sent = answer.header("strict-transport-security");
            assert_eq!(sent.as_deref(), Some("max-age=31536000; includeSubDomains"), "{answer:?}");
            let plain = Request::get(path).header("x-forwarded-for", "203.0.113.9");
            assert!(!gateway.send(&plain).headers.has("strict-transport-security"), "{path}");
            let plain = plain.header("x-forwarded-proto", "http");
            assert!(!gateway.send(&plain).headers.has("strict-transport-security"), "{path}");
        }
    });
}

#[test]
fn hsts_is_not_sent_because_a_stranger_says_so() {
    both_ways(|gateway| {
        for path in ["/api/v1/inventory/assets", "/no/such/route"] {
            let answer = gateway.send(&over_tls_to_the_proxy(path));
            assert!(!answer.headers.has("strict-transport-security"), "{answer:?}");
        }
    });
}

/// Somebody else's Envoy, which believes every client's `X-Forwarded-*`.
fn that_believes_clients(config: EnvoyConfig) -> EnvoyConfig {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    config
        .set(&format!("{manager}/use_remote_address"), false)
        .replace("\"appends_peer\": true", "\"appends_peer\": false")
}

#[test]
fn hsts_is_not_sent_on_a_strangers_word_even_where_envoy_believes_it() {
    let gateway = Gateway::setup().alone().envoy(that_believes_clients).start();
    for path in ["/api/v1/inventory/assets", "/no/such/route"] {
        let answer = gateway.send(&over_tls_to_the_proxy(path));
        assert!(!answer.headers.has("strict-transport-security"), "{answer:?}");
    }
}

#[test]
fn an_error_that_is_not_a_services_is_json_for_every_method_and_version() {
    both_ways(|gateway| {
        for method in ["GET", "POST", "DELETE", "PATCH", "PROPFIND"] {
            assert_error(&gateway.send(&Request::new(method, "/nowhere")), 404, "SVC_001");
            assert_error(&gateway.send_h2(&Request::new(method, "/nowhere")), 404, "SVC_001");
        }
        let head = gateway.send(&Request::new("HEAD", "/nowhere"));
        assert_eq!((head.status, head.body.len()), (404, 0));
        assert_dressed(&head);
    });
}
