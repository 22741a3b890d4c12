//! Where the gateway listens, and the routes there.

use super::places::Places;
use super::{Options, PLANE, Target, object, routes};
use crate::render::kubernetes::untranslatable;
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The port of a listener that is rendered for Envoy.
fn port(listener: &Value) -> u16 {
    let port = listener["address"]["socket_address"]["port_value"].as_u64();
    port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

/// All ports.
pub fn ports(listeners: &[Value]) -> Vec<u16> {
    listeners.iter().map(port).collect()
}

/// The HTTP connection manager of a listener.
pub fn manager(listener: &Value) -> &Value {
    &listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// The `Gateway` and a `VirtualService` for each of its virtual hosts.
pub fn routes(
    listeners: &[Value],
    places: &Places,
    options: &Options,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let mut errors: Vec<_> = listeners.iter().flat_map(chains).collect();
    let hosts = listeners.iter().flat_map(virtual_hosts);
    let mut services = Vec::new();
    for (number, host) in hosts.enumerate() {
        match routes::virtual_service(host, number, places, options) {
            Ok(service) => services.push(service),
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(std::iter::once(gateway(listeners, options)).chain(services).collect())
}

fn virtual_hosts(listener: &Value) -> impl Iterator<Item = &Value> {
    manager(listener)["route_config"]["virtual_hosts"].as_array().into_iter().flatten()
}

/// TLS, or several filter chains, would need certificates as Kubernetes secrets, which the policy does not name.
fn chains(listener: &Value) -> Option<ConfigError> {
    let chains = listener["filter_chains"].as_array().map_or(0, Vec::len);
    let is_plain = listener["filter_chains"][0]["transport_socket"].is_null();
    let at = Node::top().key("gateway");
    (chains != 1 || !is_plain)
        .then(|| untranslatable(&at, "a listener with TLS, or with several filter chains", PLANE))
}

fn gateway(listeners: &[Value], options: &Options) -> Value {
    let server = |listener: &Value| {
        let hosts: Vec<_> = virtual_hosts(listener).flat_map(routes::hosts).collect();
        let port = port(listener);
        json!({ "port": { "number": port, "name": format!("http-{port}"), "protocol": "HTTP" }, "hosts": hosts })
    };
    let selector = match &options.target {
        Target::Selector(labels) => labels.clone(),
        Target::Gateway(name) => {
            BTreeMap::from([("gateway.networking.k8s.io/gateway-name".to_owned(), name.clone())])
        }
    };
    let spec = json!({ "selector": selector, "servers": listeners.iter().map(server).collect::<Vec<_>>() });
    object("networking.istio.io/v1", "Gateway", &options.gateway, options, spec)
}
