//! What is counted and logged of requests that are suspected of something, in each mode.

use crate::lab::{Gateway, StreamInfo, lines, moved};
use crate::{GuardObservation, ShadowRefusal, Step, Suspicion};
use portcullis_findings::FindingsResult;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

/// A second login from a network, and whether its body says whose it is.
fn second_login(logins: Value, body: &[u8]) -> (bool, GuardObservation) {
    let mut gateway = Gateway::new(json!({ "abuse": { "failed_logins": logins } }));
    let mut log_in = |body: &[u8]| {
        let json: (&str, &[u8]) = ("content-type", b"application/json");
        let (mut facts, step) = gateway.ask("POST", "/login", &[json]);
        let body = (body, body.len());
        let reply = gateway.pipeline.on_login_body(&mut facts, body, &gateway.host, &mut gateway.worker);
        let passes = matches!(step, Step::Forward(_)) && reply.is_none();
        if passes {
            gateway.answer(&mut facts, 401, &mut StreamInfo::by_service());
        }
        let record = gateway.done(&mut facts, &mut StreamInfo::by_service());
        (passes, record.guards.map(|seen| *seen).unwrap_or_default())
    };
    log_in(br#"{"email":"ann"}"#);
    log_in(body)
}

#[test]
fn a_login_that_is_refused_or_would_be_is_counted_by_why() {
    let account = json!({ "field": "/email" });
    for (failures, body, suspicion, shadow) in [
        (1, &br#"{"email":"ann"}"#[..], Suspicion::LoginBlocked, ShadowRefusal::LoginBlocked),
        (9, b"?", Suspicion::LoginUnreadable, ShadowRefusal::LoginUnreadable),
    ] {
        let rule = |mode: &str| json!({ "routes": ["/login"], "failures": failures, "account": account, "mode": mode });
        let (passes, seen) = second_login(rule("enforce"), body);
        assert_eq!((passes, seen.suspicions, seen.shadow), (false, vec![suspicion], vec![]));
        let (passes, seen) = second_login(rule("shadow"), body);
        assert_eq!((passes, seen.suspicions, seen.shadow), (true, vec![], vec![shadow]));
    }
}

/// What a request is counted and logged as by a gateway with these sections.
fn of_a_request(more: Value) -> (GuardObservation, Value, Option<FindingsResult>) {
    let mut gateway = Gateway::new(more);
    let (mut facts, step) = gateway.get();
    if matches!(step, Step::Forward(_)) {
        gateway.answer(&mut facts, 200, &mut StreamInfo::by_service());
    }
    let record = gateway.done(&mut facts, &mut StreamInfo::by_service());
    let event = lines(&record)[0].clone();
    (*record.guards.unwrap(), event["extra"]["reason"].clone(), record.findings)
}

#[test]
fn a_request_that_does_not_come_from_the_gateway_is_suspicious() {
    for (mode, suspicions, shadow) in [
        ("enforce", vec![Suspicion::InvalidSource], vec![]),
        ("shadow", vec![], vec![ShadowRefusal::InvalidSource]),
    ] {
        let (seen, reason, _) = of_a_request(json!({ "source": { "require": { "mode": mode } } }));
        assert_eq!((seen.suspicions, seen.shadow, reason), (suspicions, shadow, json!("missing")));
        assert!(seen.source.is_some());
    }
}

#[test]
fn a_request_that_does_not_come_from_the_instance_before_is_suspicious() {
    for (mode, suspicions, shadow) in [
        ("enforce", vec![Suspicion::FindingsUnusable], vec![]),
        ("shadow", vec![], vec![ShadowRefusal::FindingsUnusable]),
    ] {
        let findings = json!({ "secrets": [SECRET], "from": "edge", "mode": mode });
        let sections = json!({ "gateway": { "instance": "later" }, "findings": findings });
        let (seen, reason, result) = of_a_request(sections);
        assert_eq!((seen.suspicions, seen.shadow, reason), (suspicions, shadow, json!("findings_absent")));
        assert!(result.is_some());
    }
}

#[test]
fn a_check_of_the_source_is_counted_under_the_header_that_decided_it() {
    let signature = json!({ "secrets": [SECRET], "max_age": "30s" });
    let unsigned = [("x-source", &b"gateway"[..])];
    for (require, headers, expected) in [
        (json!({}), &unsigned[..], "header=\"x-source\",result=\"valid\""),
        (json!({}), &[], "header=\"x-source\",result=\"missing\""),
        (json!({ "mode": "shadow" }), &[], "header=\"x-source\",result=\"shadow_missing\""),
        (json!({ "signature": signature }), &[], "header=\"x-source\",result=\"missing\""),
        (json!({ "signature": signature }), &unsigned, "header=\"x-source-signature\",result=\"missing\""),
    ] {
        let mut gateway = Gateway::new(json!({ "source": { "require": require } }));
        let (mut facts, _) = gateway.ask("GET", "/orders", headers);
        let record = gateway.done(&mut facts, &mut StreamInfo::default());
        let counted = moved(&gateway.pipeline, &record, "gateway_security_header_validation_total");
        assert_eq!(
            counted,
            [format!("gateway_security_header_validation_total{{{expected}}} 1")],
            "{require}"
        );
    }
}
