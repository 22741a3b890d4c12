//! The id that joins a request's log line, its upstream request and its answer.

use crate::common::{both_ways, both_ways_behind_a_proxy};
use portcullis_demo_services::{Captured, Service};
use portcullis_e2e::{Answer, Gateway, Request};

/// Sends `request` for one asset, whose id tells it apart, and returns the answer with what the service saw.
#[track_caller]
fn ask(gateway: &Gateway, asset: &str, dress: impl Fn(Request) -> Request) -> (Answer, Captured) {
    let answer = gateway.send(&dress(Request::get(format!("/api/v1/inventory/assets/{asset}"))));
    (answer, gateway.captured_once(Service::Inventory, &format!("/inventory/assets/{asset}")))
}

#[track_caller]
fn assert_joined(gateway: &Gateway, answer: &Answer, seen: &Captured) -> String {
    let id = answer.header("x-request-id").expect("an id");
    assert_eq!(seen.header_values("x-request-id"), [id.as_bytes()]);
    assert_eq!(gateway.log_line(&id)["extra"]["target_service"], "inventory");
    id
}

#[track_caller]
fn assert_uuid(id: &str) {
    let shape: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "{id}");
}

#[test]
fn it_is_made_at_the_edge_and_goes_up_and_comes_back_and_is_in_the_log() {
    both_ways(|gateway| {
        let (answer, seen) = ask(gateway, "RID1", |request| request);
        assert_uuid(&assert_joined(gateway, &answer, &seen));
        let (other, seen) = ask(gateway, "RID2", |request| request);
        assert_ne!(assert_joined(gateway, &other, &seen), answer.header("x-request-id").expect("an id"));
    });
}

#[test]
fn a_clients_own_is_replaced() {
    both_ways(|gateway| {
        let forged = |request: Request| request.header("X-Request-ID", "chosen-by-the-client");
        let (answer, seen) = ask(gateway, "RID3", forged);
        assert_uuid(&assert_joined(gateway, &answer, &seen));
        let twice = |request: Request| request.header("x-request-id", "a").header("X-Request-Id", "b\u{ff}");
        let (answer, seen) = ask(gateway, "RID4", twice);
        assert_uuid(&assert_joined(gateway, &answer, &seen));
    });
}

#[test]
fn a_clients_own_in_another_spelling_does_not_reach_the_service() {
    both_ways(|gateway| {
        let forged =
            |request: Request| request.header("X_Request_ID", "chosen").header("x-request_id", "chosen");
        let (answer, seen) = ask(gateway, "RID5", forged);
        assert_joined(gateway, &answer, &seen);
        let values: Vec<_> = seen.headers.iter().map(|(_, value)| value.as_slice()).collect();
        assert!(!values.contains(&b"chosen".as_slice()), "{seen:?}");
    });
}

#[test]
fn a_trusted_proxys_is_kept() {
    both_ways_behind_a_proxy(|gateway| {
        let trusted =
            |request: Request| request.header("x-request-id", "edge-42").header("x-forwarded-for", "1.2.3.4");
        let (answer, seen) = ask(gateway, "RID6", trusted);
        assert_eq!(assert_joined(gateway, &answer, &seen), "edge-42");
    });
}

#[test]
fn one_that_could_break_a_line_is_replaced_even_if_a_trusted_proxy_sent_it() {
    both_ways_behind_a_proxy(|gateway| {
        let unfit = |request: Request| request.header("x-request-id", b"a\xff \"b");
        let (answer, seen) = ask(gateway, "RID7", unfit);
        assert_uuid(&assert_joined(gateway, &answer, &seen));
        let long = "a".repeat(129);
        let (answer, seen) = ask(gateway, "RID8", |request| request.header("x-request-id", &long));
        assert_uuid(&assert_joined(gateway, &answer, &seen));
    });
}

#[test]
fn answers_of_the_gateways_own_have_one_too() {
    both_ways(|gateway| {
        for path in ["/no/such/route", "/health", "/metrics", "/api/v1/orders;x"] {
            let forged = Request::get(path).header("x-request-id", "chosen");
            let answer = gateway.send(&forged);
            assert_uuid(&answer.header("x-request-id").expect("an id"));
            assert_eq!(gateway.log_line_of(&answer)["extra"]["method"], "GET");
        }
    });
}
