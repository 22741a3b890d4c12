//! What a scenario expects of a value.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::ConfigErrors;
use regex::bytes::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::Reference;
use super::text::{Piece, Text};
use crate::problem::{mistake, node, shown};

/// What a value must be: a text exactly, `~regex` for one that matches, `!~regex` for one that does not, `any` for whatever
/// there is, `absent` for nothing; `{escaped: ...}` for exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Pattern {
    /// Exactly this.
    Is(Text),
    /// A text that the expression matches somewhere.
    Matches(Text),
    /// A text that the expression matches nowhere.
    MatchesNot(Text),
    /// Whatever it is, if it is there.
    Any,
    /// Nothing there.
    Absent,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What a bad regular expression complains of.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (pattern, expression) = match text {
            "any" => return Ok(Self::Any),
            "absent" => return Ok(Self::Absent),
            _ => match (text.strip_prefix("!~"), text.strip_prefix('~')) {
                (Some(rest), _) => (Self::MatchesNot(Text::template(rest)), rest),
                (_, Some(rest)) => (Self::Matches(Text::template(rest)), rest),
                _ => return Ok(Self::Is(Text::template(text))),
            },
        };
        // A reference stands for text that is matched as it is: any letter will do to try the expression.
        let tried = Text::template(expression).render(&|_| b"x".to_vec());
        Regex::new(&String::from_utf8_lossy(&tried)).map(|_| pattern).map_err(|error| short(&error))
    }

    /// Whether a value that is there is as expected.
    pub fn fits(&self, value: &[u8], look_up: &dyn Fn(&Reference) -> Vec<u8>) -> bool {
        match self {
            Self::Is(text) => text.render(look_up) == value,
            Self::Matches(text) => matches(text, value, look_up),
            Self::MatchesNot(text) => !matches(text, value, look_up),
            Self::Any => true,
            Self::Absent => false,
        }
    }

    /// As the scenario has it, with references looked up.
    pub fn show(&self, look_up: &dyn Fn(&Reference) -> Vec<u8>) -> String {
        let text = |text: &Text| text.render(look_up).escape_ascii().to_string();
        match self {
            Self::Is(is) => text(is),
            Self::Matches(expression) => format!("~{}", text(expression)),
            Self::MatchesNot(expression) => format!("!~{}", text(expression)),
            Self::Any => "any".to_owned(),
            Self::Absent => "absent".to_owned(),
        }
    }
}

fn matches(expression: &Text, value: &[u8], look_up: &dyn Fn(&Reference) -> Vec<u8>) -> bool {
    let pieces = expression.pieces.iter().map(|piece| match piece {
        Piece::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Piece::Reference(reference) => regex::escape(&String::from_utf8_lossy(&look_up(reference))),
    });
    Regex::new(&pieces.collect::<String>()).is_ok_and(|regex| regex.is_match(value))
}

/// The line of a regular expression's complaint that says why.
fn short(error: &regex::Error) -> String {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    format!("a regular expression ({})", why.trim_start_matches("error: "))
}

impl Deserr<ConfigErrors> for Pattern {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        match &value {
            Value::String(text) => Self::parse(text).map_err(|expected| mistake(location, &value, &expected)),
            Value::Number(number) => Ok(Self::Is(Text::plain(number.to_string().as_bytes()))),
            Value::Object(_) => Text::deserialize_from_value(value.into_value(), location).map(Self::Is),
            other => Err(mistake(location, other, "text, `~regex`, `!~regex`, `any` or `absent`")),
        }
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({
            "description": "A text exactly, `~regex`, `!~regex`, `any`, or `absent`.",
            "anyOf": [text]
        })
    }
}

/// What the values of a header must be: one pattern for its only value, or a list for all values in order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Values(pub Vec<Pattern>);

impl Deserr<ConfigErrors> for Values {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::Sequence(_) => Vec::deserialize_from_value(value, location).map(Self),
            _ => Pattern::deserialize_from_value(value, location).map(|pattern| Self(vec![pattern])),
        }
    }
}

impl JsonSchema for Values {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Patterns".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let pattern = generator.subschema_for::<Pattern>();
        json_schema!({ "anyOf": [pattern, { "type": "array", "items": pattern }] })
    }
}

/// Part of a JSON value: fields that are not mentioned may be anything, lists are whole, texts are patterns.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct JsonPattern(pub Value);

impl JsonPattern {
    /// Where a value differs from what is expected: the place (RFC 6901), what was expected, what was found.
    pub fn differences(
        &self,
        found: Option<&Value>,
        look_up: &dyn Fn(&Reference) -> Vec<u8>,
    ) -> Vec<(String, String, String)> {
        let mut differences = Vec::new();
        compare(&self.0, found, "", look_up, &mut differences);
        differences
    }
}

fn compare(
    expected: &Value,
    found: Option<&Value>,
    at: &str,
    look_up: &dyn Fn(&Reference) -> Vec<u8>,
    differences: &mut Vec<(String, String, String)>,
) {
    match (expected, found) {
        (Value::Object(fields), Some(Value::Object(object))) => {
            for (name, value) in fields {
                compare(value, object.get(name), &format!("{at}/{name}"), look_up, differences);
            }
        }
        (Value::Array(items), Some(Value::Array(list))) if items.len() == list.len() => {
            for (index, (item, value)) in items.iter().zip(list).enumerate() {
                compare(item, Some(value), &format!("{at}/{index}"), look_up, differences);
            }
        }
        (Value::String(text), found) => {
            let Ok(pattern) = Pattern::parse(text) else { return };
            let fits = match found {
                None => pattern == Pattern::Absent,
                Some(Value::String(value)) => pattern.fits(value.as_bytes(), look_up),
                Some(_) => pattern == Pattern::Any,
            };
            if !fits {
                differences.push((at.to_owned(), pattern.show(look_up), json_shown(found)));
            }
        }
        (expected, found) if Some(expected) == found => {}
        (expected, found) => differences.push((at.to_owned(), expected.to_string(), json_shown(found))),
    }
}

fn json_shown(found: Option<&Value>) -> String {
    found.map_or_else(|| "absent".to_owned(), ToString::to_string)
}

impl Deserr<ConfigErrors> for JsonPattern {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let mut errors = ConfigErrors::default();
        check(&value, &node(location), &mut errors);
        if errors.0.is_empty() { Ok(Self(value)) } else { Err(errors) }
    }
}

fn check(value: &Value, at: &portcullis_edge_core::Node, errors: &mut ConfigErrors) {
    match value {
        Value::String(text) => {
            errors.0.extend(Pattern::parse(text).err().map(|expected| at.error(shown(value), expected)));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| check(item, &at.index(index), errors));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| check(field, &at.key(name), errors)),
        _ => {}
    }
}

impl JsonSchema for JsonPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nothing(_: &Reference) -> Vec<u8> {
        b"a.b".to_vec()
    }

    fn fits(pattern: &str, value: &str) -> bool {
        Pattern::parse(pattern).expect("it is a pattern").fits(value.as_bytes(), &nothing)
    }

    #[test]
    fn a_text_is_exact_and_expressions_match_somewhere() {
        assert!(fits("GET", "GET") && !fits("GET", "GET "));
        assert!(fits("~^G.T$", "GET") && !fits("~^E", "GET"));
        assert!(!fits("!~E", "GET") && fits("!~X", "GET"));
    }

    #[test]
    fn what_a_reference_stands_for_is_matched_as_it_is() {
        assert!(fits("~^${token.t}$", "a.b") && !fits("~^${token.t}$", "axb"));
    }

    #[test]
    fn a_bad_expression_is_told() {
        assert!(Pattern::parse("~(").unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn part_of_an_object_is_enough_and_lists_are_whole() {
        let found = json!({"a": {"b": 1, "c": "xyz"}, "l": [1, 2]});
        let differences = |expected: Value| JsonPattern(expected).differences(Some(&found), &nothing);
        assert_eq!(differences(json!({"a": {"b": 1, "c": "~y", "d": "absent"}, "l": [1, 2]})), []);
        assert_eq!(differences(json!({"l": [1]})).len(), 1);
        let (at, expected, found) = differences(json!({"a": {"c": "xy"}})).remove(0);
        assert_eq!((at.as_str(), expected.as_str(), found.as_str()), ("/a/c", "xy", "\"xyz\""));
    }
}
