//! Names that Kubernetes takes.

use portcullis_edge_core::{ConfigError, Node};
use std::collections::BTreeMap;

const LONGEST: usize = 63;
const EXPECTED: &str =
    "a Kubernetes name: at most 63 lower-case letters, digits and `-`, with a letter or digit at each end";

/// Whether `name` is a DNS label (RFC 1123), which every kind of object takes for a name.
pub(crate) fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= LONGEST
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|b| inner(*b))
}

/// Checks a name that was given as an argument.
///
/// # Errors
/// What is wrong with it.
pub fn check_label_name(name: &str) -> Result<String, String> {
    if is_label(name) { Ok(name.to_owned()) } else { Err(format!("expected {EXPECTED}")) }
}

/// A name of the policy as one of Kubernetes: `_` becomes `-`.
///
/// # Errors
/// Located at `at`, if no such name can be made of it.
pub fn object_name(name: &str, at: &Node) -> Result<String, ConfigError> {
    let made = name.replace('_', "-");
    if is_label(&made) {
        Ok(made)
    } else {
        Err(at.error(format!("the name `{}`", name.escape_debug()), EXPECTED))
    }
}

/// Labels from `key=value,key=value`.
///
/// # Errors
/// What is wrong with them.
pub fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(',').map(parse_label).collect()
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected `key=value,key=value`")?;
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_word = |word: &str| word.len() <= LONGEST && word.bytes().all(is_part);
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("a", key));
    if name.is_empty() || !is_word(name) || !is_word(value) || prefix.is_empty() {
        return Err(format!("`{text}` is no label of Kubernetes"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policys_name_becomes_one_of_kubernetes_or_is_refused_where_it_stands() {
        let name = |name: &str| object_name(name, &Node::top().key("services").key(name));
        assert_eq!(name("order_history").unwrap(), "order-history");
        assert!(
            name("order_").unwrap_err().to_string().starts_with("services.order_: found the name `order_`")
        );
        for refused in ["", "-a", "Orders", "a b", "a.b", "ä", &"a".repeat(64)] {
            name(refused).unwrap_err();
        }
        name(&"a".repeat(63)).unwrap();
    }

    #[test]
    fn labels_are_read_whole_or_not_at_all() {
        let labels = parse_labels("app=gateway,istio.io/rev=a.b-c").unwrap();
        assert_eq!(labels.get("istio.io/rev").map(String::as_str), Some("a.b-c"));
        for refused in ["", "app", "app=a b", "app=a,", "/x=y", "=y"] {
            parse_labels(refused).unwrap_err();
        }
    }
}
