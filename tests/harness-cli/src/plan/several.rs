//! Several scenarios, and tables of cases, in one file. They are taken apart before anything else is read, so that every
//! scenario is whole: the list `scenarios` has what differs from the rest of the file, and each row of `cases` stands where
//! `${case.NAME}` names its columns.

use portcullis_edge_core::{ConfigError, Node, PathSegment};
use serde_json::{Map, Value};

use crate::problem::{quoted, shown};

/// A scenario of a file.
#[derive(Debug, PartialEq)]
pub struct One {
    /// As if it stood in a file of its own.
    pub document: Value,
    /// Its place in `scenarios`, and what it says itself.
    own: Option<(usize, Vec<String>)>,
}

impl One {
    /// The place in the file that a place in this scenario means.
    #[must_use]
    pub fn place(&self, node: &Node) -> Node {
        match (&self.own, node.0.first()) {
            (Some((index, fields)), Some(PathSegment::Key(first))) if fields.contains(first) => {
                Node([&Node::top().key("scenarios").index(*index).0[..], &node.0[..]].concat())
            }
            _ => node.clone(),
        }
    }
}

/// The scenarios of a file, in order.
///
/// # Errors
/// What is wrong with the lists themselves.
pub fn apart(document: &Value) -> Result<Vec<One>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut all = Vec::new();
    for one in scenarios(document, &mut errors) {
        cases(one, &mut all, &mut errors);
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

fn scenarios(document: &Value, errors: &mut Vec<ConfigError>) -> Vec<One> {
    let Some(list) = document.get("scenarios") else {
        return vec![One { document: document.clone(), own: None }];
    };
    let at = Node::top().key("scenarios");
    let Some(items) = list.as_array().filter(|items| !items.is_empty()) else {
        errors.push(at.error(shown(list), "a list of scenarios"));
        return Vec::new();
    };
    let one = |(index, item): (usize, &Value)| match item.as_object() {
        Some(own) => {
            Some(One { document: joined(document, own), own: Some((index, own.keys().cloned().collect())) })
        }
        None => {
            errors.push(
                at.index(index).error(shown(item), "a scenario: what differs from the rest of the file"),
            );
            None
        }
    };
    items.iter().enumerate().filter_map(one).collect()
}

/// The rest of the file, with what a scenario says itself in its place; names stand one behind the other.
fn joined(document: &Value, own: &Map<String, Value>) -> Value {
    let mut joined = document.as_object().cloned().unwrap_or_default();
    joined.shift_remove("scenarios");
    let names = [document.get("name"), own.get("name")].map(|name| name.and_then(Value::as_str));
    joined.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    if let [Some(of_file), Some(of_scenario)] = names {
        joined.insert("name".into(), format!("{of_file}: {of_scenario}").into());
    }
    Value::Object(joined)
}

fn cases(one: One, all: &mut Vec<One>, errors: &mut Vec<ConfigError>) {
    let at = one.place(&Node::top().key("cases"));
    let Some(table) = one.document.get("cases") else {
        all.push(one);
        return;
    };
    let Some(rows) = table.as_array().filter(|rows| !rows.is_empty()) else {
        errors.push(at.error(shown(table), "a list of cases"));
        return;
    };
    for (index, row) in rows.iter().enumerate() {
        match row.as_object() {
            Some(row) => all.push(of_case(&one, row, &at.index(index), errors)),
            None => errors.push(at.index(index).error(shown(row), "a case: values by name")),
        }
    }
}

fn of_case(one: &One, row: &Map<String, Value>, at: &Node, errors: &mut Vec<ConfigError>) -> One {
    let mut document = one.document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.shift_remove("cases");
    }
    let mut unused: Vec<&String> = row.keys().filter(|name| *name != "name").collect();
    fill(&mut document, row, &mut unused);
    for name in unused {
        errors
            .push(at.key(name).error(quoted(name), format!("`${{case.{name}}}` somewhere in the scenario")));
    }
    let name = document.get("name").and_then(Value::as_str).unwrap_or_default();
    let name = if row.contains_key("name") && name.contains(&title(row)) {
        name.to_owned()
    } else {
        format!("{name} [{}]", title(row))
    };
    if document.get("name").is_some() {
        document["name"] = name.into();
    }
    One { document, own: one.own.clone() }
}

/// How a case is called: its `name`, or its values.
fn title(row: &Map<String, Value>) -> String {
    if let Some(Value::String(name)) = row.get("name") {
        return name.clone();
    }
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: Vec<_> = row.iter().map(|(name, of_it)| format!("{name}: {}", value(of_it))).collect();
    let all = values.join(", ");
    let short: String = all.chars().take(80).collect();
    if short.len() < all.len() { short + "..." } else { short }
}

/// Puts the row's values where its columns are named: in the place of a text that is nothing else, whatever value it is.
fn fill(value: &mut Value, row: &Map<String, Value>, unused: &mut Vec<&String>) {
    match value {
        Value::String(text) => {
            unused.retain(|name| !text.contains(&format!("${{case.{name}}}")));
            if let Some(filled) = filled(text, row) {
                *value = filled;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, row, unused)),
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().filter(|name| name.contains("${case.")).cloned().collect();
            for name in names {
                unused.retain(|column| !name.contains(&format!("${{case.{column}}}")));
                let named = filled(&name, row)
                    .map(|filled| filled.as_str().map_or_else(|| filled.to_string(), str::to_owned));
                if let (Some(new), Some(value)) = (named, fields.get(&name).cloned()) {
                    fields.shift_remove(&name);
                    fields.insert(new, value);
                }
            }
            fields.values_mut().for_each(|field| fill(field, row, unused));
        }
        _ => {}
    }
}

fn filled(text: &str, row: &Map<String, Value>) -> Option<Value> {
    let whole = text.strip_prefix("${case.").and_then(|rest| rest.strip_suffix('}'));
    if let Some(value) = whole.and_then(|name| row.get(name)) {
        return Some(value.clone());
    }
    let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let replace = |text: String, (name, value): (&String, &Value)| {
        text.replace(&format!("${{case.{name}}}"), &of(value))
    };
    text.contains("${case.").then(|| Value::String(row.iter().fold(text.to_owned(), replace)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn documents(document: &Value) -> Vec<Value> {
        apart(document).expect("it is sound").into_iter().map(|one| one.document).collect()
    }

    #[test]
    fn each_scenario_has_what_the_file_has_and_its_own_in_its_place() {
        let file = json!({"name": "all", "plugins": [1], "scenarios": [{"name": "a", "steps": [2]}, {"name": "b", "plugins": [3]}]});
        assert_eq!(
            documents(&file),
            [
                json!({"name": "all: a", "plugins": [1], "steps": [2]}),
                json!({"name": "all: b", "plugins": [3]}),
            ]
        );
    }

    #[test]
    fn a_case_stands_where_it_is_named_with_its_kind() {
        let file = json!({
            "name": "n", "cases": [{"path": "/a", "status": 200}, {"name": "two", "path": "/b", "status": "~4"}],
            "steps": [{"request": "GET ${case.path}?x", "expect": {"status": "${case.status}"}}],
        });
        assert_eq!(
            documents(&file),
            [
                json!({"name": "n [path: /a, status: 200]", "steps": [{"request": "GET /a?x", "expect": {"status": 200}}]}),
                json!({"name": "n [two]", "steps": [{"request": "GET /b?x", "expect": {"status": "~4"}}]}),
            ]
        );
    }

    #[test]
    fn a_column_that_nothing_names_is_told_at_its_place() {
        let file = json!({"name": "n", "scenarios": [{"cases": [{"paht": 1}], "steps": ["${case.path}"]}]});
        let errors = apart(&file).expect_err("nothing names it");
        assert_eq!(errors[0].at.to_string(), "scenarios[0].cases[0].paht");
    }

    #[test]
    fn a_mistake_stands_where_the_file_has_it() {
        let file = json!({"name": "n", "plugins": [], "scenarios": [{"steps": []}]});
        let one = apart(&file).expect("it is sound").remove(0);
        assert_eq!(one.place(&Node::top().key("steps").index(0)).to_string(), "scenarios[0].steps[0]");
        assert_eq!(one.place(&Node::top().key("plugins").index(0)).to_string(), "plugins[0]");
    }
}
