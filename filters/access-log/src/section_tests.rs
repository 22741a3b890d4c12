use super::*;
use portcullis_edge_core::Variable;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ROUTES: [&str; 2] = ["/orders", "/login"];
const KEY: &str = "a-key-of-these-tests-32-bytes-long";

fn env(name: &str) -> Variable {
    match name {
        "LOG_KEY" => Variable::Is(KEY.to_owned()),
        "ELSEWHERE" => Variable::Elsewhere,
        _ => Variable::Unset,
    }
}

fn compile(section: Value) -> Result<Logs, Vec<String>> {
    let raw: RawLogs = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    raw.compile(&Node::top().key("logs"), &ROUTES, &["x-token"], &env)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn without_the_section_every_line_is_written_and_users_stand_there_as_they_are() {
    let logs = Logs::default();
    assert_eq!(logs.user("ada").as_deref(), Some("ada"));
    assert_eq!(logs.user(&"a".repeat(1_000)).unwrap().len(), 128 + "…".len());
    assert_eq!(logs.user("eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl").as_deref(), Some("[token]"));
    assert!(!logs.sampling.is_on() && logs.fields.is_empty() && !logs.filter_state);
}

#[test]
fn a_hashed_user_is_the_same_text_again_and_another_with_another_key() {
    let with = |key: &str| compile(json!({ "user": "hashed", "hash_key": key })).unwrap();
    let logs = with("${ENV:LOG_KEY}");
    // HMAC-SHA-256 with the key, the first 128 bits.
    assert_eq!(logs.user("ada").as_deref(), Some("5d7b45f9752c27bcf78e8f118a17c5b5"));
    assert_ne!(logs.user("ada"), logs.user("adb"));
    assert_ne!(logs.user("ada"), with("another-key-of-these-tests-32-bytes").user("ada"));
    assert!(!format!("{logs:?}").contains(KEY));
    let nobody = compile(json!({ "user": "none" })).unwrap();
    assert_eq!(nobody.user("ada"), None);
    let elsewhere = compile(json!({ "user": "hashed", "hash_key": "${ENV:ELSEWHERE}" })).unwrap();
    assert_eq!(elsewhere.user("ada"), None, "without the key a user is not shown at all");
}

#[test]
fn a_share_is_as_large_as_it_says_and_the_same_for_the_same_request() {
    for (percent, expected) in
        [(0.0, 0..=0), (1.0, 700..=1_300), (50.0, 49_000..=51_000), (100.0, 100_000..=100_000)]
    {
        let share = Share::of_percent(percent).unwrap();
        let kept = (0..100_000_u32).filter(|n| share.has(&[&n.to_le_bytes()])).count();
        assert!(expected.contains(&kept), "{percent} %: {kept}");
        assert_eq!(share.has(&[b"one"]), share.has(&[b"one"]));
    }
    assert_eq!([-1.0, 100.1, f64::NAN].map(Share::of_percent), [None; 3]);
}

#[test]
fn fields_are_masked_by_what_they_hold() {
    let field = |from: &str, form: &str| {
        compile(json!({ "hash_key": KEY, "fields": { "x": { "from": from, "as": form } } }))
    };
    for (from, form) in [
        ("header:user-agent", "text"),
        ("header:authorization", "hash"),
        ("header:X-Token", "hash"),
        ("header:x-forwarded-for", "address"),
        ("header:x-forwarded-for", "hash"),
        ("claim:/org/id", "text"),
        ("upstream_host", "text"),
    ] {
        assert!(field(from, form).is_ok(), "{from} as {form}");
    }
    for (from, form) in [
        ("header:Authorization", "text"),
        ("header:cookie", "address"),
        ("header:x-token", "text"),
        ("header:X-Forwarded-For", "text"),
        ("flags", "hash"),
    ] {
        let errors = field(from, form).unwrap_err();
        assert_eq!(errors.len(), 1, "{from} as {form}: {errors:?}");
        assert!(errors[0].starts_with("logs.fields.x."), "{errors:?}");
    }
}

#[test]
fn a_line_may_have_sixteen_more_fields() {
    let with = |count: usize| {
        let fields = (0..count).map(|n| (format!("f{n}"), json!({ "from": "flags" })));
        compile(json!({ "fields": fields.collect::<serde_json::Map<_, _>>() }))
    };
    assert_eq!(with(16).unwrap().fields.len(), 16);
    assert_eq!(with(17).unwrap_err(), ["logs.fields: found 17 fields, expected 16 at most"]);
}

#[test]
fn a_route_of_its_own_share_changes_no_other() {
    let sampling = |section: Value| compile(json!({ "sampling": section })).unwrap().sampling;
    let login = sampling(json!({ "routes": [{ "path": "/login", "percent": 25 }] }));
    assert_eq!(login.routes, [None, Share::of_percent(25.0)]);
    assert!(login.is_on());
    assert!(!sampling(json!({ "routes": [{ "path": "/login", "percent": 100 }] })).is_on());
    assert!(sampling(json!({ "good": 50 })).is_on());
}

#[test]
fn mistakes_are_told_all_at_once() {
    let errors = compile(json!({
        "user": "hashed",
        "fields": {
            "status": { "from": "header:a" },
            "Big": { "from": "header:a", "max_bytes": 513 },
        },
        "sampling": {
            "good": 101,
            "routes": [{ "path": "/order", "percent": -1 }],
            "security": { "jwt_validations": 5, "access_control": 200 },
        },
    }))
    .unwrap_err();
    let places: Vec<_> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
    assert_eq!(
        places,
        [
            "logs.hash_key",
            "logs.fields.Big",
            "logs.fields.Big.max_bytes",
            "logs.fields.status",
            "logs.sampling.good",
            "logs.sampling.routes[0].percent",
            "logs.sampling.routes[0].path",
            "logs.sampling.security.access_control",
            "logs.sampling.security.jwt_validations",
        ]
    );
    let short = compile(json!({ "hash_key": "short" })).unwrap_err();
    assert_eq!(short, ["logs.hash_key: found 5 bytes (the value is not shown), expected 32 bytes or more"]);
    assert!(compile(json!({ "hash_key": "k".repeat(32) })).is_ok());
    let unset = compile(json!({ "hash_key": "${ENV:NOT_SET}" })).unwrap_err();
    assert!(unset[0].starts_with("logs.hash_key: found `${ENV:NOT_SET}`, which is not set"), "{unset:?}");
}
