//! What plugins must have logged.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::ConfigErrors;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{Level, Pattern};
use crate::problem::mistake;

/// The lines that plugins must have logged.
#[derive(Clone, Debug, serde::Serialize)]
pub enum Logs {
    /// Each fits some line, in any order.
    Some(Vec<LogPattern>),
    /// They fit lines in this order; others may stand between.
    InOrder(Vec<LogPattern>),
    /// They are all lines, in order.
    Exactly(Vec<LogPattern>),
}

impl Default for Logs {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

#[derive(Deserr)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
struct Ordered {
    #[deserr(default)]
    in_order: Option<Vec<LogPattern>>,
    #[deserr(default)]
    exactly: Option<Vec<LogPattern>>,
}

impl Deserr<ConfigErrors> for Logs {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let expected = "a list of lines, `{in_order: [...]}` or `{exactly: [...]}`";
        match value {
            value @ deserr::Value::Sequence(_) => {
                Vec::deserialize_from_value(value, location).map(Self::Some)
            }
            value @ deserr::Value::Map(_) => match Ordered::deserialize_from_value(value, location)? {
                Ordered { in_order: Some(lines), exactly: None } => Ok(Self::InOrder(lines)),
                Ordered { in_order: None, exactly: Some(lines) } => Ok(Self::Exactly(lines)),
                _ => Err(crate::problem::ungiven(location, "both or none of them", expected)),
            },
            other => Err(mistake(location, &Value::from(other), expected)),
        }
    }
}

impl JsonSchema for Logs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Logs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lines = generator.subschema_for::<Vec<LogPattern>>();
        json_schema!({
            "description": "Lines in any order; `{in_order: [...]}`: others may stand between; `{exactly: [...]}`: all lines.",
            "anyOf": [
                lines,
                { "type": "object", "additionalProperties": false, "required": ["in_order"], "properties": { "in_order": lines } },
                { "type": "object", "additionalProperties": false, "required": ["exactly"], "properties": { "exactly": lines } }
            ]
        })
    }
}

/// A line: its text alone, or with its level, and how often.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogPattern {
    /// The text.
    pub text: Pattern,
    /// The level; `None`: any.
    pub level: Option<Level>,
    /// So many lines fit; `None`: at least one.
    pub times: Option<u32>,
}

/// A line in full.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
struct LogFields {
    /// The text.
    text: Pattern,
    /// The level (default: any).
    #[deserr(default)]
    level: Option<Level>,
    /// So many lines fit, no more and no fewer; in a list without order.
    #[deserr(default)]
    times: Option<u32>,
}

impl From<Pattern> for LogPattern {
    fn from(text: Pattern) -> Self {
        Self { text, level: None, times: None }
    }
}

impl Deserr<ConfigErrors> for LogPattern {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let in_full = value.as_object().is_some_and(|fields| !fields.contains_key("escaped"));
        if !in_full {
            return Pattern::deserialize_from_value(value.into_value(), location).map(Self::from);
        }
        let LogFields { text, level, times } =
            LogFields::deserialize_from_value(value.into_value(), location)?;
        Ok(Self { text, level, times })
    }
}

impl JsonSchema for LogPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LogLine".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (text, fields) = (generator.subschema_for::<Pattern>(), generator.subschema_for::<LogFields>());
        json_schema!({ "anyOf": [text, fields] })
    }
}
