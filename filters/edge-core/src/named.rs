use crate::{ConfigError, ConfigErrors, Node};
use core::ops::{ControlFlow, Deref};
use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map as _, MergeWithError, Value, ValueKind,
    ValuePointerRef, take_cf_content,
};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// Whether a name can be a part of a metric's name, or a label's value that needs no quotes anywhere.
#[must_use]
pub fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The mistake in a name that metrics will show, which stands at `at`; nothing if it is a good one.
#[must_use]
pub fn check_label_name(name: &str, at: &Node) -> Option<ConfigError> {
    let expected = "a name of lower-case letters, digits and `_` that begins with a letter";
    (!is_label_name(name)).then(|| at.error(format!("the name `{}`", name.escape_debug()), expected))
}

/// Things under names of the policy's own choice.
///
/// `deserr` 0.6.4 reads a plain `BTreeMap` too, but drops the entries that have a mistake, and the mistake with them.
#[derive(Clone, Debug, JsonSchema, serde::Serialize)]
#[schemars(inline)]
#[serde(transparent)]
pub struct Named<T>(pub BTreeMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Deref for Named<T> {
    type Target = BTreeMap<String, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Deserr<ConfigErrors>> Deserr<ConfigErrors> for Named<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let Value::Map(map) = value else {
            let kind = ErrorKind::IncorrectValueKind { actual: value, accepted: &[ValueKind::Map] };
            return Err(take_cf_content(ConfigErrors::error(None, kind, location)));
        };
        let (mut named, mut errors) = (BTreeMap::new(), None);
        for (name, value) in map.into_iter() {
            let at = location.push_key(&name);
            match T::deserialize_from_value(value.into_value(), at) {
                Ok(value) => drop(named.insert(name.clone(), value)),
                Err(error) => match <ConfigErrors as MergeWithError<_>>::merge(errors, error, at) {
                    ControlFlow::Continue(all) => errors = Some(all),
                    ControlFlow::Break(all) => return Err(all),
                },
            }
        }
        errors.map_or(Ok(Self(named)), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_mistake_under_a_name_is_told_and_not_dropped_with_it() {
        let read = |value| deserr::deserialize::<Named<String>, _, ConfigErrors>(value);
        assert_eq!(read(json!({ "a": "x" })).unwrap().len(), 1);
        let errors = read(json!({ "a": "x", "b": 5, "c": true })).unwrap_err();
        let shown: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["b: found the number `5`, expected text", "c: found the boolean `true`, expected text"]
        );
    }

    #[test]
    fn a_label_name_is_of_small_letters_digits_and_underscores() {
        for name in ["a", "usd_cents", "a1", "a_"] {
            assert!(is_label_name(name), "{name}");
        }
        for name in ["", "1a", "_a", "a-b", "aB", "a b", "é"] {
            assert!(!is_label_name(name), "{name}");
        }
    }
}
