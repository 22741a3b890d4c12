//! What Envoy's configuration tells plugins: metadata of routes and clusters, and the node.

use serde_json::Value;

use crate::protobuf::{put_bool, put_bytes, put_double, put_message, put_varint_field};

/// Values under namespaces, as `filter_metadata` of Envoy's configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(serde_json::Map<String, Value>);

impl Metadata {
    /// Sets the value of a namespace; to be found by paths it must be an object.
    pub fn set(&mut self, namespace: &str, value: Value) {
        self.0.insert(namespace.to_owned(), value);
    }

    /// All of it, by namespace.
    pub(crate) fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// `envoy.config.core.v3.Metadata`.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (namespace, value) in &self.0 {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, namespace.as_bytes());
            put_message(&mut entry, 2, &structure(value));
            put_message(&mut out, 1, &entry);
        }
        out
    }
}

/// The process, as Envoy's bootstrap describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Id.
    pub id: String,
    /// Cluster that it belongs to.
    pub cluster: String,
    /// Region, zone and sub-zone; all empty if there is none.
    pub locality: [String; 3],
    /// An object, or null.
    pub metadata: Value,
}

impl Node {
    /// `envoy.config.core.v3.Node`, without the list of what the binary has been built with.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, self.id.as_bytes());
        put_bytes(&mut out, 2, self.cluster.as_bytes());
        if self.metadata.is_object() {
            put_message(&mut out, 3, &structure(&self.metadata));
        }
        if self.has_locality() {
            put_message(&mut out, 4, &self.locality());
        }
        put_bytes(&mut out, 6, b"envoy");
        out
    }

    pub(crate) fn has_locality(&self) -> bool {
        self.locality.iter().any(|part| !part.is_empty())
    }

    pub(crate) fn locality(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, part) in (1..).zip(&self.locality) {
            put_bytes(&mut out, number, part.as_bytes());
        }
        out
    }
}

/// `google.protobuf.Struct`.
fn structure(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, name.as_bytes());
        put_message(&mut entry, 2, &any_value(value));
        put_message(&mut out, 1, &entry);
    }
    out
}

/// `google.protobuf.Value`.
fn any_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => put_varint_field(&mut out, 1, 0),
        Value::Number(number) => put_double(&mut out, 2, number.as_f64().unwrap_or_default()),
        Value::String(text) => put_message(&mut out, 3, text.as_bytes()),
        Value::Bool(flag) => put_bool(&mut out, 4, *flag),
        Value::Object(_) => put_message(&mut out, 5, &structure(value)),
        Value::Array(values) => {
            let mut list = Vec::new();
            values.iter().for_each(|value| put_message(&mut list, 1, &any_value(value)));
            put_message(&mut out, 6, &list);
        }
    }
    out
}
