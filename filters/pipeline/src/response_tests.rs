//! What answers say on the way out, whoever gave them.

use crate::lab::{Gateway, SERVICE_CUT, StreamInfo, forwarded, lines, refused, set};
use crate::{HeaderOps, Step};
use core::time::Duration;
use portcullis_edge_core::StreamFact;
use portcullis_metrics::Format;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn an_error_of_the_proxys_says_what_it_is_in_the_gateways_words() {
    for (status, code, message) in [
        (400, "REQ_001", "The request is malformed"),
        (403, "REQ_001", "The request is malformed"),
        (404, "SVC_001", "No such route"),
        (413, "REQ_002", "The request is too large"),
        (431, "REQ_002", "The request is too large"),
        (500, "SVC_001", "The service is unavailable"),
        (503, "SVC_001", "The service is unavailable"),
        (504, "SVC_001", "The service did not answer in time"),
    ] {
        let mut gateway = Gateway::new(json!({}));
        let (mut facts, _) = gateway.get();
        let step = gateway.answer(&mut facts, status, &mut StreamInfo::by_proxy());
        let body: Value = serde_json::from_slice(&step.body.unwrap()).unwrap();
        assert_eq!((&body["code"], &body["message"]), (&json!(code), &json!(message)), "{status}");
        assert_eq!(set(&step.ops.set, "cache-control"), Some("no-store"));

        let (mut facts, _) = gateway.ask("POST", "/orders", &[("content-type", b"application/grpc")]);
        let mut stream = StreamInfo::by_proxy();
        let step = gateway.answer(&mut facts, status, &mut stream);
        assert_eq!((set(&step.ops.set, "grpc-message"), step.body), (Some(message), None), "{status}");
    }
}

#[test]
fn a_refusal_of_another_instance_is_left_as_it_is_and_named_in_the_line() {
    let mut gateway = Gateway::new(json!({}));
    for (details, denied) in [
        ("portcullis_rate_limited", json!("rate_limited")),
        ("portcullis", Value::Null),
        ("via_upstream", Value::Null),
    ] {
        let (mut facts, _) = gateway.get();
        let mut info = StreamInfo { details, ..StreamInfo::default() };
        let step = gateway.answer(&mut facts, 429, &mut info);
        gateway.pipeline.on_response_end(&mut facts);
        let record = gateway.done(&mut facts, &mut info);
        assert_eq!((step.body, &lines(&record)[0]["extra"]["denied"]), (None, &denied), "{details}");
        let is_sent = details == "via_upstream";
        assert_eq!(record.observation.unwrap().service.is_some(), is_sent, "{details}");
    }
}

#[test]
fn an_answer_has_the_requests_id_unless_the_proxy_gives_it_one() {
    for (assigns, info, expected) in [
        (false, StreamInfo::by_service(), true),
        (false, StreamInfo::by_proxy(), true),
        (true, StreamInfo::by_service(), false),
        (true, StreamInfo::by_proxy(), true),
    ] {
        let mut gateway =
            Gateway::new(json!({ "proxy": { "appends_peer": true, "assigns_request_id": assigns } }));
        let (mut facts, _) = gateway.ask("GET", "/orders", &[("x-request-id", b"abc")]);
        let id = facts.request_id().to_owned();
        let step = gateway.answer(&mut facts, 503, &mut info.clone());
        let said = set(&step.ops.set, "x-request-id");
        assert_eq!(said, expected.then_some(id.as_str()), "{assigns} {}", info.details);
    }
}

/// The changes to a service's answer that says itself who may read it.
fn dressed(more: Value, origin: &[u8]) -> HeaderOps {
    let mut gateway = Gateway::new(more);
    let (mut facts, _) = gateway.ask("GET", "/orders", &[("origin", origin)]);
    let headers: Vec<(&str, &[u8])> = vec![
        ("content-type", b"text/plain"),
        ("access-control-allow-origin", b"*"),
        ("vary", b"Accept, Accept-Encoding"),
        ("access-control-allow-credentials", b"true"),
    ];
    gateway.answer(&mut facts, 200, &mut StreamInfo { headers, ..StreamInfo::by_service() }).ops
}

#[test]
fn who_may_read_an_answer_is_what_the_policy_says_and_not_the_service() {
    let removed = [&b"access-control-allow-origin"[..], b"access-control-allow-credentials"];
    let cors = json!({ "cors": { "origins": ["https://shop.example"] } });
    let good = dressed(cors.clone(), b"https://shop.example");
    assert_eq!(good.remove, removed);
    assert_eq!(set(&good.set, "access-control-allow-origin"), Some("https://shop.example"));
    assert!(good.set.contains(&("vary".to_owned(), b"Accept, Accept-Encoding, Origin".to_vec())));
    for strangers in [dressed(cors, b"https://evil.example"), dressed(json!({}), b"https://shop.example")] {
        assert_eq!(strangers.remove, removed);
        assert_eq!(set(&strangers.set, "access-control-allow-origin"), None);
    }
    let routes = json!([{ "path": "/orders", "methods": ["GET"], "service": "order", "cors": "service" }]);
    assert_eq!(dressed(json!({ "routes": routes }), b"https://shop.example").remove, [b""; 0]);
}

#[test]
fn an_answer_that_has_come_to_its_end_is_whole_whatever_becomes_of_the_stream_then() {
    let mut gateway = Gateway::new(json!({}));
    for (is_whole, error) in [(true, false), (false, true)] {
        let record =
            gateway.call(200, is_whole, StreamInfo { flags: SERVICE_CUT, ..StreamInfo::by_service() });
        assert_eq!(record.observation.unwrap().proxy_error.is_some(), error);
    }
}

#[test]
fn the_metrics_come_in_the_format_that_their_reader_asks_for() {
    let mut gateway = Gateway::new(json!({}));
    let mut format = |accept: &str| {
        let (facts, _) = gateway.ask("GET", "/metrics", &[("accept", accept.as_bytes())]);
        gateway.pipeline.metrics_format(&facts)
    };
    assert_eq!(format("application/openmetrics-text;version=1.0.0"), Format::OpenMetrics);
    assert_eq!(format("text/plain;version=0.0.4"), Format::Text);
}

#[test]
fn changes_of_any_kind_are_changes() {
    let pair = || ("a".to_owned(), b"b".to_vec());
    assert!(HeaderOps::default().is_empty());
    for ops in [
        HeaderOps { remove: vec![b"a".to_vec()], ..HeaderOps::default() },
        HeaderOps { set: vec![pair()], ..HeaderOps::default() },
        HeaderOps { add: vec![pair()], ..HeaderOps::default() },
        HeaderOps { state: vec![("a".into(), b"b".to_vec())], ..HeaderOps::default() },
    ] {
        assert!(!ops.is_empty(), "{ops:?}");
    }
}

#[test]
fn routes_of_a_host_are_for_requests_to_that_host() {
    let routes = json!([
        { "hosts": ["gw"], "path": "/own", "methods": ["GET"], "service": "order" },
        { "path": "/other", "methods": ["GET"], "service": "order" }]);
    let mut gateway = Gateway::new(json!({ "routes": routes }));
    assert_eq!(gateway.ask("GET", "/own", &[]).0.route(), Some(0));
    assert_eq!(gateway.ask("GET", "/other", &[]).0.route(), None);
}

/// Where proxies are trusted, a peer on this machine tells of somebody else.
#[test]
fn metrics_for_this_machine_are_for_a_peer_on_it_and_for_nobody_that_it_tells_of() {
    for (networks, client_ip, peer, serves) in [
        ("127.0.0.0/8", json!({}), &b"127.0.0.1:5"[..], true),
        ("127.0.0.0/8", json!({ "trusted_proxies": ["10.0.0.1"] }), b"127.0.0.1:5", false),
        ("192.168.0.0/16", json!({}), b"127.0.0.1:5", false),
        ("192.168.0.0/16", json!({}), b"192.168.0.1:5", false),
    ] {
        let mut gateway = Gateway::new(json!({ "client_ip": client_ip,
            "metrics": { "networks": [networks] }, "proxy": { "appends_peer": true } }));
        gateway.host.set_stream(StreamFact::Peer, peer);
        let (_, step) = gateway.ask("GET", "/metrics", &[("x-forwarded-for", b"203.0.113.1")]);
        assert_eq!(matches!(step, Step::ServeMetrics), serves, "{networks} {client_ip}");
    }
}

#[test]
fn who_comes_back_when_told_is_let_in() {
    let rule = json!({ "key": [], "limit": 2, "window": "3s" });
    let mut gateway = Gateway::new(json!({ "limits": { "rules": { "all": rule } } }));
    forwarded(gateway.get().1);
    forwarded(gateway.get().1);
    assert_eq!(set(&refused(gateway.get().1).headers, "retry-after"), Some("2"), "one and a half");
    gateway.host.advance(Duration::from_secs(1));
    assert_eq!(refused(gateway.get().1).status, 429);
    gateway.host.advance(Duration::from_secs(1));
    forwarded(gateway.get().1);
}

#[test]
fn the_peer_is_asked_for_where_the_proxy_does_not_write_it_down() {
    for appends_peer in [true, false] {
        let gateway = Gateway::new(json!({ "proxy": { "appends_peer": appends_peer } }));
        assert_eq!(gateway.pipeline.needs_peer(), !appends_peer);
    }
}

#[test]
fn limits_of_a_route_are_for_its_requests_and_for_no_others() {
    for (route, orders, logins) in [("/orders", 429, 200), ("/login", 200, 429)] {
        let rule = json!({ "key": [], "limit": 1, "window": "1m", "routes": [route] });
        let mut gateway = Gateway::new(json!({ "limits": { "rules": { "of_one": rule } } }));
        let mut second = |path: &str| {
            gateway.ask("POST", path, &[]);
            match gateway.ask("POST", path, &[]).1 {
                Step::Reply(reply) => reply.status,
                _ => 200,
            }
        };
        assert_eq!((second("/orders"), second("/login")), (orders, logins), "{route}");
    }
}
