//! Where the gateway listens, and the routes there.

use super::places::Places;
use super::{Options, PLANE, object, routes, tls};
use crate::render::kubernetes::{unknown_keys, untranslatable};
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Value, json};

/// What of a connection manager is translated (here, in the pods' annotation, in the `EnvoyFilter`) or is Istio's own business. Each
/// gateway of Istio's has `use_remote_address`, normal paths, and ports left out of account in names of hosts.
const KNOWN_MANAGER: [&str; 22] = [
    "@type",
    "stat_prefix",
    "use_remote_address",
    "xff_num_trusted_hops",
    "generate_request_id",
    "preserve_external_request_id",
    "always_set_request_id_in_response",
    "server_header_transformation",
    "normalize_path",
    "merge_slashes",
    "path_with_escaped_slashes_action",
    "http_protocol_options",
    "strip_trailing_host_dot",
    "request_headers_timeout",
    "request_timeout",
    "stream_idle_timeout",
    "common_http_protocol_options",
    "http2_protocol_options",
    "upgrade_configs",
    "access_log",
    "http_filters",
    "route_config",
];
const KNOWN_CONFIG: [&str; 5] = [
    "name",
    "virtual_hosts",
    "most_specific_header_mutations_wins",
    "ignore_port_in_host_matching",
    "request_headers_to_add",
];

/// The port of a listener that is rendered for Envoy.
pub fn port(listener: &Value) -> u16 {
    let port = listener["address"]["socket_address"]["port_value"].as_u64();
    port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

/// All ports.
pub fn ports(listeners: &[Value]) -> Vec<u16> {
    listeners.iter().map(port).collect()
}

/// The ports that the filter stands on: where nothing is answered but a redirect, there is nothing to guard.
pub fn guarded_ports(listeners: &[Value]) -> Vec<u16> {
    listeners.iter().filter(|listener| !is_redirect(listener)).map(port).collect()
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
    let mut errors: Vec<_> = listeners.iter().flat_map(unsaid).collect();
    let mut objects = Vec::new();
    for listener in listeners {
        match of_listener(listener, places, options) {
            Ok(found) => objects.extend(found),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
}

fn of_listener(listener: &Value, places: &Places, options: &Options) -> Result<Vec<Value>, Vec<ConfigError>> {
    if is_redirect(listener) {
        let name = format!("{}-redirect", options.gateway);
        let service = routes::redirect(&name, redirect(listener), options);
        return Ok(vec![gateway(&name, listener, options), service]);
    }
    let told = &manager(listener)["route_config"]["request_headers_to_add"];
    let (mut objects, mut errors) = (vec![gateway(&options.gateway, listener, options)], Vec::new());
    for (number, host) in virtual_hosts(listener).enumerate() {
        match routes::virtual_service(host, told, number, places, options) {
            Ok(service) => objects.push(service),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
}

pub fn virtual_hosts(listener: &Value) -> impl Iterator<Item = &Value> {
    manager(listener)["route_config"]["virtual_hosts"].as_array().into_iter().flatten()
}

/// The listener that sends plain HTTP to the other one.
fn is_redirect(listener: &Value) -> bool {
    !redirect(listener).is_null()
}

fn redirect(listener: &Value) -> &Value {
    &manager(listener)["route_config"]["virtual_hosts"][0]["routes"][0]["redirect"]
}

/// What of a listener, its connection manager and its routes as a whole there is no API for.
pub fn unsaid(listener: &Value) -> Vec<ConfigError> {
    let mut errors: Vec<_> = tls::context(listener).into_iter().flat_map(tls::unsaid).collect();
    let manager = manager(listener);
    let parts =
        [("manager", manager, &KNOWN_MANAGER[..]), ("routes", &manager["route_config"], &KNOWN_CONFIG[..])];
    let found = parts.into_iter().flat_map(|(name, part, known)| unknown_keys(part, name, known));
    errors.extend(found.map(|found| untranslatable(&Node::top().key("gateway"), found, PLANE)));
    let mut filters = manager["http_filters"].as_array().into_iter().flatten();
    if filters.any(|filter| filter["name"] == "envoy.filters.http.grpc_web") {
        errors.push(untranslatable(&Node::top().key("gateway").key("grpc_web"), "`true`", PLANE));
    }
    errors
}

fn gateway(name: &str, listener: &Value, options: &Options) -> Value {
    let spec = json!({ "selector": options.target.labels(), "servers": [server(listener)] });
    object("networking.istio.io/v1", "Gateway", name, options, spec)
}

fn server(listener: &Value) -> Value {
    let mut hosts: Vec<_> = virtual_hosts(listener).flat_map(routes::hosts).collect();
    if hosts.iter().any(|host| host == "*") {
        hosts = vec!["*".to_owned()];
    }
    let context = tls::context(listener);
    let (protocol, name) = if context.is_some() { ("HTTPS", "https") } else { ("HTTP", "http") };
    let port = port(listener);
    let port = json!({ "number": port, "name": format!("{name}-{port}"), "protocol": protocol });
    let mut server = json!({ "port": port, "hosts": hosts });
    if let Some(context) = context {
        server["tls"] = tls::server(context);
    }
    server
}
