use super::*;
use crate::Phase;
use portcullis_edge_core::ConfigErrors;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compile(rules: Value) -> Result<Limits, Vec<String>> {
    let section = json!({ "service": { "cluster": "counter" }, "rules": rules });
    let raw: RawLimits = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    raw.compile(&Node::top().key("limits"), &["/a"], &["counter"])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn many(count: usize, rule: Value) -> Value {
    (0..count).map(|n| (format!("r{n}"), rule.clone())).collect::<Map<_, _>>().into()
}

#[test]
fn the_fleet_counts_in_whole_seconds_minutes_hours_or_days() {
    let with = |window: &str| {
        compile(json!({ "shared": { "key": [], "limit": 1, "window": window, "scope": "fleet" } }))
    };
    for window in ["1s", "1m", "1h", "1d"] {
        assert!(with(window).is_ok(), "{window}");
    }
    for window in ["90s", "1500ms", "2h", "1m 1ms"] {
        let errors = with(window).unwrap_err();
        assert!(errors[0].starts_with("limits.rules.shared.window: found"), "{window}: {errors:?}");
    }
}

#[test]
fn limits_whose_keys_the_policy_knows_may_be_any_number() {
    let by = |key: &str| compile(many(40, json!({ "key": [key], "limit": 1, "window": "1s" })));
    for key in ["route", "service"] {
        assert!(by(key).is_ok(), "{key}");
    }
    for key in ["ip", "user", "role", "claim:tenant", "header:x-api-key"] {
        assert!(by(key).is_err(), "{key}");
    }
}

#[test]
fn limits_that_look_at_the_token_are_asked_after_it() {
    let asked = |more: Value| {
        let mut rule = json!({ "key": ["ip"], "limit": 9, "window": "1s" });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let limits = compile(json!({ "l": rule })).unwrap();
        (limits.has(Phase::BeforeToken), limits.has(Phase::AfterRules))
    };
    assert_eq!(asked(json!({})), (true, false));
    assert_eq!(asked(json!({ "exempt": { "networks": ["10.0.0.0/8"] } })), (true, false));
    assert_eq!(asked(json!({ "mode": "off" })), (false, false));
    assert_eq!(asked(json!({ "key": ["user"] })), (false, true));
    assert_eq!(asked(json!({ "tiers": [{ "roles": ["vip"], "limit": 99 }] })), (false, true));
    assert_eq!(asked(json!({ "exempt": { "roles": ["admin"] } })), (false, true));
}

#[test]
fn limits_do_not_share_their_places_in_the_table() {
    let limits = compile(many(20, json!({ "key": ["ip"], "limit": 1, "window": "1s" }))).unwrap();
    let tags: BTreeSet<u16> = limits.rules.iter().map(|rule| rule.identity.tag.0).collect();
    assert!(tags.len() == 20 && !tags.contains(&0), "{tags:?}");
}
