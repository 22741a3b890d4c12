//! Limits, breakers and blocked logins on a real Envoy with 2 workers.

use portcullis_demo_services::{CUSTOMER, Fault, Service};
use portcullis_e2e::{Answer, Gateway, H2Connection, Line, Request, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than a worker believes that a breaker is closed.
const SETTLE: Duration = Duration::from_millis(10);

const ASSETS: &str = "/api/v1/inventory/assets";

/// A gateway behind a trusted proxy, whose clients are told by `X-Forwarded-For`; with these sections.
fn gateway(sections: Value) -> Gateway {
    Gateway::with_policy(|policy| {
        policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]});
        let sections = sections.as_object().expect("an object").clone();
        policy.as_object_mut().expect("an object").extend(sections);
    })
}

fn from(client: &str, request: Request) -> Request {
    request.header("x-forwarded-for", client)
}

/// The statuses of so many requests that are all under way at once, over connections that both workers accept.
fn at_once(to: SocketAddr, request: &Request, connections: usize, each: usize) -> Vec<u16> {
    let connections: Vec<_> = (0..connections).map(|_| H2Connection::open(to)).collect();
    let start = |connection: &H2Connection| {
        let start = || connection.start(request).expect("the gateway takes a stream");
        (0..each).map(|_| start()).collect::<Vec<_>>()
    };
    let pending: Vec<_> = connections.iter().flat_map(start).collect();
    pending.into_iter().map(|pending| pending.answer().expect("an answer").status).collect()
}

fn of(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|s| **s == status).count()
}

fn event(gateway: &Gateway, action: &str) -> Value {
    let is_it = |line: &Line| line.json().is_some_and(|json| json["action"] == action);
    gateway.envoy.stdout().wait_for_line(is_it).json().expect("it was JSON")
}

#[test]
fn a_thousand_requests_at_once_of_one_client_pass_up_to_its_limit_exactly_and_others_are_untouched() {
    const LIMIT: usize = 137;
    // A day: nothing comes back while the test runs.
    let rule = json!({ "key": ["ip"], "limit": LIMIT, "window": "1d" });
    let gateway = gateway(json!({ "limits": { "rules": { "per_ip": rule } } }));
    let statuses = at_once(gateway.address(), &from("203.0.113.9", Request::get(ASSETS)), 20, 50);
    // A unit comes back every 86,400 s / 137 = 630 s.
    assert_eq!((of(&statuses, 200), of(&statuses, 429)), (LIMIT, 1000 - LIMIT));
    let other = gateway.send(&from("203.0.113.10", Request::get(ASSETS)));
    assert_eq!((other.status, other.header("x-ratelimit-remaining").as_deref()), (200, Some("136")));
}

#[test]
fn a_client_is_told_its_quota_and_gets_it_back_with_time() {
    let rule = json!({ "key": ["ip"], "limit": 3, "window": "1m" });
    let gateway = gateway(json!({ "limits": { "rules": { "per_ip": rule } } }));
    let ask = || gateway.send(&from("203.0.113.9", Request::get(ASSETS)));
    let told =
        |answer: &Answer, name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    for left in ["2", "1", "0"] {
        let answer = ask();
        assert_eq!((answer.status, told(&answer, "x-ratelimit-remaining").as_str()), (200, left));
        assert_eq!(told(&answer, "ratelimit-policy"), "\"per_ip\";q=3;w=60");
    }
    let refused = ask();
    let body = refused.json();
    assert_eq!(
        (refused.status, body["code"].as_str(), body["limit"].as_u64()),
        (429, Some("RATE_001"), Some(3))
    );
    assert_eq!(body["remaining"], 0);
    let retry: u64 = told(&refused, "retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&retry), "{retry}");
    let line = event(&gateway, "rate_limit_violation");
    assert_eq!((&line["extra"]["rule"], &line["extra"]["ip"]), (&json!("per_ip"), &json!("203.0.113.0")));
    gateway.envoy.travel(Duration::from_secs(20));
    assert_eq!(ask().status, 200);
}

#[test]
fn a_shadow_limit_is_logged_and_refuses_nothing() {
    let rule = json!({ "key": ["ip"], "limit": 1, "window": "1d", "mode": "shadow" });
    let gateway = gateway(json!({ "limits": { "rules": { "shy": rule } } }));
    let statuses = at_once(gateway.address(), &from("203.0.113.9", Request::get(ASSETS)), 2, 10);
    assert_eq!(of(&statuses, 200), 20);
    assert_eq!(event(&gateway, "rate_limit_violation")["extra"]["verdict"], "would_refuse");
}

#[test]
fn requests_at_once_are_bounded_and_their_places_come_back_however_they_end() {
    let rule = json!({ "key": ["ip"], "limit": 5 });
    let gateway = gateway(json!({ "concurrency": { "rules": { "per_client": rule } } }));
    let slow = Fault::everywhere(Service::Inventory).delay(Duration::from_secs(3600));
    let fault = gateway.knobs().set(slow).expect("a sound fault");
    let connections = [H2Connection::open(gateway.address()), H2Connection::open(gateway.address())];
    let request = from("203.0.113.9", Request::get(ASSETS));
    let mut held: Vec<_> = (0..5).map(|n| connections[n % 2].start(&request).expect("a stream")).collect();
    eventually("all five are under way", || gateway.knobs().in_flight(Service::Inventory) == 5);
    assert_eq!(gateway.send(&request).status, 429);
    assert_eq!(at_once(gateway.address(), &request, 4, 5), vec![429; 20]);
    // The client of one leaves.
    held.truncate(0);
    drop(connections);
    gateway.knobs().clear(fault);
    eventually("its places are free", || gateway.send(&request).status == 200);
}

#[test]
fn a_breaker_opens_lets_trials_through_and_closes_for_both_workers() {
    let breaker =
        json!({ "consecutive_failures": 5, "open_for": "60s", "jitter_percent": 0, "successes": 3 });
    let gateway = gateway(json!({ "breakers": { "inventory": breaker } }));
    let fault =
        gateway.knobs().set(Fault::everywhere(Service::Inventory).status(500)).expect("a sound fault");
    let ask = || from("203.0.113.9", Request::get(ASSETS)).send(gateway.address());
    for _ in 0..5 {
        assert_eq!(ask().status, 500);
    }
    eventually("it is open", || ask().status == 503);
    gateway.envoy.travel(SETTLE);
    let seen = gateway.knobs().captured_count(Service::Inventory);
    let statuses = at_once(gateway.address(), &from("203.0.113.9", Request::get(ASSETS)), 6, 10);
    assert_eq!(of(&statuses, 503), 60);
    assert_eq!(gateway.knobs().captured_count(Service::Inventory), seen, "the service is left alone");
    let refused = ask();
    assert_eq!(
        (refused.json()["code"].as_str(), refused.header("retry-after").is_some()),
        (Some("SVC_001"), true)
    );
    let change = event(&gateway, "circuit_breaker_change");
    assert_eq!((&change["extra"]["rule"], &change["extra"]["to"]), (&json!("inventory"), &json!("open")));

    gateway.envoy.travel(Duration::from_secs(60));
    assert_eq!(ask().status, 500, "a trial");
    gateway.envoy.travel(SETTLE);
    assert_eq!(ask().status, 503, "which failed");
    gateway.knobs().clear(fault);
    gateway.envoy.travel(Duration::from_secs(60));
    let slow = Fault::everywhere(Service::Inventory).delay(Duration::from_secs(3600));
    let fault = gateway.knobs().set(slow).expect("a sound fault");
    let connection = H2Connection::open(gateway.address());
    let trial = connection.start(&Request::get(ASSETS)).expect("a stream");
    eventually("the trial is under way", || gateway.knobs().in_flight(Service::Inventory) == 1);
    assert_eq!(of(&at_once(gateway.address(), &Request::get(ASSETS), 4, 5), 503), 20, "one trial at a time");
    drop(trial);
    drop(connection);
    gateway.knobs().clear(fault);
    eventually("a trial whose client left is given back", || ask().status == 200);
    for _ in 0..2 {
        assert_eq!(ask().status, 200);
    }
    gateway.envoy.travel(SETTLE);
    let statuses = at_once(gateway.address(), &Request::get(ASSETS), 4, 10);
    assert_eq!(of(&statuses, 200), 40, "closed");
}

/// Through the proxy's own buffer and time limits, as they are rendered.
#[test]
fn failed_logins_block_their_account_from_every_network_and_its_password_is_not_even_tried() {
    let account = json!({ "field": "/username", "failures": 4 });
    let logins = json!({ "routes": ["/auth/login"], "failures": 100, "account": account });
    let gateway = gateway(json!({ "abuse": { "failed_logins": logins } }));
    let log_in = |client: &str, password: &str| {
        let credentials = json!({ "username": CUSTOMER.username, "password": password });
        gateway.send(&from(client, Request::post("/api/v1/auth/login").json(&credentials)))
    };
    for client in 0..4 {
        assert_eq!(log_in(&format!("203.0.113.{client}"), "not-hers-12345").status, 401);
    }
    eventually("it is blocked", || log_in("203.0.113.77", CUSTOMER.password).status == 403);
    let sent = |gateway: &Gateway| gateway.metrics().sum("auth_requests_total", &[]);
    let before = gateway.settled("auth_requests_total", &[], 4.0);
    let blocked = log_in("203.0.113.78", CUSTOMER.password);
    assert_eq!((blocked.status, blocked.json()["code"].as_str()), (403, Some("AUTH_004")));
    assert_eq!(sent(&gateway), before, "nothing of it was sent to the service");
    let padded = format!("{}{}", " ".repeat(70_000), json!({ "username": CUSTOMER.username }));
    let padded = Request::post("/api/v1/auth/login").header("content-type", "application/json").body(padded);
    assert_eq!(gateway.send(&from("203.0.113.79", padded)).status, 400);
    gateway.envoy.travel(Duration::from_secs(300));
    assert_eq!(log_in("203.0.113.78", CUSTOMER.password).status, 200);
}

#[test]
fn failed_logins_block_their_network_from_logging_in_until_the_block_ends() {
    let logins = json!({ "routes": ["/auth/login"], "failures": 5, "within": "300s", "block_for": "300s" });
    let gateway = gateway(json!({ "abuse": { "failed_logins": logins } }));
    let user = CUSTOMER;
    let log_in = |client: &str, password: &str| {
        let credentials = json!({ "username": user.username, "password": password });
        gateway.send(&from(client, Request::post("/api/v1/auth/login").json(&credentials)))
    };
    for _ in 0..5 {
        assert_eq!(log_in("203.0.113.9", "not-hers-12345").status, 401);
    }
    eventually("it is blocked", || log_in("203.0.113.9", user.password).status == 403);
    let blocked = log_in("203.0.113.9", user.password);
    assert_eq!(blocked.json()["code"], "AUTH_004");
    assert_eq!(event(&gateway, "suspicious_activity")["extra"]["reason"], "brute_force");
    assert_eq!(log_in("203.0.113.10", user.password).status, 200, "another client");
    assert_eq!(gateway.send(&from("203.0.113.9", Request::get(ASSETS))).status, 200, "another route");
    gateway.envoy.travel(Duration::from_secs(300));
    assert_eq!(log_in("203.0.113.9", user.password).status, 200);
}
