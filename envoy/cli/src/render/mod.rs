//! An Envoy bootstrap for a policy.
//!
//! Whatever Envoy does well and cheaper than a filter is left to it: the client's address, the request id, path normalisation,
//! static headers on the way to a service and back, CORS marks on services' answers. The plugin is told so in its policy's `proxy` section.

mod access_log;
mod bodies;
mod clusters;
mod downstream;
pub mod dynamic;
pub mod envoy_gateway;
mod headers;
pub mod istio;
pub mod kubernetes;
mod listener;
mod local_replies;
mod matching;
mod overload;
mod plugin;
mod routes;
mod tls;
mod tracing;
mod upstream;

use portcullis_pipeline::labels;
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is not in the policy.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the module, as Envoy will open it.
    pub module: String,
    /// Listener address instead of the policy's, `ip:port`.
    pub listen: Option<String>,
    /// Admin address instead of the policy's, `ip:port`.
    pub admin: Option<String>,
    /// Address of the metrics' own listener instead of the policy's, `ip:port`.
    pub metrics: Option<String>,
    /// Whether metrics have a listener of their own; a mesh gathers Envoy's stats by its own.
    pub metrics_listener: bool,
    /// Addresses of services instead of the policy's, `host` and port by name.
    pub services: BTreeMap<String, (String, u16)>,
    /// Leave to Envoy what it does cheaper than the filter. Without it the filter does everything, as in a proxy that
    /// somebody else configured.
    pub offload: bool,
    /// The folder that Envoy watches, if it is to; see [`dynamic::dynamic`].
    pub dynamic: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            module: "portcullis.wasm".to_owned(),
            listen: None,
            admin: None,
            metrics: None,
            metrics_listener: true,
            services: BTreeMap::new(),
            offload: true,
            dynamic: None,
        }
    }
}

const PREAMBLE: &str = "\
# Rendered by `portcullis render envoy` from the policy inlined below. Edit the policy, not this file.
# Envoy 1.40. The module's path is relative to where Envoy is started; `--module` sets another.
";

/// The bootstrap, as YAML. `document` is the policy as written, `policy` the same compiled.
#[must_use]
pub fn envoy(document: &Value, policy: &Policy, options: &Options) -> String {
    let bootstrap = bootstrap(document, policy, options);
    // A tree of maps with text as keys always has a YAML form.
    let body = serde_saphyr::to_string(&bootstrap).unwrap_or_default();
    format!("{PREAMBLE}{body}")
}

/// The bootstrap, as a tree.
#[must_use]
pub fn bootstrap(document: &Value, policy: &Policy, options: &Options) -> Value {
    let mut bootstrap = base(policy, options);
    bootstrap["static_resources"] = json!({
        "listeners": listener::listeners(document, policy, options),
        "clusters": clusters::clusters(policy, options),
    });
    bootstrap
}

/// What an Envoy reads once, at its start.
fn base(policy: &Policy, options: &Options) -> Value {
    let admin = options.admin.as_ref().unwrap_or(&policy.gateway.admin);
    json!({
        "node": { "id": policy.gateway.name, "cluster": policy.gateway.name },
        "admin": { "address": socket_address(admin) },
        "stats_config": { "stats_tags": stats_tags() },
        "overload_manager": overload::manager(policy),
    })
}

/// Envoy keeps a stat's labels in its name; these rules cut them out again. What comes before a label is told too, because one
/// label may end like another (`type` and `error_type`).
fn stats_tags() -> Vec<Value> {
    let rule = |label| json!({ "tag_name": label, "regex": format!(r"[.;]({label}=\.=(.*?);\.;)") });
    labels().into_iter().map(rule).collect()
}

/// `ip:port` as Envoy writes it. Anything else never gets here: the policy was checked.
fn socket_address(address: &str) -> Value {
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    json!({ "socket_address": { "address": ip, "port_value": port.parse::<u16>().unwrap_or(0) } })
}
