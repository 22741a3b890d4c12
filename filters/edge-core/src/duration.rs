use crate::ConfigError;
use crate::config::{ConfigErrors, Node, quoted};
use core::{fmt, time::Duration};
use deserr::{DeserializeError, Deserr, IntoValue, MergeWithError, Value, ValuePointerRef};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A duration in a policy: `15s`, `500ms`, `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyDuration(pub Duration);

impl PolicyDuration {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The mistake, if the duration that stands at `at` is not from `min` to `max`.
    #[must_use]
    pub fn outside(self, min: Self, max: Self, at: &Node) -> Option<ConfigError> {
        let is_inside = (min..=max).contains(&self);
        (!is_inside).then(|| at.error(format!("`{self}`"), format!("a duration from `{min}` to `{max}`")))
    }

    fn parse(text: &str) -> Result<Self, ConfigError> {
        let expected = "a duration such as `15s`, `500ms` or `1m 30s`";
        humantime::parse_duration(text).map(Self).map_err(|_| Node::top().error(quoted(text), expected))
    }
}

impl Deserr<ConfigErrors> for PolicyDuration {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        use deserr::{ErrorKind, ValueKind, take_cf_content};
        match value {
            Value::String(text) => Self::parse(&text).map_err(|error| {
                take_cf_content(<ConfigErrors as MergeWithError<_>>::merge(None, error, location))
            }),
            actual => Err(take_cf_content(ConfigErrors::error(
                None,
                ErrorKind::IncorrectValueKind { actual, accepted: &[ValueKind::String] },
                location,
            ))),
        }
    }
}

impl JsonSchema for PolicyDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: `15s`, `500ms`, `1m 30s`.",
            "pattern": "^([0-9]+ ?[a-zA-Zµ]+ ?)+$"
        })
    }
}

/// As the policy writes it.
impl fmt::Display for PolicyDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// As the policy writes it; the schema shows defaults this way.
impl serde::Serialize for PolicyDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn durations_are_text_with_units_and_nothing_else() {
        let read = |value| deserr::deserialize::<PolicyDuration, _, ConfigErrors>(value);
        assert_eq!(read(json!("1m 30s")), Ok(PolicyDuration::secs(90)));
        assert_eq!(
            read(json!("fast")).unwrap_err().0[0].to_string(),
            "(top of the policy): found `fast`, expected a duration such as `15s`, `500ms` or `1m 30s`"
        );
        assert!(read(json!(15)).is_err());
    }

    #[test]
    fn a_duration_out_of_range_is_told_with_both_ends() {
        let (min, max) = (PolicyDuration::millis(1), PolicyDuration::secs(60));
        let outside = |d: PolicyDuration| d.outside(min, max, &Node::top().key("t")).map(|e| e.to_string());
        assert_eq!(outside(min).or(outside(max)), None);
        assert_eq!(
            outside(PolicyDuration::secs(61)).unwrap(),
            "t: found `1m 1s`, expected a duration from `1ms` to `1m`"
        );
        assert!(outside(PolicyDuration(Duration::from_micros(999))).is_some());
    }
}
