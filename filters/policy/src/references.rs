//! Names that one part of a policy uses and another defines. Checked on the document itself, so that a mistake elsewhere in
//! the same element does not hide a wrong name.

use portcullis_edge_core::{ConfigError, Node};
use serde_json::Value;

/// Every route's `service` that `services` does not define.
pub(crate) fn unknown_services(document: &Value) -> Vec<ConfigError> {
    let known: Vec<&str> = match document.get("services") {
        Some(Value::Object(services)) => services.keys().map(String::as_str).collect(),
        _ => return Vec::new(),
    };
    let routes = document.get("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = routes.iter().enumerate().filter_map(|(i, route)| Some((i, route.get("service")?.as_str()?)));
    names
        .filter(|(_, name)| !known.contains(name))
        .map(|(index, name)| unknown(index, name, &known))
        .collect()
}

fn unknown(index: usize, name: &str, known: &[&str]) -> ConfigError {
    let at = Node::top().key("routes").index(index).key("service");
    let expected = format!("a name from `services`: {}", known.join(", "));
    at.error(format!("`{}`", name.escape_debug()), expected).near(name, known.iter().copied())
}
