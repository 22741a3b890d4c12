//! Keys and tokens, minted on the spot.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::ConfigErrors;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use std::time::Duration;

use crate::problem::{mistake, node, shown};

/// A key that signs tokens. The same name is the same key in every run.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Key {
    /// The algorithm that it signs with.
    pub alg: Algorithm,
    /// The secret of an HMAC key (default: one made of its name).
    #[deserr(default)]
    pub secret: Option<String>,
}

/// A signature algorithm of JWTs (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors)]
#[allow(missing_docs)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    ES256,
    EdDSA,
}

impl Algorithm {
    /// As tokens name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether one secret both signs and verifies.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

/// A token.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Token {
    /// The key that signs it.
    pub key: String,
    /// Fields of its header, beside or instead of `alg`, `typ` and `kid` (the key's name); `null` leaves one out.
    #[deserr(default)]
    #[schemars(default)]
    pub header: Claims,
    /// Its claims. `{in: 300s}` and `{ago: 5s}` are times in seconds since 1970, counted from the scenario's start.
    pub claims: Claims,
    /// What stands in the place of its signature.
    #[deserr(default)]
    pub signature: Option<String>,
}

/// Claims: any JSON, in which `{in: 300s}` and `{ago: 5s}` are times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// The claims, when the scenario starts at `start`.
    #[must_use]
    pub fn at(&self, start: Duration) -> Map<String, Value> {
        self.0.iter().map(|(name, value)| (name.clone(), resolve(value, start))).collect()
    }
}

fn resolve(value: &Value, start: Duration) -> Value {
    match relative(value) {
        Some(Ok(Relative::In(by))) => start.saturating_add(by).as_secs().into(),
        Some(Ok(Relative::Ago(by))) => start.saturating_sub(by).as_secs().into(),
        _ => match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), resolve(value, start))).collect()
            }
            Value::Array(items) => items.iter().map(|item| resolve(item, start)).collect(),
            other => other.clone(),
        },
    }
}

enum Relative {
    In(Duration),
    Ago(Duration),
}

/// A relative time, if the value is one; an error if its duration is none.
fn relative(value: &Value) -> Option<Result<Relative, Value>> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, by) = object.iter().next()?;
    let parsed = by.as_str().and_then(|text| humantime::parse_duration(text).ok());
    let make = match name.as_str() {
        "in" => Relative::In,
        "ago" => Relative::Ago,
        _ => return None,
    };
    Some(parsed.map(make).ok_or_else(|| by.clone()))
}

impl Deserr<ConfigErrors> for Claims {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let mut errors = ConfigErrors::default();
        check(&value, &node(location), &mut errors);
        match value {
            Value::Object(fields) if errors.0.is_empty() => Ok(Self(fields)),
            Value::Object(_) => Err(errors),
            other => Err(mistake(location, &other, "an object")),
        }
    }
}

fn check(value: &Value, at: &portcullis_edge_core::Node, errors: &mut ConfigErrors) {
    match (relative(value), value) {
        (Some(Err(by)), _) => errors.0.push(at.error(shown(&by), "a duration such as `300s`")),
        (None, Value::Object(fields)) => {
            fields.iter().for_each(|(name, value)| check(value, &at.key(name), errors));
        }
        _ => {}
    }
}

impl JsonSchema for Claims {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Claims".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

impl serde::Serialize for Claims {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_counted_from_the_start() {
        let claims: Claims = deserr::deserialize::<_, _, ConfigErrors>(
            json!({"exp": {"in": "5m"}, "iat": {"ago": "5s"}, "in": {"x": 1}}),
        )
        .expect("they are claims");
        let at = claims.at(Duration::from_secs(1000));
        assert_eq!(Value::from(at), json!({"exp": 1300, "iat": 995, "in": {"x": 1}}));
    }

    #[test]
    fn a_time_that_is_none_is_told() {
        let bad = deserr::deserialize::<Claims, _, ConfigErrors>(json!({"exp": {"in": "soon"}}));
        assert_eq!(
            bad.unwrap_err().0[0].to_string(),
            "exp: found `soon`, expected a duration such as `300s`"
        );
    }
}
