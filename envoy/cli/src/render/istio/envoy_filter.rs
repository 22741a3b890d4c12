//! What Istio has no API for.

use super::gateway::{manager, virtual_hosts};
use super::gateway_api;
use super::{Options, Target, gateway_ref, object, routes};
use crate::render::{bodies, listener, local_replies};
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// Where a patch applies: to proxies that are gateways.
const GATEWAY: &str = "GATEWAY";

/// All of it, for the ports that the filter guards.
pub fn filters(policy: &Policy, listeners: &[Value], ports: &[u16], options: &Options) -> Vec<Value> {
    let of_port = |port: &u16| {
        let patches = [of_manager(policy, listeners, *port), buffers(*port)];
        patches.into_iter().chain(bodies(policy, GATEWAY, *port))
    };
    let listening = ports.iter().flat_map(of_port).collect();
    let is_for_gateway = matches!(options.target, Target::Gateway(_));
    let of_port = |port: &u16| {
        let last = is_for_gateway.then(|| nowhere(*port));
        of_routes(listeners, *port, options).into_iter().chain(last)
    };
    let routes = ports.iter().flat_map(of_port).collect();
    vec![filter("listeners", listening, options), filter("routes", routes, options)]
}

/// An object with patches, for the proxies that get the filter.
pub fn filter(what: &str, patches: Vec<Value>, options: &Options) -> Value {
    // Behind Istio's own: what they stand beside is there then.
    let mut spec = json!({ "priority": 10, "configPatches": patches });
    match &options.target {
        Target::Selector(labels) | Target::Sidecar(labels) => {
            spec["workloadSelector"] = json!({ "labels": labels });
        }
        Target::Gateway(_) => spec["targetRefs"] = gateway_ref(options),
    }
    let name = format!("{}-{what}", options.gateway);
    object("networking.istio.io/v1alpha3", "EnvoyFilter", &name, options, spec)
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
        "match": at_manager(GATEWAY, port, &Value::Null),
        "patch": { "operation": "MERGE", "value": { "typed_config": value } },
    })
}

/// The connection manager of a port, or a filter in it.
pub fn at_manager(context: &str, port: u16, sub_filter: &Value) -> Value {
    let mut filter = json!({ "name": "envoy.filters.network.http_connection_manager" });
    if !sub_filter.is_null() {
        filter["subFilter"] = json!({ "name": sub_filter });
    }
    json!({ "context": context, "listener": { "portNumber": port, "filterChain": { "filter": filter } } })
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
pub fn bodies(policy: &Policy, context: &str, port: u16) -> Option<Value> {
    let filter = bodies::filter(policy)?;
    Some(json!({
        "applyTo": "HTTP_FILTER",
        "match": at_manager(context, port, &"envoy.filters.http.cors".into()),
        "patch": { "operation": "INSERT_BEFORE", "value": filter },
    }))
}

/// How long a route's requests may be idle, how large their bodies may be, and upgrades: Istio's gateways let every connection become a
/// WebSocket. Of the Gateway API's routes also the retries.
fn of_routes(listeners: &[Value], port: u16, options: &Options) -> Vec<Value> {
    let hosts = listeners.iter().flat_map(virtual_hosts).enumerate();
    let all: Vec<_> = match options.target {
        Target::Selector(_) | Target::Sidecar(_) => {
            hosts.flat_map(|(number, host)| of_virtual_service(host, number)).collect()
        }
        Target::Gateway(_) => hosts.flat_map(|(number, host)| of_http_route(host, number)).collect(),
    };
    match all.split_first() {
        Some(((_, own), others)) if others.iter().all(|(_, other)| other == own) => {
            vec![patch(None, port, own)]
        }
        _ => all.iter().map(|(name, own)| patch(Some(name), port, own)).collect(),
    }
    .into_iter()
    .filter(|patch| patch["patch"]["value"] != json!({}))
    .collect()
}

/// Names of routes, and what of each has no API.
fn of_virtual_service(host: &Value, number: usize) -> Vec<(String, Value)> {
    let routes = host["routes"].as_array().into_iter().flatten().enumerate();
    let named = routes.flat_map(|(index, route)| {
        let name = routes::rule_name(number, index);
        let split = route["route"].get("retry_policy").map(|_| super::retry::once(&name));
        std::iter::once(name).chain(split).map(move |name| (name, route))
    });
    named.filter(|(_, route)| !route["route"].is_null()).map(|(name, route)| (name, own(route))).collect()
}

fn of_http_route(host: &Value, number: usize) -> Vec<(String, Value)> {
    let with_retries = |rule: gateway_api::Rule<'_>| {
        let mut own = own(rule.route);
        own["route"]["retry_policy"] = super::retry::merged(&rule.route["route"]);
        (rule.name, own)
    };
    gateway_api::rules(host, number).0.into_iter().map(with_retries).collect()
}

/// Where a request is led until the filter has named its service. Envoy decides on upgrades by that route, before any filter, and where
/// there is none, Istio's gateways allow them.
fn nowhere(port: u16) -> Value {
    let mut route = no_upgrade();
    route["name"] = gateway_api::NOWHERE.into();
    route["match"] = json!({ "prefix": "/" });
    route["route"]["cluster"] = gateway_api::NOWHERE.into();
    route["route"]["cluster_not_found_response_code"] = "NOT_FOUND".into();
    json!({
        "applyTo": "HTTP_ROUTE",
        "match": { "context": "GATEWAY", "routeConfiguration": { "portNumber": port } },
        // After no route that is named: at the end. (Istio does the same for ADD, which its analysis takes for a mistake.)
        "patch": { "operation": "INSERT_AFTER", "value": route },
    })
}

/// What keeps a route's connections from becoming WebSockets.
pub fn no_upgrade() -> Value {
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
