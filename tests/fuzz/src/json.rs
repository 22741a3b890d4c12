//! JSON, read in two ways that must agree.

use portcullis_jwt::Json;
use serde_json::Value;

/// What the strict reader takes, the usual one takes for the same document; written anew, it is still that document.
pub fn readers_agree(bytes: &[u8]) {
    let Ok(strict) = Json::parse(bytes) else { return };
    let tree = strict.root().to_serde();
    let usual: Value = serde_json::from_slice(bytes).expect("what is strict is usual JSON");
    assert_eq!(tree, usual, "two readers, two documents");
    if has_float(&tree) {
        // Reading a fraction rounds by more than half a unit where it is faster so.
        return;
    }
    let written = tree.to_string();
    let again = Json::parse(written.as_bytes()).expect("what was written can be read");
    assert_eq!(again.root().to_serde(), tree, "printed and parsed, another document");
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}
