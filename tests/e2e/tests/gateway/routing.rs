//! What is routed, and what is told to those who ask for anything else.

use crate::common::{assert_dressed, assert_error, assert_timestamp, both_ways};
use portcullis_e2e::Request;

#[test]
fn an_unknown_route_is_told_so_in_exactly_these_words() {
    both_ways(|gateway| {
        let answer = gateway.get("/no/such/route");
        assert_error(&answer, 404, "SVC_001");
        assert_dressed(&answer);
        let (body, id) = (answer.json(), answer.header("x-request-id").expect("an id"));
        let at = body["timestamp"].as_str().expect("a timestamp");
        let expected = format!(
            r#"{{"error":"SVC_001","message":"No such route","code":"SVC_001","timestamp":"{at}","request_id":"{id}"}}"#
        );
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.header("content-length"), Some(expected.len().to_string()));
    });
}

#[test]
fn what_no_route_has_is_404_and_reaches_no_service() {
    let unknown = [
        ("GET", "/"),
        ("GET", "/orders"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/"),
        ("GET", "/api/v1/orders/"),
        ("GET", "/api/v1/orders/1/2"),
        ("GET", "/api/v1/Orders"),
        ("GET", "/api/v1/assets//transactions"),
        ("GET", "/api/v1/internal/auth/validate"),
        ("POST", "/health"),
    ];
    both_ways(|gateway| {
        for (method, path) in unknown {
            let answer = gateway.send(&Request::new(method, format!("{path}?probe=unknown")));
            assert_error(&answer, 404, "SVC_001");
            assert_eq!(gateway.log_line_of(&answer)["extra"]["endpoint"], "unmatched", "{method} {path}");
        }
        assert_nothing_arrived(gateway, "probe=unknown");
    });
}

#[test]
fn a_method_that_a_route_does_not_have_is_404() {
    both_ways(|gateway| {
        for (method, path) in [
            ("GET", "/api/v1/auth/login"),
            ("DELETE", "/api/v1/orders"),
            ("HEAD", "/api/v1/auth/login"),
            ("POST", "/api/v1/orders/7"),
            ("OPTIONS", "/api/v1/orders"),
            ("PROPFIND", "/api/v1/orders"),
        ] {
            let answer = gateway.send(&Request::new(method, format!("{path}?probe=method")));
            assert_eq!(answer.status, 404, "{method} {path}");
        }
        assert_nothing_arrived(gateway, "probe=method");
    });
}

#[track_caller]
fn assert_nothing_arrived(gateway: &portcullis_e2e::Gateway, probe: &str) {
    for service in portcullis_demo_services::Service::ALL {
        let seen = gateway.knobs().captured(service);
        assert!(!seen.iter().any(|request| request.target.contains(probe)), "{seen:?}");
    }
}

#[test]
fn the_health_page_says_that_the_gateway_is_alive() {
    both_ways(|gateway| {
        let answer = gateway.get("/health");
        assert_eq!(answer.status, 200);
        assert_dressed(&answer);
        let body = answer.json();
        let keys: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["status", "service", "version", "timestamp"]);
        assert_eq!((&body["status"], &body["service"]), (&"healthy".into(), &"gateway".into()));
        assert_timestamp(&body["timestamp"]);
        assert_eq!(gateway.send(&Request::new("HEAD", "/health")).status, 200);
    });
}

#[test]
fn routes_are_the_same_over_http_2() {
    both_ways(|gateway| {
        assert_eq!(gateway.send_h2(&Request::get("/api/v1/inventory/assets")).status, 200);
        assert_error(&gateway.send_h2(&Request::get("/no/such/route")), 404, "SVC_001");
    });
}
