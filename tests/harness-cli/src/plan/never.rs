//! Expectations that can never come true: those that look right, and would only fail when the scenario runs.

use portcullis_edge_core::{ConfigError, Node};
use serde_json::Value;

use crate::model::Pattern;
use crate::problem::shown;

/// Pseudo-headers, and the fields that stand for them.
const PSEUDO: [(&str, &str); 4] =
    [(":status", "status"), (":method", "method"), (":path", "path"), (":authority", "authority")];

/// What is wrong with an expectation.
pub fn look(expect: &Value, at: &Node, errors: &mut Vec<ConfigError>) {
    headers(expect, at, &["status"], errors);
    status(&expect["status"], &at.key("status"), errors);
    for (name, calls) in expect["upstreams"].as_object().into_iter().flatten() {
        let at = at.key("upstreams").key(name);
        let fields = ["method", "path", "authority"];
        match calls {
            Value::Array(calls) => {
                calls
                    .iter()
                    .enumerate()
                    .for_each(|(place, call)| headers(call, &at.index(place), &fields, errors));
            }
            call => headers(call, &at, &fields, errors),
        }
    }
}

fn headers(message: &Value, at: &Node, fields: &[&str], errors: &mut Vec<ConfigError>) {
    for section in ["headers", "trailers"] {
        for (name, _) in
            message[section].as_object().into_iter().flatten().filter(|(name, _)| name.starts_with(':'))
        {
            let known = PSEUDO.iter().find(|(pseudo, field)| pseudo == name && fields.contains(field));
            let expected = known.map_or_else(
                || "the name of a header".to_owned(),
                |(_, field)| format!("it as `{field}`, beside `{section}`"),
            );
            let found = format!("the name {}, which no header has", shown(&name.as_str().into()));
            errors.push(at.key(section).key(name).error(found, expected));
        }
    }
}

fn status(status: &Value, at: &Node, errors: &mut Vec<ConfigError>) {
    let text = match status {
        Value::Number(number) => number.to_string(),
        Value::String(text) if matches!(Pattern::parse(text), Ok(Pattern::Is(_))) && !text.contains("${") => {
            text.clone()
        }
        _ => return,
    };
    if !text.parse::<u16>().is_ok_and(|status| (100..1000).contains(&status)) {
        let expected = "a status such as `200`, `~^2`, `any` or `absent`";
        errors.push(at.error(shown(&text.as_str().into()), expected));
    }
}
