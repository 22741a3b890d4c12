//! The filter in front of a backend: in the sidecar of the backend's pods, on the port that their traffic comes to.
//!
//! A sidecar hands a request on to the port that it came to, so there are no routes to write: what the policy says of ways to a service
//! has no place there, and is refused where it stands. What the filter itself calls is told to the mesh as for a gateway, but to
//! this namespace alone.

mod patches;
mod pods;
mod ports;
mod unsaid;

use super::places::{self, Places};
use super::{BOOTSTRAP, FILTERS, Options, PLUGIN, TELEMETRY, both, plugin, services, telemetry};
use crate::render::kubernetes::{self, File};
use portcullis_edge_core::ConfigError;
use portcullis_policy::Policy;
use serde_json::{Value, json};

const CALLED: &str = "What the filter itself calls: where it is, for the pods of this namespace, and how it is spoken to, for these pods alone.";

/// The files. `listeners` and `clusters` are those of the static bootstrap.
pub fn render(
    document: &Value,
    policy: &Policy,
    (listeners, clusters): (&[Value], &[Value]),
    options: &Options,
) -> Result<Vec<File>, Vec<ConfigError>> {
    let called = called(document, policy, clusters);
    let places = places::places(&called, policy, options)?;
    let services = services::services(listeners, &called, &places, policy, options);
    let told = both(unsaid::check(document, policy, listeners), ports::port(policy, options));
    let ((_, port), services) = both(told, services)?;
    let services = services.into_iter().map(|object| for_these_pods(object, options)).collect();
    Ok(files(document, policy, &Parts { listeners, places, services, port }, options))
}

struct Parts<'a> {
    listeners: &'a [Value],
    places: Places,
    services: Vec<Value>,
    /// The port that the filter stands on.
    port: u16,
}

fn files(document: &Value, policy: &Policy, parts: &Parts<'_>, options: &Options) -> Vec<File> {
    let plugin = plugin::plugin(document, policy, &parts.places, &[parts.port], options);
    let patches = patches::filters(policy, parts.listeners, parts.port, options);
    vec![
        File::resource("plugin.yaml", PLUGIN, vec![plugin]),
        File::resource("services.yaml", CALLED, parts.services.clone()),
        File::resource("telemetry.yaml", TELEMETRY, vec![telemetry::telemetry(policy, options)]),
        File::resource("envoy-filter.yaml", FILTERS, patches),
        telemetry::mesh(policy),
        File::resource("bootstrap.yaml", BOOTSTRAP, vec![super::bootstrap::config_map(options)]),
        pods::patch(policy, parts.port, options),
        kubernetes::sums(policy),
    ]
}

/// The clusters that the filter itself calls, of all that are rendered.
fn called(document: &Value, policy: &Policy, clusters: &[Value]) -> Vec<Value> {
    let references = plugin::references(document);
    let is_called = |cluster: &&Value| {
        let name = cluster["name"].as_str().unwrap_or_default();
        references.contains(&name) || policy.clusters.iter().any(|known| known.name == name)
    };
    clusters.iter().filter(is_called).cloned().collect()
}

/// Others in the mesh speak to the same places, in their own way: an object has a name of its own, and says nothing to other namespaces.
/// A `ServiceEntry` has no selector: it is for all pods of the namespace.
fn for_these_pods(mut object: Value, options: &Options) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    object["metadata"]["name"] = format!("{}-{name}", options.gateway).into();
    object["spec"]["exportTo"] = json!(["."]);
    if object["kind"] == "DestinationRule" {
        object["spec"]["workloadSelector"] = json!({ "matchLabels": options.target.labels() });
    }
    object
}
