//! What must have come of a step.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::{ConfigErrors, Named};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{Cost, Heard, JsonPattern, Logs, Pattern, SharedFound, Values};
use crate::problem::mistake;

/// What must have come of a step.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Expect {
    /// The status that the client got; `absent` if there was no answer.
    #[deserr(default)]
    pub status: Option<Pattern>,
    /// Headers that the client got.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Named<Values>,
    /// The body that the client got.
    #[deserr(default)]
    pub body: Option<Pattern>,
    /// Part of the JSON value that the client's body is.
    #[deserr(default)]
    pub json: Option<JsonPattern>,
    /// Trailers that the client got.
    #[deserr(default)]
    #[schemars(default)]
    pub trailers: Named<Values>,
    /// What upstreams saw, requests and callouts alike: `none`, or by name.
    #[deserr(default)]
    pub upstreams: Option<Upstreams>,
    /// By how much counters and gauges moved. `name{label=value}` is the sum of all series with these labels.
    #[deserr(default)]
    #[schemars(default)]
    pub metrics: Named<Pattern>,
    /// Lines that the plugins logged; with `!~`, no line does.
    #[deserr(default)]
    #[schemars(default)]
    pub logs: Logs,
    /// The lines of the access log: all of them, in order. Text, or part of the JSON value that a line is.
    #[deserr(default)]
    pub access_log: Option<Vec<Line>>,
    /// The new configuration is refused (`reload`).
    #[deserr(default)]
    pub refused: Option<bool>,
    /// How the answer ended; `never`: nothing came for ten minutes, or a callback never came back; `left`: the client went first.
    #[deserr(default)]
    pub end: Option<AnswerEnd>,
    /// What came of a TCP connection.
    #[deserr(default)]
    pub connection: Option<Heard>,
    /// A VM fails: where and why, or a function of its backtrace. A trap that is not expected fails the step.
    #[deserr(default)]
    pub trap: Option<Pattern>,
    /// Shared data and shared queues, as they are after the step.
    #[deserr(default)]
    pub shared: Option<SharedFound>,
    /// What the step may cost at most.
    #[deserr(default)]
    pub cost: Option<Cost>,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum AnswerEnd {
    /// As it should.
    Complete,
    /// The stream breaks before its end.
    Broken,
    /// Nothing comes any more.
    Never,
    /// The client has left before (`leaves`).
    Left,
    /// What comes is no HTTP.
    Invalid,
}

impl AnswerEnd {
    /// As the scenario has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Broken => "broken",
            Self::Never => "never",
            Self::Left => "left",
            Self::Invalid => "invalid",
        }
    }
}

/// A configuration that is refused: the lines that are logged, none for `true`.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Refused(pub Vec<Pattern>);

impl Deserr<ConfigErrors> for Refused {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::Boolean(true) => Ok(Self::default()),
            value @ deserr::Value::Sequence(_) => Vec::deserialize_from_value(value, location).map(Self),
            other => {
                Err(mistake(location, &Value::from(other), "`true`, or a list of lines that are logged"))
            }
        }
    }
}

impl JsonSchema for Refused {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Refused".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lines = generator.subschema_for::<Vec<Pattern>>();
        json_schema!({ "anyOf": [{ "const": true }, lines] })
    }
}

/// What upstreams saw.
#[derive(Clone, Debug, serde::Serialize)]
pub enum Upstreams {
    /// Nothing, none of them.
    None,
    /// Each of these saw this; others may have seen anything.
    Named(Named<Calls>),
}

impl Deserr<ConfigErrors> for Upstreams {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::String(text) if text == "none" => Ok(Self::None),
            value @ deserr::Value::Map(_) => Named::deserialize_from_value(value, location).map(Self::Named),
            other => Err(mistake(location, &Value::from(other), "`none`, or upstreams by name")),
        }
    }
}

impl JsonSchema for Upstreams {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SeenByUpstreams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let calls = generator.subschema_for::<Calls>();
        json_schema!({ "anyOf": [{ "const": "none" }, { "type": "object", "additionalProperties": calls }] })
    }
}

/// The requests that an upstream saw.
#[derive(Clone, Debug, serde::Serialize)]
pub enum Calls {
    /// So many.
    Count(usize),
    /// Exactly these, in order.
    Each(Vec<Message>),
}

impl Deserr<ConfigErrors> for Calls {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::Integer(count) => Ok(Self::Count(usize::try_from(count).unwrap_or(usize::MAX))),
            value @ deserr::Value::Map(_) => {
                Message::deserialize_from_value(value, location).map(|message| Self::Each(vec![message]))
            }
            value @ deserr::Value::Sequence(_) => {
                Vec::deserialize_from_value(value, location).map(Self::Each)
            }
            other => {
                Err(mistake(location, &Value::from(other), "how many requests, a request, or a list of them"))
            }
        }
    }
}

impl JsonSchema for Calls {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Calls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let message = generator.subschema_for::<Message>();
        json_schema!({
            "description": "How many requests, the only request, or all requests in order.",
            "anyOf": [{ "type": "integer", "minimum": 0 }, message, { "type": "array", "items": message }]
        })
    }
}

/// A request as an upstream must have seen it.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Message {
    /// Its method.
    #[deserr(default)]
    pub method: Option<Pattern>,
    /// Its path, query included.
    #[deserr(default)]
    pub path: Option<Pattern>,
    /// Its host.
    #[deserr(default)]
    pub authority: Option<Pattern>,
    /// Its headers.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Named<Values>,
    /// Its body.
    #[deserr(default)]
    pub body: Option<Pattern>,
    /// Part of the JSON value that its body is.
    #[deserr(default)]
    pub json: Option<JsonPattern>,
    /// Its trailers.
    #[deserr(default)]
    #[schemars(default)]
    pub trailers: Named<Values>,
}

/// A line of the access log.
#[derive(Clone, Debug, serde::Serialize)]
pub enum Line {
    /// Text.
    Text(Pattern),
    /// Part of a JSON object.
    Json(JsonPattern),
}

impl Deserr<ConfigErrors> for Line {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            value @ deserr::Value::Map(_) => {
                JsonPattern::deserialize_from_value(value, location).map(Self::Json)
            }
            value => Pattern::deserialize_from_value(value, location).map(Self::Text),
        }
    }
}

impl JsonSchema for Line {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Line".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "object"] })
    }
}
