//! Which web pages may call, and that those which may can read what they are told.

use crate::common::{assert_dressed, assert_error, both_ways};
use portcullis_demo_services::{CUSTOMER, Service};
use portcullis_e2e::{Answer, Request};

const SHOP: &str = "http://localhost:3000";
const STRANGER: &str = "https://evil.example";

fn preflight(path: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", path).header("origin", origin).header("access-control-request-method", method)
}

/// A browser lets a page of `origin`, which calls with credentials, read this answer.
#[track_caller]
fn assert_readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials").as_deref(), Some("true"), "{answer:?}");
    assert_eq!(answer.header("access-control-expose-headers").as_deref(), Some("x-request-id"), "{answer:?}");
}

#[track_caller]
fn words(answer: &Answer, name: &str) -> Vec<String> {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect()
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_without_its_service() {
    both_ways(|gateway| {
        for origin in [SHOP, "https://a.order-processor.example", "https://b.c.order-processor.example"] {
            let asks = preflight("/api/v1/orders/PREFLIGHT", origin, "GET");
            let answer = gateway.send(&asks.header("access-control-request-headers", "authorization"));
            assert!(answer.status == 200 || answer.status == 204, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials").as_deref(), Some("true"));
            assert!(words(&answer, "access-control-allow-methods").contains(&"get".into()), "{answer:?}");
            assert!(
                words(&answer, "access-control-allow-headers").contains(&"authorization".into()),
                "{answer:?}"
            );
            assert_eq!(answer.header("access-control-max-age").as_deref(), Some("600"));
            assert_dressed(&answer);
        }
        assert!(gateway.captured(Service::Order, "/orders/PREFLIGHT").is_empty());
    });
}

#[test]
fn a_preflight_of_a_stranger_is_refused() {
    let strangers = [
        STRANGER,
        "null",
        "http://localhost:3001",
        "http://localhost:3000.evil.example",
        "https://order-processor.example.evil.example",
        "http://a.order-processor.example",
        "https://evil.example/.order-processor.example",
    ];
    both_ways(|gateway| {
        for origin in strangers {
            let answer = gateway.send(&preflight("/api/v1/orders/STRANGER", origin, "GET"));
            assert_error(&answer, 403, "CORS_001");
            assert!(!answer.headers.has("access-control-allow-origin"), "{answer:?}");
            assert_dressed(&answer);
        }
        assert!(gateway.captured(Service::Order, "/orders/STRANGER").is_empty());
    });
}

/// Envoy's own filter takes neither for a preflight.
#[test]
fn a_preflight_without_an_origin_or_a_method_is_a_request_without_a_route() {
    both_ways(|gateway| {
        for (origin, method) in [("", "GET"), (SHOP, "")] {
            let answer = gateway.send(&preflight("/api/v1/orders/NEITHER", origin, method).body("x"));
            assert_error(&answer, 404, "SVC_001");
        }
        assert!(gateway.captured(Service::Order, "/orders/NEITHER").is_empty());
    });
}

#[test]
fn a_preflight_for_what_no_route_has_is_404_and_readable() {
    both_ways(|gateway| {
        for (path, method) in [("/no/such/route", "GET"), ("/api/v1/orders/7", "DELETE")] {
            let answer = gateway.send(&preflight(path, SHOP, method));
            assert_error(&answer, 404, "SVC_001");
            assert_readable(&answer, SHOP);
        }
    });
}

#[test]
fn pages_of_an_allowed_origin_can_read_answers_and_errors_alike() {
    both_ways(|gateway| {
        let token = gateway.log_in(&CUSTOMER);
        let from_shop = |path: &str| Request::get(path).header("origin", SHOP);
        let answers = [
            (gateway.send(&from_shop("/api/v1/orders").bearer(&token)), 200),
            (gateway.send(&from_shop("/api/v1/orders")), 401),
            (gateway.send(&from_shop("/no/such/route")), 404),
            (gateway.send(&from_shop("/api/v1/orders;x")), 400),
        ];
        for (answer, status) in answers {
            assert_eq!(answer.status, status, "{answer:?}");
            assert_readable(&answer, SHOP);
            assert_dressed(&answer);
        }
    });
}

#[test]
fn pages_of_a_stranger_can_read_nothing() {
    both_ways(|gateway| {
        for path in ["/api/v1/inventory/assets", "/api/v1/orders", "/no/such/route"] {
            let answer = gateway.send(&Request::get(path).header("origin", STRANGER));
            assert!(!answer.headers.has("access-control-allow-origin"), "{answer:?}");
        }
    });
}

#[test]
fn a_request_without_an_origin_is_told_nothing_of_all_this() {
    both_ways(|gateway| {
        for path in ["/api/v1/inventory/assets", "/no/such/route"] {
            let answer = gateway.get(path);
            assert!(!answer.headers.has("access-control-allow-origin"), "{answer:?}");
        }
    });
}
