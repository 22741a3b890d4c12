use super::*;
use crate::{OnFailure, RawLimits, Subject};
use portcullis_edge_core::{ConfigErrors, Headers, MemoryHost, Namespace, Node, Wall};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

struct Gateway {
    limits: Limits,
    state: LimitState,
    host: MemoryHost,
}

fn gateway(more: Value) -> Gateway {
    let mut rule =
        json!({ "key": ["ip", "header:x-api-key"], "limit": 10, "window": "1m", "scope": "fleet" });
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let section = json!({ "service": { "cluster": "counter" }, "rules": { "shared": rule } });
    let raw: RawLimits = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    let limits = raw.compile(&Node::top(), &["/a"], &["counter"]).unwrap();
    let host = MemoryHost::at(Now { wall: Wall(1_000_000_000_000), mono: Mono(5_000_000_000) });
    Gateway { limits, state: LimitState::new(&Namespace::new("t")), host }
}

impl Gateway {
    fn ask(&mut self, headers: &Headers) -> (Fleet, Checked) {
        let mut checked = Checked::default();
        let caller = Caller {
            network: "192.0.2.1".parse().ok(),
            route: Some(0),
            service: None,
            headers,
            subject: None::<&dyn Subject>,
        };
        let now = self.host.now();
        (self.limits.ask_fleet(&caller, now, &mut checked, &mut self.state, &self.host), checked)
    }

    fn answer(
        &mut self,
        asked: &Asked,
        answer: Result<Answered<'_>, CallError>,
    ) -> (Option<Denial>, Checked) {
        let mut checked = Checked::default();
        let now = self.host.now();
        let verdict = self.limits.on_fleet_answer(asked, answer, now, &mut checked, &mut self.state);
        (verdict.err().map(|denial| *denial), checked)
    }
}

fn asked(fleet: Fleet) -> (GrpcCall, Asked) {
    match fleet {
        Fleet::Ask(Call::Grpc(call), asked) => (call, asked),
        other => panic!("not asked: {other:?}"),
    }
}

fn response(code: u64, remaining: u64, reset: u64) -> Vec<u8> {
    let limit = Message::default().number(1, 10).number(2, 2);
    let reset = Message::default().number(1, reset);
    let status =
        Message::default().number(1, code).message(2, &limit).number(3, remaining).message(4, &reset);
    Message::default().number(1, code).message(2, &status).done()
}

#[test]
fn the_service_is_told_what_is_counted_and_the_limit_and_no_secret() {
    let mut gateway = gateway(json!({ "costs": { "/a": 3 } }));
    let (call, _) = asked(gateway.ask(&Headers::from_pairs([("x-api-key", &b"s3cret"[..])])).0);
    assert_eq!((call.service, call.method, call.cluster.as_str()), (SERVICE, METHOD, "counter"));
    let text = String::from_utf8_lossy(&call.message);
    for told in ["portcullis", "limit", "shared", "192.0.2.1", "x-api-key"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("s3cret"));
    let request = fields(&call.message).unwrap();
    let descriptor = fields(messages(&request, 2).next().unwrap()).unwrap();
    let limit = fields(messages(&descriptor, 2).next().unwrap()).unwrap();
    let hits = fields(messages(&descriptor, 3).next().unwrap()).unwrap();
    assert_eq!((number(&limit, 1), number(&limit, 2), number(&hits, 1)), (10, 2, 3));
}

#[test]
fn an_answer_admits_and_tells_what_is_left() {
    let mut gateway = gateway(json!({}));
    let (_, question) = asked(gateway.ask(&Headers::default()).0);
    let (denial, checked) = gateway.answer(&question, Ok(Answered::Grpc(0, &response(1, 7, 30))));
    assert_eq!((denial, checked.hits), (None, vec![]));
    assert_eq!(checked.standing.map(|s| (s.limit, s.remaining, s.reset.as_secs())), Some((10, 7, 30)));
}

#[test]
fn a_refusal_is_remembered_until_there_is_something_to_be_had() {
    let mut gateway = gateway(json!({}));
    let (_, question) = asked(gateway.ask(&Headers::default()).0);
    let (denial, checked) = gateway.answer(&question, Ok(Answered::Grpc(0, &response(2, 0, 30))));
    let denial = denial.unwrap();
    assert_eq!((denial.reason, denial.retry_after), (RATE_LIMITED, Some(Duration::from_secs(30))));
    assert_eq!((denial.quota.unwrap().limit, checked.hits.len()), (10, 1));
    gateway.host.advance(Duration::from_secs(29));
    let (fleet, checked) = gateway.ask(&Headers::default());
    let Fleet::Refused(denial) = fleet else { panic!("{fleet:?}") };
    assert_eq!((denial.retry_after, checked.hits.len()), (Some(Duration::from_secs(1)), 1));
    assert!(matches!(gateway.ask(&Headers::from_pairs([("x-api-key", &b"k"[..])])).0, Fleet::Ask(..)));
    gateway.host.advance(Duration::from_secs(1));
    assert!(matches!(gateway.ask(&Headers::default()).0, Fleet::Ask(..)));
}

#[test]
fn without_a_usable_answer_requests_pass_or_not_as_the_policy_says() {
    let two = [response(1, 1, 1), response(1, 1, 1)].concat();
    let bad: [Result<Answered<'_>, CallError>; 6] = [
        Err(CallError::Timeout),
        Err(CallError::NotSent),
        Ok(Answered::Grpc(14, b"")),
        Ok(Answered::Grpc(0, b"\xff")),
        Ok(Answered::Grpc(0, b"")),
        Ok(Answered::Grpc(0, &two)),
    ];
    for (says, expected) in [(OnFailure::Allow, None), (OnFailure::Deny, Some(LIMIT_UNKNOWN))] {
        for answer in bad {
            let mode = if says == OnFailure::Deny { "deny" } else { "allow" };
            let mut gateway = gateway(json!({ "on_failure": mode }));
            let (_, question) = asked(gateway.ask(&Headers::default()).0);
            let (denial, checked) = gateway.answer(&question, answer);
            assert_eq!((denial.map(|d| d.reason), checked.failures), (expected, vec![StoreError::Service]));
        }
    }
}

#[test]
fn a_shadow_limit_of_the_fleet_refuses_nothing() {
    let mut gateway = gateway(json!({ "mode": "shadow" }));
    let (_, question) = asked(gateway.ask(&Headers::default()).0);
    let (denial, checked) = gateway.answer(&question, Ok(Answered::Grpc(0, &response(2, 0, 30))));
    assert_eq!((denial, checked.standing, checked.hits.len()), (None, None, 1));
}

fn told_limit(message: &[u8]) -> (u64, u64) {
    let request = fields(message).unwrap();
    let descriptor = fields(messages(&request, 2).next().unwrap()).unwrap();
    let limit = fields(messages(&descriptor, 2).next().unwrap()).unwrap();
    (number(&limit, 1), number(&limit, 2))
}

#[test]
fn the_service_is_told_the_window_in_its_own_units() {
    // `RateLimitUnit` of Envoy's `ratelimit.proto`: SECOND, MINUTE, HOUR, DAY.
    for (window, unit) in [("1s", 1), ("1m", 2), ("1h", 3), ("1d", 4)] {
        let mut gateway = gateway(json!({ "window": window }));
        let (call, _) = asked(gateway.ask(&Headers::default()).0);
        assert_eq!(told_limit(&call.message), (10, unit), "{window}");
    }
}

#[test]
fn only_limits_of_the_fleet_that_are_on_need_the_service() {
    for (more, expected) in [
        (json!({}), Some("counter")),
        (json!({ "mode": "shadow" }), Some("counter")),
        (json!({ "mode": "off" }), None),
        (json!({ "scope": "process" }), None),
    ] {
        let mut gateway = gateway(more.clone());
        let limits = &gateway.limits;
        assert_eq!((limits.has_fleet(), limits.fleet_cluster()), (expected.is_some(), expected), "{more}");
        let fleet = gateway.ask(&Headers::default()).0;
        assert_eq!(fleet == Fleet::Nothing, expected.is_none(), "{more}: {fleet:?}");
    }
    assert!(!Limits::default().has_fleet());
}

#[test]
fn values_of_headers_are_told_apart_by_all_proxies_alike() {
    let message = |values: &[&[u8]]| {
        let headers = Headers::from_pairs(values.iter().map(|value| ("x-api-key", *value)));
        asked(gateway(json!({})).ask(&headers).0).0.message
    };
    let keys: [&[&[u8]]; 5] = [&[], &[b""], &[b"k1"], &[b"k2"], &[b"k", b"1"]];
    for (index, key) in keys.into_iter().enumerate() {
        assert_eq!(message(key), message(key));
        let others = keys.into_iter().skip(index + 1);
        others.for_each(|other| assert_ne!(message(key), message(other), "{key:?} {other:?}"));
    }
}

#[test]
fn a_time_that_is_none_is_no_usable_answer() {
    let answered = |nanos: u64| {
        let reset = Message::default().number(1, 1).number(2, nanos);
        let status = Message::default().number(1, 1).message(4, &reset);
        let response = Message::default().message(2, &status).done();
        let mut gateway = gateway(json!({}));
        let (_, question) = asked(gateway.ask(&Headers::default()).0);
        gateway.answer(&question, Ok(Answered::Grpc(0, &response))).1.failures
    };
    assert_eq!(answered(999_999_999), []);
    assert_eq!(answered(1_000_000_000), [StoreError::Service]);
    assert_eq!(answered(u64::MAX), [StoreError::Service]);
}
