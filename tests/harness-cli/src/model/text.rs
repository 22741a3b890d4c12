//! Text that may stand for bytes, and for things that are known only when the scenario runs.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::{ConfigErrors, Named};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::time::Duration;

use crate::problem::{mistake, ungiven};

/// Bytes: text, in which `${token.NAME}` stands for a token, `{escaped: 'a\xff'}` for any bytes at all, or `{repeated: a, times: 70000}`
/// for long ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Text {
    /// Pieces in turn.
    pub pieces: Vec<Piece>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Whatever the reference stands for.
    Reference(Reference),
}

/// What `${...}` stands for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Reference {
    /// `${token.NAME}`: a token of the file.
    Token(String),
    /// `${answer.NAME}`: a header of the answer to this step's request; in expectations only.
    Answer(String),
}

impl Text {
    /// Plain bytes.
    #[must_use]
    pub fn plain(bytes: &[u8]) -> Self {
        Self { pieces: vec![Piece::Bytes(bytes.to_vec())] }
    }

    /// Text with references. What is no reference stands for itself.
    #[must_use]
    pub fn template(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, reference, after)) = next_reference(rest) {
            pieces.push(Piece::Bytes(before.into()));
            pieces.push(match reference {
                Ok(reference) => Piece::Reference(reference),
                Err(unknown) => Piece::Bytes(format!("${{{unknown}}}").into_bytes()),
            });
            rest = after;
        }
        pieces.push(Piece::Bytes(rest.into()));
        Self { pieces }
    }

    /// The bytes, with every reference looked up.
    pub fn render(&self, look_up: &dyn Fn(&Reference) -> Vec<u8>) -> Vec<u8> {
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::Reference(reference) => look_up(reference),
        };
        self.pieces.iter().flat_map(bytes).collect()
    }
}

/// The text before the first reference, the reference or what is none, and the text behind it.
fn next_reference(text: &str) -> Option<(&str, Result<Reference, &str>, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    let reference = match name.split_once('.') {
        Some(("token", token)) => Ok(Reference::Token(token.to_owned())),
        Some(("answer", header)) => Ok(Reference::Answer(header.to_owned())),
        _ => Err(name),
    };
    Some((before, reference, after))
}

/// Every reference in a text, and what looks like one and is none.
#[must_use]
pub fn references(text: &str) -> Vec<Result<Reference, &str>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, reference, after)) = next_reference(rest) {
        found.push(reference);
        rest = after;
    }
    found
}

/// The bytes of a text with `\xHH`, `\n`, `\r`, `\t`, `\0` and `\\` in it.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let (byte, length) = match behind.as_bytes().first()? {
            b'n' => (b'\n', 1),
            b'r' => (b'\r', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(behind.get(1..3)?, 16).ok()?, 3),
            _ => return None,
        };
        bytes.push(byte);
        rest = behind.get(length..)?;
    }
    bytes.extend(rest.bytes());
    Some(bytes)
}

/// The bytes of a key: escapes stand for bytes, what is none for itself.
#[must_use]
pub fn key_bytes(key: &str) -> Vec<u8> {
    unescape(key).unwrap_or_else(|| key.as_bytes().to_vec())
}

const EXPECTED: &str = "text, `{escaped: 'bytes such as \\xff'}`, or `{repeated: TEXT, times: NUMBER}`";
/// A text that is repeated has so many bytes at most.
const MOST_REPEATED: usize = 64 * 1024 * 1024;

impl Deserr<ConfigErrors> for Text {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match Value::from(value) {
            Value::String(text) => Ok(Self::template(&text)),
            Value::Number(number) => Ok(Self::plain(number.to_string().as_bytes())),
            Value::Object(object) if object.contains_key("repeated") => repeated(&object, location),
            Value::Object(object) => escaped(&object, location),
            other => Err(mistake(location, &other, EXPECTED)),
        }
    }
}

fn repeated(object: &serde_json::Map<String, Value>, at: ValuePointerRef<'_>) -> Result<Text, ConfigErrors> {
    let times = object.get("times").and_then(Value::as_u64).and_then(|times| usize::try_from(times).ok());
    let (Some(Value::String(text)), Some(times), 2) = (object.get("repeated"), times, object.len()) else {
        return Err(ungiven(at, "an object", EXPECTED));
    };
    if text.len().saturating_mul(times) > MOST_REPEATED {
        let expected = format!("{MOST_REPEATED} bytes at most");
        return Err(mistake(at.push_key("times"), &times.into(), &expected));
    }
    Ok(Text::plain(text.repeat(times).as_bytes()))
}

fn escaped(object: &serde_json::Map<String, Value>, at: ValuePointerRef<'_>) -> Result<Text, ConfigErrors> {
    let text = match (object.get("escaped"), object.len()) {
        (Some(Value::String(text)), 1) => text,
        _ => return Err(ungiven(at, "an object", EXPECTED)),
    };
    let expected = "escapes among \\xHH, \\n, \\r, \\t, \\0 and \\\\";
    unescape(text)
        .map(|bytes| Text::plain(&bytes))
        .ok_or_else(|| mistake(at.push_key("escaped"), &text.as_str().into(), expected))
}

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes: text, in which `${token.NAME}` stands for a token, `{escaped: 'a\\xff'}`, or `{repeated: a, times: 70000}`.",
            "anyOf": [
                { "type": ["string", "number"] },
                {
                    "type": "object", "additionalProperties": false, "required": ["escaped"],
                    "properties": { "escaped": { "type": "string" } }
                },
                {
                    "type": "object", "additionalProperties": false, "required": ["repeated", "times"],
                    "properties": { "repeated": { "type": "string" }, "times": { "type": "integer", "minimum": 0 } }
                }
            ]
        })
    }
}

/// Headers: a value, or a list of values for a name that comes several times.
pub type Headers = Named<OneOrMany>;

/// A value or several.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OneOrMany(pub Vec<Text>);

impl Deserr<ConfigErrors> for OneOrMany {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::Sequence(_) => Vec::deserialize_from_value(value, location).map(Self),
            _ => Text::deserialize_from_value(value, location).map(|text| Self(vec![text])),
        }
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({ "anyOf": [text, { "type": "array", "items": text }] })
    }
}

/// An instant, as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(pub Duration);

impl Default for Instant {
    fn default() -> Self {
        Self(Duration::from_secs(1_767_225_600)) // 2026-01-01T00:00:00Z
    }
}

impl Deserr<ConfigErrors> for Instant {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let instant = value.as_str().and_then(|text| humantime::parse_rfc3339_weak(text).ok());
        instant
            .and_then(|instant| instant.duration_since(std::time::UNIX_EPOCH).ok())
            .map(Self)
            .ok_or_else(|| mistake(location, &value, "an instant such as `2026-01-01T00:00:00Z`"))
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(value: Value) -> Vec<u8> {
        let text: Text = deserr::deserialize::<_, _, ConfigErrors>(value).expect("it is a text");
        text.render(&|reference| format!("<{reference:?}>").into_bytes())
    }

    #[test]
    fn a_token_stands_where_it_is_named_and_what_is_no_reference_stands_for_itself() {
        assert_eq!(rendered(json!("Bearer ${token.a}!")), b"Bearer <Token(\"a\")>!");
        assert_eq!(rendered(json!("$5 {x} ${y}")), b"$5 {x} ${y}");
    }

    #[test]
    fn a_long_text_is_written_short_and_has_a_limit() {
        assert_eq!(rendered(json!({"repeated": "ab", "times": 3})), b"ababab");
        let far = json!({"repeated": "ab", "times": 1_000_000_000});
        let error = deserr::deserialize::<Text, _, ConfigErrors>(far).unwrap_err();
        assert!(error.0[0].expected.contains("bytes at most"));
    }

    #[test]
    fn any_byte_can_be_written() {
        assert_eq!(rendered(json!({"escaped": r"a\xff\0\\n"})), b"a\xff\0\\n");
        let bad = deserr::deserialize::<Text, _, ConfigErrors>(json!({"escaped": r"\q"}));
        assert!(bad.unwrap_err().0[0].expected.contains("\\xHH"));
    }
}
