//! Mistakes in a scenario, beside those that the parser itself finds.

use deserr::ValuePointerRef;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use serde_json::Value;

/// The place that a parser's pointer means.
#[must_use]
pub fn node(pointer: ValuePointerRef<'_>) -> Node {
    match pointer {
        ValuePointerRef::Origin => Node::top(),
        ValuePointerRef::Key { key, prev } => node(*prev).key(key),
        ValuePointerRef::Index { index, prev } => node(*prev).index(index),
    }
}

/// The mistake that `value` stands at `at`.
#[must_use]
pub fn mistake(at: ValuePointerRef<'_>, value: &Value, expected: &str) -> ConfigErrors {
    ungiven(at, &shown(value), expected)
}

/// The mistake that `found` stands at `at`.
#[must_use]
pub fn ungiven(at: ValuePointerRef<'_>, found: &str, expected: &str) -> ConfigErrors {
    ConfigErrors(vec![node(at).error(found, expected)])
}

/// A value as a message shows it: on one line, cut.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

/// A text as a message shows it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", short.escape_debug())
}

/// A name that nothing has, with the one that was meant.
#[must_use]
pub fn unknown<'a>(at: &Node, name: &str, what: &str, known: impl Iterator<Item = &'a str>) -> ConfigError {
    let known: Vec<&str> = known.collect();
    let expected = match known.as_slice() {
        [] => format!("a name from `{what}`, which has none"),
        _ => format!("a name from `{what}`: {}", known.join(", ")),
    };
    at.error(quoted(name), expected).near(name, known)
}
