//! What Istio has no API for.

use super::gateway::{manager, virtual_hosts};
use super::{Options, Target, object, routes};
use crate::render::{bodies, listener, local_replies};
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// All of it, for the ports that the filter guards.
pub fn filters(policy: &Policy, listeners: &[Value], ports: &[u16], options: &Options) -> Vec<Value> {
    let of_port = |port: &u16| {
        let patches = [of_manager(policy, listeners, *port), buffers(*port)];
        patches.into_iter().chain(bodies(policy, *port))
    };
    let listening = ports.iter().flat_map(of_port).collect();
    let routes = ports.iter().flat_map(|port| of_routes(listeners, *port)).collect();
    vec![filter("portcullis-listeners", listening, options), filter("portcullis-routes", routes, options)]
}

fn filter(name: &str, patches: Vec<Value>, options: &Options) -> Value {
    // Behind Istio's own: what they stand beside is there then.
    let mut spec = json!({ "priority": 10, "configPatches": patches });
    match &options.target {
        Target::Selector(labels) => spec["workloadSelector"] = json!({ "labels": labels }),
        Target::Gateway(name) => {
            spec["targetRefs"] =
                json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name }]);
        }
    }
    object("networking.istio.io/v1alpha3", "EnvoyFilter", name, options, spec)
}

/// Answers that Envoy gives before any filter has seen the request (431, a broken request line) get the error body and the browser
/// headers of all others; a request has an end; HTTP/1.0 is answered; a dot at the end of a host's name changes nothing.
fn of_manager(policy: &Policy, listeners: &[Value], port: u16) -> Value {
    let mut value = local_replies::local_replies(policy);
    value["@type"] = listener::HCM.into();
    value["http_protocol_options"] = listener::http_protocol_options();
    let rendered = listeners.first().map_or(&Value::Null, manager);
    for name in ["request_timeout", "strip_trailing_host_dot"] {
        if let Some(setting) = rendered.get(name) {
            value[name] = setting.clone();
        }
    }
    json!({
        "applyTo": "NETWORK_FILTER",
        "match": at_manager(port, &Value::Null),
        "patch": { "operation": "MERGE", "value": { "typed_config": value } },
    })
}

fn at_manager(port: u16, sub_filter: &Value) -> Value {
    let mut filter = json!({ "name": "envoy.filters.network.http_connection_manager" });
    if !sub_filter.is_null() {
        filter["subFilter"] = json!({ "name": sub_filter });
    }
    json!({ "context": "GATEWAY", "listener": { "portNumber": port, "filterChain": { "filter": filter } } })
}

/// What a connection may hold of a body before its other side is made to wait: Istio's listeners hold thirty times as much.
fn buffers(port: u16) -> Value {
    json!({
        "applyTo": "LISTENER",
        "match": { "context": "GATEWAY", "listener": { "portNumber": port } },
        "patch": { "operation": "MERGE", "value": { "per_connection_buffer_limit_bytes": listener::BUFFER_BYTES } },
    })
}

/// The filter that holds bodies until they are whole, behind ours.
fn bodies(policy: &Policy, port: u16) -> Option<Value> {
    let filter = bodies::filter(policy)?;
    Some(json!({
        "applyTo": "HTTP_FILTER",
        "match": at_manager(port, &"envoy.filters.http.cors".into()),
        "patch": { "operation": "INSERT_BEFORE", "value": filter },
    }))
}

/// How long a route's requests may be idle, how large their bodies may be, and upgrades: Istio's gateways let every connection become a
/// WebSocket.
fn of_routes(listeners: &[Value], port: u16) -> Vec<Value> {
    let hosts = listeners.iter().flat_map(virtual_hosts).enumerate();
    let all: Vec<_> = hosts
        .flat_map(|(number, host)| {
            let routes = host["routes"].as_array().into_iter().flatten().enumerate();
            routes.map(move |(index, route)| (routes::rule_name(number, index), route))
        })
        .filter(|(_, route)| !route["route"].is_null())
        .collect();
    if all.iter().all(|(_, route)| own(route) == no_upgrade()) {
        return vec![patch(None, port, &no_upgrade())];
    }
    all.iter().flat_map(|(name, route)| patches(name, route, port)).collect()
}

fn patches(name: &str, route: &Value, port: u16) -> Vec<Value> {
    let own = own(route);
    if own == json!({}) {
        return Vec::new();
    }
    let is_split = route["route"].get("retry_policy").is_some();
    let names = std::iter::once(name.to_owned()).chain(is_split.then(|| super::retry::once(name)));
    names.map(|name| patch(Some(&name), port, &own)).collect()
}

fn no_upgrade() -> Value {
    json!({ "route": { "upgrade_configs": [{ "upgrade_type": "websocket", "enabled": false }] } })
}

/// What of a route has no API.
fn own(route: &Value) -> Value {
    let mut own = if route["route"].get("upgrade_configs").is_some() { json!({}) } else { no_upgrade() };
    if let Some(idle) = route["route"].get("idle_timeout") {
        own["route"]["idle_timeout"] = idle.clone();
    }
    if let Some(bodies) = route["typed_per_filter_config"].get(bodies::FILTER) {
        own["typed_per_filter_config"] = json!({ bodies::FILTER: bodies });
    }
    own
}

fn patch(name: Option<&str>, port: u16, value: &Value) -> Value {
    let mut route = json!({ "action": "ROUTE" });
    if let Some(name) = name {
        route["name"] = name.into();
    }
    json!({
        "applyTo": "HTTP_ROUTE",
        "match": {
            "context": "GATEWAY",
            "routeConfiguration": { "portNumber": port, "vhost": { "route": route } },
        },
        "patch": { "operation": "MERGE", "value": value },
    })
}
