//! What is left of a request when it has ended.

use crate::lab::{CLIENT_LEFT, Gateway, IDLE, SERVICE_CUT, StreamInfo, TIMED_OUT, TOO_MANY_CALLS, lines};
use crate::observation::RoutingError;
use crate::tests::{Fake, head};
use crate::{ProxyError, Record, Step, Stream};
use portcullis_metrics::{Domain, Exemplar, Format, exposition};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn by_service(flags: u64) -> StreamInfo {
    StreamInfo { flags, ..StreamInfo::by_service() }
}

fn by_proxy(flags: u64) -> StreamInfo {
    StreamInfo { flags, ..StreamInfo::by_proxy() }
}

/// What an answer says of its service to a breaker that opens after two failures in a row.
fn said(status: u16, is_whole: bool, info: StreamInfo) -> &'static str {
    let breaker = json!({ "consecutive_failures": 2, "jitter_percent": 0 });
    let mut gateway = Gateway::new(json!({ "breakers": { "order": breaker } }));
    let is_open = |gateway: &mut Gateway| matches!(gateway.get().1, Step::Reply(_));
    gateway.call(500, true, StreamInfo::by_service());
    gateway.call(status, is_whole, info);
    if is_open(&mut gateway) {
        return "failed";
    }
    gateway.call(500, true, StreamInfo::by_service());
    if is_open(&mut gateway) { "nothing" } else { "answered" }
}

#[test]
fn a_breaker_hears_of_the_services_failures_and_of_nobody_elses() {
    for (status, is_whole, info, expected) in [
        (200, true, by_service(0), "answered"),
        (404, true, by_service(0), "answered"),
        (500, true, by_service(0), "failed"),
        (200, false, by_service(SERVICE_CUT), "failed"),
        // A client that reads nothing can bring that about.
        (200, false, by_service(TIMED_OUT), "nothing"),
        (500, false, by_service(TIMED_OUT), "failed"),
        (200, false, by_service(CLIENT_LEFT), "nothing"),
        (200, false, by_service(0), "nothing"),
        // Either side may end an upgraded connection.
        (101, false, by_service(SERVICE_CUT), "answered"),
        (101, false, by_service(IDLE), "answered"),
        (503, true, by_proxy(SERVICE_CUT), "failed"),
        (504, true, by_proxy(TIMED_OUT), "failed"),
        (503, true, by_proxy(TOO_MANY_CALLS), "nothing"),
        // The client's request had no end.
        (408, true, by_proxy(IDLE), "nothing"),
        (408, false, by_proxy(IDLE), "nothing"),
    ] {
        let flags = info.flags;
        assert_eq!(said(status, is_whole, info), expected, "{status} {is_whole} {flags:x}");
    }
}

#[test]
fn a_line_says_who_ended_a_request_only_where_the_service_gave_no_whole_answer() {
    for (status, is_whole, info, expected) in [
        (200, true, by_service(CLIENT_LEFT), Value::Null),
        (503, true, by_service(CLIENT_LEFT), Value::Null),
        (503, false, by_service(CLIENT_LEFT), json!("client")),
        (503, true, by_proxy(SERVICE_CUT), json!("service")),
        (503, true, by_proxy(TOO_MANY_CALLS), json!("gateway")),
        (408, true, by_proxy(IDLE), Value::Null),
    ] {
        let flags = info.flags;
        let record = Gateway::new(json!({})).call(status, is_whole, info);
        assert_eq!(lines(&record)[0]["extra"]["ended_by"], expected, "{status} {is_whole} {flags:x}");
    }
}

#[test]
fn a_request_that_got_no_answer_of_its_service_is_an_error_of_routing() {
    for (status, info, proxy_error, routing_error) in [
        (200, by_service(0), None, None),
        (504, by_service(0), Some(ProxyError::Status(504)), None),
        (504, by_proxy(TIMED_OUT), Some(ProxyError::RequestFailed), Some(RoutingError::ServiceTimeout)),
        (503, by_proxy(SERVICE_CUT), Some(ProxyError::RequestFailed), Some(RoutingError::ServiceUnavailable)),
    ] {
        let seen = Gateway::new(json!({})).call(status, true, info).observation.unwrap();
        let found = (seen.proxy_error.map(|(_, error)| error), seen.routing_error);
        assert_eq!(found, (proxy_error, routing_error), "{status}");
    }
}

#[test]
fn only_a_service_that_answered_took_time() {
    for (status, info, expected) in [
        (200, StreamInfo::by_service(), Some(12_034)),
        (503, StreamInfo::by_service(), Some(12_034)),
        (503, StreamInfo::by_proxy(), None),
    ] {
        let info = StreamInfo { upstream: Some(12_034_567), ..info };
        let seen = Gateway::new(json!({})).call(status, true, info).observation.unwrap();
        assert_eq!(seen.upstream_micros, expected);
    }
}

#[test]
fn a_trace_that_is_kept_somewhere_is_the_example_of_its_request() {
    let example = Exemplar { trace: *b"0af7651916cd43dd8448eb211c80319c", at_millis: 1_000 };
    for (flags, expected) in [("01", Some(example)), ("00", None)] {
        let mut gateway = Gateway::new(json!({ "tracing": {} }));
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let (mut facts, _) = gateway.ask("GET", "/orders", &[("traceparent", parent.as_bytes())]);
        gateway.answer(&mut facts, 200, &mut StreamInfo::by_service());
        let seen = gateway.done(&mut facts, &mut StreamInfo::by_service()).observation.unwrap();
        assert_eq!(seen.exemplar, expected);
    }
}

/// Of a request that was answered before it came to the filter, the proxy may or may not have written down the peer.
#[test]
fn a_peer_that_the_proxy_has_written_down_already_is_no_second_hop() {
    let behind = json!({ "client_ip": { "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] } });
    let gateway = Gateway::new(behind);
    for info in [&b"192.0.2.1"[..], b"192.0.2.1, 203.0.113.9", b"192.0.2.1,203.0.113.9"] {
        let unseen = head("GET", "/orders", &[("x-forwarded-for", info)]);
        let mut end = StreamInfo { code: Some(431), ..StreamInfo::default() };
        let record = gateway.pipeline.on_unseen(unseen, &gateway.host, &mut end);
        assert_eq!(lines(&record)[0]["extra"]["ip"], "192.0.2.0", "{}", info.escape_ascii());
    }
}

#[test]
fn a_request_that_no_guard_minds_has_nothing_to_count_of_them() {
    let mut gateway = Gateway::new(json!({
        "limits": { "rules": { "per_ip": { "key": ["ip"], "limit": 2, "window": "1m" } } },
        "breakers": { "order": {} } }));
    assert_eq!(gateway.call(200, true, StreamInfo::by_service()).guards, None);
}

#[test]
fn a_host_that_can_tell_little_of_a_stream_tells_nothing_of_the_rest() {
    let stream = &mut Fake::default();
    assert_eq!(
        (stream.upstream_nanos(), stream.request_bytes(), stream.response_bytes()),
        (None, None, None)
    );
    assert_eq!((stream.upstream_host(), stream.sent_header("x-source")), (Vec::new(), None));
}

#[test]
fn every_5xx_of_the_policy_is_an_error_between_gateway_and_service_from_the_start() {
    let gateway = Gateway::new(json!({ "metrics": { "statuses": [200, 404, 500, 503] } }));
    let metrics = gateway.pipeline.metrics().ok().unwrap();
    let text = exposition(metrics.registry(), Format::Text, |_| 0);
    let of_order = "gateway_proxy_errors_total{target_service=\"order\",error_type=\"";
    let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(of_order)).collect();
    assert_eq!(kinds, ["request_failed", "500", "503", "other"].map(|kind| format!("{kind}\"}} 0")));
    assert!(ProxyError::admits("599") && !ProxyError::admits("499") && !ProxyError::admits("50x"));
}

#[test]
fn what_refused_a_request_is_left_as_filter_state_or_else_its_first_event() {
    let limits = json!({ "rules": { "per_ip": { "key": ["ip"], "limit": 1, "window": "1m" } } });
    let blocked = json!({ "networks": ["203.0.113.0/24"], "mode": "shadow" });
    for (wanted, count) in [(true, 5), (false, 0)] {
        let mut gateway = Gateway::new(json!({
            "limits": limits, "abuse": { "blocked": blocked }, "logs": { "filter_state": wanted } }));
        let hash = gateway.pipeline.policy().hash.clone();
        let expected = |reason, stage, rule, mode| {
            let texts = [reason, stage, rule, mode, hash.as_str()].map(|text: &str| text.as_bytes().to_vec());
            let names =
                ["reason", "stage", "rule", "mode", "policy"].map(|name| format!("portcullis_{name}"));
            names.into_iter().zip(texts).take(count).collect::<Vec<_>>()
        };
        let left = |record: Record| -> Vec<_> {
            record.state.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        let passed = left(gateway.call(200, true, StreamInfo::by_service()));
        assert_eq!(passed, expected("network_blocked", "abuse", "-", "shadow"));
        let (mut facts, _) = gateway.get();
        let denied = left(gateway.done(&mut facts, &mut StreamInfo::default()));
        assert_eq!(denied, expected("rate_limited", "limits", "per_ip", "enforce"));
    }
    let mut quiet = Gateway::new(json!({ "logs": { "filter_state": true } }));
    assert_eq!(quiet.call(200, true, StreamInfo::by_service()).state, []);
}

#[test]
fn a_refusal_is_left_as_filter_state_under_the_reason_of_its_answer_whatever_else_happened() {
    let shadow = json!({ "blocked": { "networks": ["203.0.113.0/24"], "mode": "shadow" } });
    let texts = |record: Record| -> Vec<String> {
        let values = record.state.into_iter().take(4).map(|(_, value)| value);
        values.map(|value| String::from_utf8(value).unwrap()).collect()
    };
    let logs = json!({ "filter_state": true });
    let mut unsigned = Gateway::new(json!({ "abuse": shadow, "logs": logs, "source": { "require": {} } }));
    let (mut facts, _) = unsigned.get();
    let left = texts(unsigned.done(&mut facts, &mut StreamInfo::default()));
    assert_eq!(left, ["invalid_source", "source", "-", "enforce"]);
    for abuse in [json!({}), shadow] {
        let breakers = json!({ "order": { "consecutive_failures": 1 } });
        let mut failing = Gateway::new(json!({ "abuse": abuse, "logs": logs, "breakers": breakers }));
        failing.call(500, true, StreamInfo::by_service());
        let (mut facts, _) = failing.get();
        let left = texts(failing.done(&mut facts, &mut StreamInfo::default()));
        assert_eq!(left, ["breaker_open", "breaker", "-", "enforce"], "{abuse}");
    }
}

#[test]
fn a_service_was_due_the_trust_headers_that_went_on_to_it_and_the_line_says_whether_it_had_them() {
    let trust = json!({ "trust_headers": { "set": { "X-Source": "gateway" } } });
    for (info, sent, expected) in [
        (StreamInfo::by_service(), Some(&b"gateway"[..]), Some(true)),
        (StreamInfo::by_service(), Some(b"other"), Some(false)),
        (StreamInfo::by_service(), None, Some(false)),
        (StreamInfo::by_proxy(), Some(b"gateway"), None),
    ] {
        let record = Gateway::new(trust.clone()).call(503, true, StreamInfo { sent, ..info });
        assert_eq!(record.injected, expected);
        assert_eq!(lines(&record)[0]["extra"]["security_headers"], json!(expected == Some(true)));
    }
}

#[test]
fn of_addresses_in_a_header_the_first_is_shown_without_its_end() {
    let fields = json!({ "from": { "from": "header:x-real-ip", "as": "address" } });
    let mut gateway = Gateway::new(json!({ "logs": { "fields": fields } }));
    let (mut facts, _) = gateway.ask("GET", "/orders", &[("x-real-ip", b"192.0.2.7, 198.51.100.1")]);
    let record = gateway.done(&mut facts, &mut StreamInfo::default());
    assert_eq!(lines(&record)[0]["extra"]["from"], "192.0.2.0");
}
