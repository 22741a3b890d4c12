//! Mistakes in a scenario, beside those that the parser itself finds.

use deserr::ValuePointerRef;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, PathSegment};
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

/// A parser's complaint about a number where a duration is wanted, with what is missing.
#[must_use]
pub fn with_unit(error: ConfigError, document: &Value) -> ConfigError {
    const DURATIONS: [&str; 4] = ["delay", "advance", "timeout", "after"];
    let is_duration =
        matches!(error.at.0.last(), Some(PathSegment::Key(name)) if DURATIONS.contains(&name.as_str()));
    match at(document, &error.at) {
        Some(Value::Number(number)) if is_duration => {
            let expected = format!("a unit behind the number, such as `{number}s` or `{number}ms`");
            ConfigError { found: format!("`{number}` without a unit"), expected, ..error }
        }
        _ => error,
    }
}

/// What stands at a place.
fn at<'a>(document: &'a Value, node: &Node) -> Option<&'a Value> {
    node.0.iter().try_fold(document, |value, segment| match segment {
        PathSegment::Key(name) => value.get(name),
        PathSegment::Index(index) => value.get(index),
    })
}

/// What a YAML parser complains of, in words for people who write files: nothing of the parser's own settings.
#[must_use]
pub fn plainly(message: &str) -> String {
    let text = message.lines().next().unwrap_or_default();
    let known = [
        ("duplicate", "a key that stands here twice"),
        ("budget", "more nodes, aliases or nesting than any scenario needs"),
        ("recursion", "more nesting than any scenario needs"),
        ("alias", "an alias (`*name`) whose anchor (`&name`) is not there, or that stands for too much"),
        (
            "multiple documents",
            "a second document (`---`): several scenarios stand in one file as a list, `scenarios`",
        ),
    ];
    let lower = text.to_lowercase();
    let speaks_of_settings =
        ["option", "policy", "budget", "config", "dedicated", "from_multiple", "from_str", "::"];
    match known.iter().find(|(word, _)| lower.contains(word)) {
        Some((_, plain)) if speaks_of_settings.iter().any(|word| lower.contains(word)) => (*plain).to_owned(),
        _ => text.to_owned(),
    }
}
