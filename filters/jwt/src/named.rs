use core::ops::{ControlFlow, Deref};
use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map as _, MergeWithError, Value, ValueKind,
    ValuePointerRef, take_cf_content,
};
use portcullis_edge_core::ConfigErrors;
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// Things under names of the policy's own choice.
///
/// `deserr` 0.6.4 reads a plain `BTreeMap` too, but drops the entries that have a mistake, and the mistake with them.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub struct Named<T>(pub BTreeMap<String, T>);

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
