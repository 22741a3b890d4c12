//! Guards that go by who asks, and by what others know: tokens, the fleet's service, other workers.

use crate::lab::{Gateway, StreamInfo, forwarded, refused};
use crate::{Event, Guards, Step};
use core::time::Duration;
use portcullis_breaker::State;
use portcullis_edge_core::{Answered, Call, CallError, Mode};
use portcullis_limits::metrics::Activity;
use portcullis_metrics::{Change, Format, exposition};
use portcullis_token_lab::{SECRET, mint};
use serde_json::{Value, json};
use std::collections::HashMap;

fn gateway(more: Value) -> Gateway {
    let mut sections = json!({
        "jwt": { "providers": { "main": { "secrets": [{ "alg": "HS256", "value": SECRET }],
            "user_claim": "sub", "role_claim": "role" } } },
        "routes": [{ "path": "/orders", "methods": ["GET"], "service": "order", "auth": {} }] });
    sections.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Gateway::new(sections)
}

fn token(claims: Value) -> String {
    let mut all = json!({ "exp": 60 });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    format!("Bearer {}", mint("HS256", &all))
}

#[test]
fn limits_count_each_user_each_role_and_each_claim_for_itself() {
    let ann = token(json!({ "sub": "ann", "role": "customer", "org": "sales" }));
    let bob = token(json!({ "sub": "bob", "role": "admin", "org": ["research", 7] }));
    let nobody = token(json!({}));
    for key in ["user", "role", "claim:org"] {
        let rule = json!({ "key": [key], "limit": 1, "window": "1m" });
        let mut gateway = gateway(json!({ "limits": { "rules": { "by": rule } } }));
        let mut passes = |token: &str| {
            let (_, step) = gateway.ask("GET", "/orders", &[("authorization", token.as_bytes())]);
            matches!(step, Step::Forward(_))
        };
        assert_eq!([&ann, &bob, &ann, &bob].map(|token| passes(token)), [true, true, false, false], "{key}");
        let of_nobody = [passes(&nobody), passes(&nobody)];
        assert_eq!(of_nobody, [true, true], "{key}: who has none is not counted");
    }
}

#[test]
fn a_role_that_is_exempt_from_a_limit_is_not_counted() {
    let rule = json!({ "key": ["user"], "limit": 1, "window": "1m", "exempt": { "roles": ["admin"] } });
    let mut gateway = gateway(json!({ "limits": { "rules": { "per_user": rule } } }));
    for (role, passes) in [("admin", [true, true]), ("customer", [true, false])] {
        let bearer = token(json!({ "sub": role, "role": role }));
        let headers = [("authorization", bearer.as_bytes())];
        let mut asked = || matches!(gateway.ask("GET", "/orders", &headers).1, Step::Forward(_));
        assert_eq!([asked(), asked()], passes, "{role}");
    }
}

#[test]
fn what_a_limit_has_left_is_told_without_charging_it() {
    let rule = json!({ "key": ["user"], "limit": 1, "window": "1m" });
    let mut gateway = gateway(json!({ "limits": { "rules": { "per_user": rule } } }));
    let bearer = token(json!({ "sub": "ann" }));
    let (facts, _) = gateway.ask("GET", "/orders", &[("authorization", bearer.as_bytes())]);
    for _ in 0..2 {
        let left = gateway.pipeline.limits_left(&facts, &gateway.host, &mut gateway.worker);
        let names: Vec<_> = left.iter().map(|(name, mode, _)| (*name, *mode)).collect();
        assert_eq!(names, [("per_user", Mode::Enforce)]);
    }
}

#[test]
fn tokens_are_told_apart_wherever_they_come_from() {
    let client_ip = json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] });
    let mut gateway = gateway(json!({ "client_ip": client_ip, "abuse": { "tokens": { "networks": 1 } } }));
    let [ann, bob] = ["ann", "bob"].map(|user| token(json!({ "sub": user, "role": "customer" })));
    let mut from = |address: &str, token: &str| {
        let headers = [("authorization", token.as_bytes()), ("x-forwarded-for", address.as_bytes())];
        let (mut facts, step) = gateway.ask("GET", "/orders", &headers);
        let guards = gateway.done(&mut facts, &mut StreamInfo::default()).guards;
        (matches!(step, Step::Forward(_)), guards.map(|seen| seen.activities))
    };
    assert_eq!(from("192.0.2.1", &ann), (true, None));
    assert_eq!(from("192.0.2.2", &bob), (true, None));
    assert_eq!(from("192.0.2.2", &ann), (false, Some(vec![Activity::TokenAbuse])));
}

/// A limit that a service counts for the whole fleet.
fn fleet(on_failure: &str) -> Gateway {
    let rule =
        json!({ "key": ["ip"], "limit": 10, "window": "1m", "scope": "fleet", "on_failure": on_failure });
    Gateway::new(json!({
        "clusters": { "counter": { "address": "127.0.0.1:3" } },
        "limits": { "service": { "cluster": "counter" }, "rules": { "shared": rule } } }))
}

/// What a request becomes when the fleet's service answers its question like this.
fn counted(on_failure: &str, answer: Result<Answered<'_>, CallError>) -> Step {
    let mut gateway = fleet(on_failure);
    let (mut facts, step) = gateway.get();
    let Step::Call(Call::Grpc(call)) = step else { panic!("not asked: {step:?}") };
    assert_eq!(call.cluster, "counter");
    gateway.pipeline.resume(&mut facts, Event::Answer(answer), &gateway.host, &mut gateway.worker)
}

#[test]
fn a_limit_of_the_whole_fleet_is_its_services_to_judge() {
    // `RateLimitResponse` with its code, and one status with the same: 1 is OK, 2 is OVER_LIMIT.
    let says = |code: u8| [8, code, 18, 2, 8, code];
    forwarded(counted("deny", Ok(Answered::Grpc(0, &says(1)))));
    assert_eq!(refused(counted("allow", Ok(Answered::Grpc(0, &says(2))))).status, 429);
    forwarded(counted("allow", Err(CallError::Timeout)));
    assert_eq!(refused(counted("deny", Err(CallError::Timeout))).status, 503);
}

/// What the gauges of breakers show.
fn shown(gateway: &Gateway) -> Vec<String> {
    let (pipeline, guards) = (&gateway.pipeline, &gateway.worker.guards);
    let states = guards.breaker_states(pipeline.policy(), &gateway.host);
    let mut metrics = pipeline.metrics().ok().unwrap();
    metrics.breaker_states(&states, Guards::auth_state(pipeline.policy(), &states));
    let mut levels = HashMap::new();
    metrics.flush(|stat, change| {
        if let Change::Set(level) = change {
            levels.insert(stat.0, level.cast_unsigned());
        }
    });
    let level = |stat: portcullis_metrics::StatId| levels.get(&stat.0).copied().unwrap_or(9);
    let text = exposition(metrics.registry(), Format::Text, level);
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains("circuit_breaker_state"));
    lines.map(|line| line.replace('"', "")).collect()
}

#[test]
fn what_breakers_show_is_told_of_each_service_and_of_the_auth_service() {
    let services = json!({ "order": { "address": "127.0.0.1:1" }, "plain": { "address": "127.0.0.1:2" },
        "auth": { "address": "127.0.0.1:3" } });
    let ask = json!({ "url": "http://auth/introspect", "cluster": "auth", "retries": 0 });
    let breaker = json!({ "consecutive_failures": 1, "jitter_percent": 0 });
    let mut gateway = Gateway::new(json!({
        "services": services,
        "jwt": { "providers": { "as": { "introspection": ask } } },
        "routes": [
            { "path": "/orders", "methods": ["GET"], "service": "order", "auth": { "token": "none" } },
            { "path": "/mine", "methods": ["GET"], "service": "plain", "auth": {} }],
        "breakers": { "order": breaker, "auth": breaker } }));
    let levels = |order: u8, auth: u8| {
        [
            format!("gateway_circuit_breaker_state{{service=auth}} {auth}"),
            format!("gateway_circuit_breaker_state{{service=order}} {order}"),
            format!("auth_circuit_breaker_state {auth}"),
        ]
    };
    assert_eq!(shown(&gateway), levels(0, 0));
    gateway.call(500, true, StreamInfo::by_service());
    assert_eq!(shown(&gateway), levels(1, 0));
    let (mut facts, _) = gateway.ask("GET", "/mine", &[("authorization", b"Bearer opaque")]);
    let lost = Event::Answer(Err(CallError::Timeout));
    gateway.pipeline.resume(&mut facts, lost, &gateway.host, &mut gateway.worker);
    assert_eq!(shown(&gateway), levels(1, 1));
    assert_eq!(Guards::auth_state(gateway.pipeline.policy(), &[]), None::<State>);
    let without = Gateway::new(json!({}));
    assert_eq!(without.worker.guards.breaker_states(without.pipeline.policy(), &without.host), []);
}

#[test]
fn places_of_a_worker_that_ticks_are_held_however_long_its_requests_take() {
    for ticks in [true, false] {
        let mut gateway =
            Gateway::new(json!({ "concurrency": { "rules": { "c": { "key": [], "limit": 1 } } } }));
        let mut other = gateway.pipeline.worker(2);
        forwarded(gateway.get().1);
        for _ in 0..4 {
            gateway.host.advance(Duration::from_secs(20));
            other.guards.tick(&gateway.host);
            if ticks {
                gateway.worker.guards.tick(&gateway.host);
            }
        }
        gateway.worker = other;
        assert_eq!(matches!(gateway.get().1, Step::Reply(_)), ticks, "else it counts as dead");
    }
}

#[test]
fn a_token_in_too_many_places_is_noticed_in_shadow_mode_too() {
    let client_ip = json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] });
    let rule = json!({ "networks": 1, "mode": "shadow" });
    let mut gateway = gateway(json!({ "client_ip": client_ip, "abuse": { "tokens": rule } }));
    let ann = token(json!({ "sub": "ann" }));
    for (address, expected) in [("192.0.2.1", None), ("192.0.2.2", Some(Mode::Shadow))] {
        let headers = [("authorization", ann.as_bytes()), ("x-forwarded-for", address.as_bytes())];
        let (facts, step) = gateway.ask("GET", "/orders", &headers);
        forwarded(step);
        assert_eq!(facts.guard.token_abused, expected);
    }
}
