//! The policy's hash: what gauges and log lines name a policy by.

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

/// What the hash leaves out: `render` writes it, so that a file and what the filter is given have one hash.
const NOT_THE_USERS: &str = "proxy";

/// Bytes of the digest that are shown.
const SHOWN: usize = 8;

/// Integers up to here survive the hosts that hand numbers over as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// 16 hexadecimal digits. The order of members, space and the spelling of numbers do not matter: hosts change them.
pub(crate) fn of(policy: &Value) -> String {
    let mut text = String::new();
    match policy {
        Value::Object(members) => write_members(members, Some(NOT_THE_USERS), &mut text),
        other => write(other, &mut text),
    }
    Sha256::digest(text).iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => write_members(members, None, text),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&plain(number)),
        other => text.push_str(&other.to_string()),
    }
}

fn write_members(members: &Map<String, Value>, without: Option<&str>, text: &mut String) {
    let mut sorted: Vec<_> = members.iter().filter(|(name, _)| Some(name.as_str()) != without).collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_str());
    text.push('{');
    for (name, value) in sorted {
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write(value, text);
        text.push(',');
    }
    text.push('}');
}

fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < EXACT => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_policy_has_one_hash_however_it_is_written_and_another_when_anything_changes() {
        let policy = json!({ "version": 1, "a": [{ "x": 1, "y": "z" }], "proxy": { "appends_peer": true } });
        let same = json!({ "a": [{ "y": "z", "x": 1.0 }], "version": 1 });
        assert_eq!(of(&policy), of(&same));
        assert!(of(&policy).len() == 16 && of(&policy).bytes().all(|b| b.is_ascii_hexdigit()));
        for other in [
            json!({ "version": 1, "a": [{ "x": 2, "y": "z" }] }),
            json!({ "version": 1, "a": [{ "x": "1", "y": "z" }] }),
            json!({ "version": 1, "a": [{ "x": 1, "y": "z", "proxy": 1 }] }),
            json!({ "version": 1, "a": { "x": 1, "y": "z" } }),
            json!({ "version": 1, "a": [{ "x": 1, "yz": "" }] }),
        ] {
            assert_ne!(of(&policy), of(&other), "{other}");
        }
    }
    #[test]
    fn numbers_that_differ_have_other_hashes_however_large_or_small_they_are() {
        let numbers = [
            json!(0),
            json!(1),
            json!(1.25),
            json!(1.5),
            json!(2),
            json!(-2),
            json!(9_007_199_254_740_991_u64),
            json!(9_007_199_254_740_992_u64),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(u64::MAX - 1),
        ];
        for (index, number) in numbers.iter().enumerate() {
            let others = numbers.iter().skip(index + 1);
            others.for_each(|other| assert_ne!(of(number), of(other), "{number} {other}"));
        }
        // A host that knows only doubles writes whole ones with a fraction.
        assert_eq!(of(&json!(9_007_199_254_740_991_u64)), of(&json!(9_007_199_254_740_991.0)));
    }
}
