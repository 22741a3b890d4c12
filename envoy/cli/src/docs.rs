//! `docs/policy.md`: every field of a policy, written from the schema that `check` and editors go by.

use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "\
# The policy, field by field

Written by `portcullis docs policy` from the policy's schema (`make rendered`); do not edit. A field without a default must be there.
Durations are text such as `15s`, `500ms`, `1m 30s`. `portcullis check` reports every mistake with its place.
";

/// The page.
#[must_use]
pub fn policy() -> String {
    let schema = portcullis_policy::json_schema();
    let mut page = HEAD.to_owned();
    section(&mut page, "The policy", &schema);
    let definitions = schema.get("$defs").and_then(Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        section(&mut page, name, definition);
    }
    page
}

/// A type: what it means, and its fields or its values.
fn section(page: &mut String, name: &str, of: &Value) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {}\n\n{}\n", name.trim_start_matches("Raw"), text(of));
    if let Some(properties) = of.get("properties").and_then(Value::as_object) {
        page.push_str(
            "\n| field | type | default | range | meaning | example |\n|---|---|---|---|---|---|\n",
        );
        for (field, property) in properties {
            let is_required = of.get("required").is_some_and(|list| contains(list, field));
            row(page, field, property, is_required);
        }
    }
    for (value, meaning) in values(of) {
        let _ = write!(page, "\n- `{value}`: {meaning}");
    }
    if values(of).next().is_some() {
        page.push('\n');
    }
}

fn contains(list: &Value, name: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|own| own == name))
}

fn row(page: &mut String, field: &str, of: &Value, is_required: bool) {
    let default = match of.get("default") {
        _ if is_required => "required".to_owned(),
        Some(Value::Object(fields)) if fields.is_empty() => "each field's own".to_owned(),
        Some(Value::Null) | None => "left out".to_owned(),
        Some(value) => format!("`{value}`"),
    };
    let cells = [format!("`{field}`"), kind(of), default, range(of), text(of), example(of)];
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn text(of: &Value) -> String {
    of.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The type of a field, with a link where it has a section of its own.
fn kind(of: &Value) -> String {
    if let Some(name) = of.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
    {
        let shown = name.trim_start_matches("Raw");
        return format!("[{shown}](#{})", shown.to_lowercase());
    }
    if let Some(one) = of.get("anyOf").and_then(Value::as_array).and_then(|list| list.first()) {
        return kind(one);
    }
    if of.get("enum").is_some() {
        return "one of".to_owned();
    }
    let plain = match of.get("type") {
        Some(Value::Array(types)) => types.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match plain {
        Some("array") => format!("list of {}", of.get("items").map_or(String::new(), kind)),
        Some("object") => {
            let of_each = of.get("additionalProperties").filter(|of| of.is_object());
            format!("by name: {}", of_each.map_or(String::new(), kind))
        }
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn range(of: &Value) -> String {
    if let Some(range) = of.get("x-range").and_then(Value::as_str) {
        return range.to_owned();
    }
    let listed = of.get("enum").or_else(|| of.pointer("/items/enum")).and_then(Value::as_array);
    if let Some(listed) = listed {
        return listed.iter().map(|value| format!("`{}`", bare(value))).collect::<Vec<_>>().join(", ");
    }
    let bound = |least: &str, most: &str| match (of.get(least), of.get(most)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("{least} and more")),
        (None, Some(most)) => Some(format!("{most} at most")),
        (None, None) => None,
    };
    let entries = bound("minItems", "maxItems").map(|range| format!("{range} entries"));
    let pattern = of.get("pattern").and_then(Value::as_str).map(|pattern| format!("`{pattern}`"));
    bound("minimum", "maximum").or(entries).or(pattern).unwrap_or_default()
}

fn example(of: &Value) -> String {
    let first = of.pointer("/examples/0");
    first.map(|value| format!("`{}`", bare(value))).unwrap_or_default()
}

/// A value as a policy in YAML has it.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(
        || value.to_string(),
        |text| if text.is_empty() { "''".to_owned() } else { text.to_owned() },
    )
}

/// The values of an enumeration, each with what it means.
fn values(of: &Value) -> impl Iterator<Item = (String, String)> {
    let documented = of.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    documented.filter_map(|one| Some((bare(one.get("const")?), text(one))))
}
