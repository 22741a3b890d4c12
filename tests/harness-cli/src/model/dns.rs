//! Names that plugins look up.

use std::net::IpAddr;

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::problem::mistake;

/// What the name server says of a name. Without addresses there is no such name.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Dns {
    /// Its addresses. IPv4 is looked at where there is no IPv6.
    #[deserr(default)]
    #[schemars(default)]
    pub addresses: Vec<Address>,
    /// How long they may be kept, in whole seconds (default 0).
    #[deserr(default)]
    pub ttl: Option<PolicyDuration>,
    /// The server cannot answer (SERVFAIL).
    #[deserr(default)]
    #[schemars(default)]
    pub fails: bool,
}

impl Dns {
    /// Whole seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.ttl.map_or(0, |ttl| ttl.0.as_secs())
    }
}

/// An IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Address(pub IpAddr);

impl Default for Address {
    fn default() -> Self {
        Self(IpAddr::from([127, 0, 0, 1]))
    }
}

impl Deserr<ConfigErrors> for Address {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        let value = Value::from(value);
        let address = value.as_str().and_then(|text| text.parse().ok());
        address
            .map(Self)
            .ok_or_else(|| mistake(location, &value, "an address such as `10.0.0.1` or `fd00::1`"))
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "format": "ipv4" }, { "type": "string", "format": "ipv6" }] })
    }
}
