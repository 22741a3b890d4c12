//! Routes, and what Envoy's configuration tells plugins.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Named, PolicyDuration};
use schemars::JsonSchema;
use serde_json::Value;

use super::ok;

/// A route. Exactly one of `to` and `respond` is given.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["to"] }, { "required": ["respond"] }]))]
pub struct Route {
    /// The host of its requests; left out: every host that no other route names.
    #[deserr(default)]
    pub host: Option<String>,
    /// What paths begin with (default `/`).
    #[deserr(default = "/".to_owned())]
    #[schemars(default = "slash")]
    pub prefix: String,
    /// Headers of its requests, with exactly these values.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Named<String>,
    /// How long the upstream may take (default 15s); `0s`: as long as it likes.
    #[deserr(default)]
    pub timeout: Option<PolicyDuration>,
    /// Its name (`xds.route_name`).
    #[deserr(default)]
    #[schemars(default)]
    pub name: String,
    /// Its metadata (`xds.route_metadata`), by namespace.
    #[deserr(default)]
    #[schemars(default)]
    pub metadata: Named<Value>,
    /// The upstream they go to.
    #[deserr(default)]
    pub to: Option<String>,
    /// The proxy answers them itself.
    #[deserr(default)]
    pub respond: Option<Direct>,
}

fn slash() -> String {
    "/".to_owned()
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Direct {
    /// The status (default 200).
    #[deserr(default = 200)]
    #[schemars(default = "ok", range(min = 200, max = 599))]
    pub status: u16,
    /// The body.
    #[deserr(default)]
    #[schemars(default)]
    pub body: String,
}

/// The process, as Envoy's bootstrap describes it.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Node {
    /// Its id (default `scenario`).
    #[deserr(default)]
    pub id: Option<String>,
    /// The cluster that it belongs to (default `scenario`).
    #[deserr(default)]
    pub cluster: Option<String>,
    /// Where it is.
    #[deserr(default)]
    #[schemars(default)]
    pub locality: Locality,
    /// Anything else: an object.
    #[deserr(default)]
    pub metadata: Option<Value>,
}

impl Node {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("scenario")
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or("scenario")
    }
}

/// Where a process is.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Locality {
    /// The region.
    #[deserr(default)]
    #[schemars(default)]
    pub region: String,
    /// The zone.
    #[deserr(default)]
    #[schemars(default)]
    pub zone: String,
    /// The zone within the zone.
    #[deserr(default)]
    #[schemars(default)]
    pub sub_zone: String,
}
