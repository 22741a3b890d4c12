//! Reading a policy document piece by piece, so that a mistake in one piece hides none in another.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, nearest};
use serde_json::{Map, Value};

/// A policy document and the mistakes found in it so far.
pub(crate) struct Document<'a> {
    fields: &'a Map<String, Value>,
    pub errors: Vec<ConfigError>,
}

impl<'a> Document<'a> {
    /// The document in `value`, whose fields must be among `known`.
    pub fn open(value: &'a Value, known: &[&str]) -> Result<Self, Vec<ConfigError>> {
        let Value::Object(fields) = value else {
            return Err(vec![
                Node::top().error("something that is no object", "an object with the fields of a policy"),
            ]);
        };
        let unknown = fields.keys().filter(|key| !known.contains(&key.as_str()));
        let errors = unknown.map(|key| unknown_field(key, known)).collect();
        Ok(Self { fields, errors })
    }

    /// Whether there is such a section.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// A section that may be left out. `None` if it was, or if it was wrong.
    pub fn section<T: Deserr<ConfigErrors>>(&mut self, key: &str) -> Option<T> {
        let value = self.fields.get(key)?.clone();
        self.read(value, ValuePointerRef::Origin.push_key(key))
    }

    /// A section that must be there.
    pub fn required<T: Deserr<ConfigErrors>>(&mut self, key: &str) -> Option<T> {
        if !self.fields.contains_key(key) {
            self.errors.push(Node::top().key(key).error("nothing", format!("the field `{key}`")));
        }
        self.section(key)
    }

    /// The elements of a required list that could be read, each with its index.
    pub fn list<T: Deserr<ConfigErrors>>(&mut self, key: &str) -> Vec<(usize, T)> {
        let items: Vec<Value> =
            self.required_kind(key, "a list", |v| v.as_array().cloned()).unwrap_or_default();
        let list = ValuePointerRef::Origin.push_key(key);
        let read = items.into_iter().enumerate();
        read.filter_map(|(index, item)| Some((index, self.read(item, list.push_index(index))?))).collect()
    }

    /// The entries of an object that may be left out, as far as they could be read.
    pub fn optional_map<T: Deserr<ConfigErrors>>(&mut self, key: &str) -> Vec<(String, T)> {
        if self.has(key) { self.map(key) } else { Vec::new() }
    }

    /// The entries of a required object that could be read.
    pub fn map<T: Deserr<ConfigErrors>>(&mut self, key: &str) -> Vec<(String, T)> {
        let entries = self.required_kind(key, "an object", |v| v.as_object().cloned()).unwrap_or_default();
        let object = ValuePointerRef::Origin.push_key(key);
        let mut read: Vec<_> = entries
            .into_iter()
            .filter_map(|(k, v)| Some((k.clone(), self.read(v, object.push_key(&k))?)))
            .collect();
        read.sort_by(|a, b| a.0.cmp(&b.0));
        read
    }

    fn required_kind<T>(&mut self, key: &str, kind: &str, get: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let found = match self.fields.get(key) {
            None => "nothing",
            Some(value) => match get(value) {
                Some(value) => return Some(value),
                None => "something else",
            },
        };
        self.errors.push(Node::top().key(key).error(found, kind));
        None
    }

    fn read<T: Deserr<ConfigErrors>>(&mut self, value: Value, at: ValuePointerRef<'_>) -> Option<T> {
        match T::deserialize_from_value(value.into_value(), at) {
            Ok(read) => Some(read),
            Err(ConfigErrors(errors)) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    /// Keeps the value of a check, or its errors.
    pub fn keep<T>(&mut self, checked: Result<T, Vec<ConfigError>>) -> Option<T> {
        checked.map_err(|errors| self.errors.extend(errors)).ok()
    }
}

fn unknown_field(key: &str, known: &[&str]) -> ConfigError {
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    let mut error = Node::top()
        .key(key)
        .error(format!("the unknown field `{key}`"), format!("one of {}", names.join(", ")));
    error.nearest = nearest(key, known.iter().copied()).map(str::to_owned);
    error
}
