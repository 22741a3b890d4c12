//! Objects for Envoy Gateway that mean what the static bootstrap means; translated from it, as those for Istio are.

mod policies;
mod proxy;
mod routes;
mod services;

use crate::render::istio::FailStrategy;
use crate::render::kubernetes::{self, File, GATEWAY_API, GATEWAY_API_V1, Image, object_name};
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PLANE: &str = "Envoy Gateway";
/// The group of Envoy Gateway's own kinds, and their version.
const GROUP: &str = "gateway.envoyproxy.io";
const VERSION: &str = "gateway.envoyproxy.io/v1alpha1";

/// What is not in the policy.
#[derive(Clone, Debug)]
pub struct Options {
    /// The module.
    pub image: Image,
    /// The secret to pull it with, if the registry asks for one.
    pub pull_secret: Option<String>,
    /// Namespace of all objects.
    pub namespace: String,
    /// The gateway's name.
    pub gateway: String,
    /// Addresses of services and clusters instead of the policy's.
    pub services: BTreeMap<String, (String, u16)>,
    /// What happens where the filter cannot be run.
    pub fail_strategy: FailStrategy,
}

impl Options {
    /// The usual ones.
    ///
    /// # Errors
    /// If the policy's `gateway.name` is no name for an object and `gateway` gives none.
    pub fn new(
        policy: &Policy,
        image: Image,
        namespace: &str,
        gateway: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let gateway = match gateway {
            Some(name) => name.to_owned(),
            None => object_name(&policy.gateway.name, &Node::top().key("gateway").key("name"))?,
        };
        let namespace = namespace.to_owned();
        Ok(Self {
            image,
            pull_secret: None,
            namespace,
            gateway,
            services: BTreeMap::new(),
            fail_strategy: FailStrategy::default(),
        })
    }
}

/// The files.
///
/// # Errors
/// Everything in the policy that Envoy Gateway cannot be told, each with its place.
pub fn render(document: &Value, policy: &Policy, options: &Options) -> Result<Vec<File>, Vec<ConfigError>> {
    let alone = super::Options {
        offload: false,
        metrics_listener: false,
        services: options.services.clone(),
        ..super::Options::default()
    };
    let bootstrap = super::bootstrap(document, policy, &alone);
    let resources = &bootstrap["static_resources"];
    let list = |key: &str| resources[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let listener = single(list("listeners"))?;
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    let (services, routes) = match (
        services::backends(list("clusters"), policy, options),
        routes::routes(&manager["route_config"], options),
    ) {
        (Ok(services), Ok(routes)) => (services, routes),
        (a, b) => return Err(a.err().into_iter().chain(b.err()).flatten().collect()),
    };
    let port = &listener["address"]["socket_address"]["port_value"];
    let extension = policies::extension(document, policy, options);
    let patch = policies::patch(list("clusters"), document, policy, options);
    Ok(vec![
        File::resource("plugin.yaml", PLUGIN, vec![extension, patch]),
        File::resource("gateway.yaml", GATEWAY, gateway(port, options)),
        File::resource("routes.yaml", ROUTES, routes),
        File::resource("services.yaml", SERVICES, services),
        File::resource("traffic.yaml", TRAFFIC, policies::traffic(manager, policy, options)?),
        File::resource("proxy.yaml", PROXY, vec![proxy::proxy(policy, options)]),
        kubernetes::sums(policy),
    ])
}

/// One listener, in plain text: certificates would be Kubernetes secrets, which the policy does not name.
fn single(listeners: &[Value]) -> Result<&Value, Vec<ConfigError>> {
    let is_plain = |listener: &Value| {
        listener["filter_chains"].as_array().map_or(0, Vec::len) == 1
            && listener["filter_chains"][0]["transport_socket"].is_null()
    };
    match listeners {
        [listener] if is_plain(listener) => Ok(listener),
        _ => {
            let found = "several listeners, or one with TLS";
            Err(vec![kubernetes::untranslatable(&Node::top().key("gateway"), found, PLANE)])
        }
    }
}

fn gateway(port: &Value, options: &Options) -> Vec<Value> {
    let parameters = json!({ "group": GROUP, "kind": "EnvoyProxy", "name": options.gateway, "namespace": options.namespace });
    let class = json!({
        "apiVersion": GATEWAY_API_V1,
        "kind": "GatewayClass",
        "metadata": { "name": options.gateway },
        "spec": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller", "parametersRef": parameters },
    });
    let spec = kubernetes::gateway(&options.gateway, port);
    vec![class, object(GATEWAY_API_V1, "Gateway", &options.gateway, options, spec)]
}

/// An object in the namespace of all.
fn object(version: &str, kind: &str, name: &str, options: &Options, spec: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "name": name, "namespace": options.namespace },
        "spec": spec,
    })
}

/// A reference to the Gateway, as policies target it.
fn target(options: &Options) -> Value {
    json!({ "group": GATEWAY_API, "kind": "Gateway", "name": options.gateway })
}

const PLUGIN: &str = "The filter, with its policy, on the whole Gateway. The patch says what there is no field for: what happens after a\n\
    trap, and the clusters that the filter itself calls. It needs extensionApis.enableEnvoyPatchPolicy.";
const GATEWAY: &str = "Where the gateway listens.";
const ROUTES: &str = "Where requests go once the filter has let them pass. The last rule catches what no other does: the filter is switched\n\
    on by route, so without it unknown paths, the health page and the metrics would pass it by.";
const SERVICES: &str = "The services. They need extensionApis.enableBackend.";
const TRAFFIC: &str = "How clients are spoken to: addresses, paths, bounds, marks for web pages.";
const PROXY: &str = "The proxies: order of filters and routes, labels of metrics, log lines, variables.";
