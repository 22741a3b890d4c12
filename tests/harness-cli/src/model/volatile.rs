//! What differs from run to run, and is not compared between the sides.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::ConfigErrors;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::problem::mistake;

/// What is not compared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Volatile {
    /// The values of the header, or the metric, of this name.
    Name(String),
    /// What this expression matches in bodies.
    Body(String),
    /// What this expression matches in lines of logs.
    Log(String),
}

const EXPECTED: &str = "a header's or a metric's name, `{body: REGEX}` or `{log: REGEX}`";

impl Deserr<ConfigErrors> for Volatile {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let of_object = |name: &str| {
            let object = value.as_object().filter(|object| object.len() == 1)?;
            object.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        let read = match (&value, of_object("body"), of_object("log")) {
            (Value::String(name), ..) => Self::Name(name.clone()),
            (_, Some(body), _) => Self::Body(body),
            (_, _, Some(log)) => Self::Log(log),
            _ => return Err(mistake(location, &value, EXPECTED)),
        };
        if let Self::Body(expression) | Self::Log(expression) = &read
            && let Err(error) = regex::Regex::new(expression)
        {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(mistake(
                location,
                &expression.as_str().into(),
                &format!("a regular expression ({why})"),
            ));
        }
        Ok(read)
    }
}

impl JsonSchema for Volatile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Volatile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A header's or a metric's name; or what an expression matches in bodies or in lines of logs.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                    "properties": { "body": { "type": "string" }, "log": { "type": "string" } }
                }
            ]
        })
    }
}
