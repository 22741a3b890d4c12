//! Logins whose account stands in their body, and what counts as a failed one.

use crate::lab::{Gateway, StreamInfo, forwarded, refused};
use crate::{LOGIN_ROOM, Pipeline, Step};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const JSON: &[(&str, &[u8])] = &[("content-type", b"application/json")];
const FORM: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];

/// A gateway that blocks after one failed login.
fn gateway(more: Value, trusted: &[&str]) -> Gateway {
    let mut logins = json!({ "routes": ["/login"], "failures": 1 });
    logins.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Gateway::new(json!({ "abuse": { "failed_logins": logins, "trusted_networks": trusted } }))
}

fn by_account() -> Value {
    json!({ "account": { "field": "/email", "failures": 1 } })
}

#[test]
fn only_a_login_that_names_its_account_is_held_until_its_body_is_there() {
    let mut named = gateway(by_account(), &[]);
    assert!(Pipeline::wants_whole(&named.ask("POST", "/login", JSON).0));
    assert!(!Pipeline::wants_whole(&named.ask("POST", "/orders", JSON).0));
    assert!(!Pipeline::wants_whole(&gateway(json!({}), &[]).ask("POST", "/login", JSON).0));
    let trusted = &["203.0.113.0/24"];
    assert!(!Pipeline::wants_whole(&gateway(by_account(), trusted).ask("POST", "/login", JSON).0));
}

#[test]
fn a_body_is_lost_as_soon_as_it_cannot_be_read_any_more() {
    let mut gateway = gateway(by_account(), &[]);
    for (path, headers, size, expected) in [
        ("/login", JSON, 0, false),
        ("/login", JSON, LOGIN_ROOM - 1, false),
        ("/login", JSON, LOGIN_ROOM, true),
        ("/login", JSON, LOGIN_ROOM + 1, true),
        ("/login", FORM, 0, true),
        ("/orders", FORM, LOGIN_ROOM, false),
    ] {
        let (facts, _) = gateway.ask("POST", path, headers);
        assert_eq!(Pipeline::is_lost(&facts, size), expected, "{path} {size}");
    }
}

#[test]
fn answers_of_the_login_routes_are_looked_at_and_no_others() {
    let mut gateway = gateway(json!({}), &[]);
    for (path, expected) in [("/login", true), ("/orders", false), ("/none", false)] {
        let (facts, _) = gateway.ask("POST", path, &[]);
        assert_eq!(gateway.pipeline.is_login(&facts), expected, "{path}");
    }
    let mut without = Gateway::new(json!({}));
    let (facts, _) = without.ask("POST", "/login", &[]);
    assert!(!without.pipeline.is_login(&facts));
}

#[test]
fn only_what_the_service_says_is_a_failed_login() {
    for (status, info, is_blocked) in [
        (503, StreamInfo::by_service(), true),
        (401, StreamInfo::by_service(), true),
        (200, StreamInfo::by_service(), false),
        (403, StreamInfo::by_service(), false),
        (503, StreamInfo::by_proxy(), false),
    ] {
        let mut gateway = gateway(json!({ "statuses": [401, 503] }), &[]);
        let (mut facts, step) = gateway.ask("POST", "/login", &[]);
        forwarded(step);
        gateway.answer(&mut facts, status, &mut info.clone());
        gateway.done(&mut facts, &mut info.clone());
        let (_, step) = gateway.ask("POST", "/login", &[]);
        assert_eq!(matches!(step, Step::Reply(_)), is_blocked, "{status} {}", info.details);
    }
}

#[test]
fn an_account_is_blocked_wherever_its_next_login_comes_from() {
    let hops = json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] });
    let logins =
        json!({ "routes": ["/login"], "failures": 100, "account": { "field": "/email", "failures": 1 } });
    let mut gateway = Gateway::new(json!({ "client_ip": hops, "abuse": { "failed_logins": logins } }));
    let mut log_in = |from: &str, body: &str| {
        let headers = [JSON[0], ("x-forwarded-for", from.as_bytes())];
        let (mut facts, _) = gateway.ask("POST", "/login", &headers);
        let body = (body.as_bytes(), body.len());
        let reply = gateway.pipeline.on_login_body(&mut facts, body, &gateway.host, &mut gateway.worker);
        if reply.is_none() {
            gateway.answer(&mut facts, 401, &mut StreamInfo::by_service());
        }
        gateway.done(&mut facts, &mut StreamInfo::by_service());
        reply.map(|reply| reply.status)
    };
    assert_eq!(log_in("192.0.2.1", r#"{"email":"ann@shop.example"}"#), None);
    assert_eq!(log_in("192.0.2.2", r#"{"email":"ANN@shop.example"}"#), Some(403));
    assert_eq!(log_in("192.0.2.2", r#"{"email":"bob@shop.example"}"#), None);
    assert_eq!(log_in("192.0.2.3", r#"{"name":"ann"}"#), Some(400));
}

#[test]
fn a_login_that_is_refused_here_says_so_in_its_line_and_holds_nothing() {
    let mut gateway = gateway(by_account(), &[]);
    let (mut facts, _) = gateway.ask("POST", "/login", JSON);
    let end = (&b"?"[..], 1);
    let reply = gateway.pipeline.on_login_body(&mut facts, end, &gateway.host, &mut gateway.worker).unwrap();
    assert_eq!((reply.status, Pipeline::wants_whole(&facts)), (400, false));
    let record = gateway.done(&mut facts, &mut StreamInfo::default());
    assert_eq!(crate::lab::lines(&record)[0]["extra"]["reason"], "login_unreadable");
    gateway.host.advance(core::time::Duration::from_secs(1));
    assert!(matches!(gateway.ask("POST", "/login", JSON).1, Step::Forward(_)), "it was no failed login");
    assert_eq!(refused(gateway.ask("GET", "/none", &[]).1).status, 404);
}

#[test]
fn an_account_is_read_of_a_body_that_is_there_whole_and_plain_json() {
    let sized = |size: usize| format!("{{\"email\":\"{}\"}}", "a".repeat(size - 12)).into_bytes();
    let (fits, too_large) = (sized(LOGIN_ROOM - 1), sized(LOGIN_ROOM));
    for (headers, body, size, status) in [
        (JSON, &fits, fits.len(), None),
        (JSON, &too_large, too_large.len(), Some(400)),
        (JSON, &fits, fits.len() + 1, Some(400)),
        (FORM, &fits, fits.len(), Some(400)),
        // Without a body there is no account in it.
        (JSON, &Vec::new(), 0, None),
    ] {
        let mut gateway = gateway(by_account(), &[]);
        let (mut facts, _) = gateway.ask("POST", "/login", headers);
        let (host, worker) = (&gateway.host, &mut gateway.worker);
        let reply = gateway.pipeline.on_login_body(&mut facts, (body, size), host, worker);
        assert_eq!(reply.map(|reply| reply.status), status, "{size}");
    }
}
