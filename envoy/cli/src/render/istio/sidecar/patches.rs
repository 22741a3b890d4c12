//! What Istio has no API for: how a sidecar's listener treats connections and requests before the filter sees them.

use super::Options;
use crate::render::istio::envoy_filter::{at_manager, bodies, filter, no_upgrade};
use crate::render::istio::gateway::manager;
use crate::render::{self, listener, local_replies};
use portcullis_policy::{Policy, Route};
use serde_json::{Value, json};

/// Where the patches apply: to what comes in to a pod.
const INBOUND: &str = "SIDECAR_INBOUND";
/// What the static bootstrap's connection manager has and a sidecar's gets too.
///
/// `use_remote_address` before all: without it Envoy takes a connection's address from what its client wrote into X-Forwarded-For, and
/// whoever reaches the pod could name itself one of `source.require.exempt_networks`.
const KEPT: [&str; 11] = [
    "use_remote_address",
    "xff_num_trusted_hops",
    "server_header_transformation",
    "normalize_path",
    "merge_slashes",
    "strip_trailing_host_dot",
    "request_headers_timeout",
    "request_timeout",
    "stream_idle_timeout",
    "common_http_protocol_options",
    "http2_protocol_options",
];

/// What a route says of Envoy's route, as Envoy has it; nothing where it says nothing.
#[derive(PartialEq)]
pub struct Facet {
    /// The field of the policy's route.
    pub name: &'static str,
    /// In the policy's words.
    pub said: String,
    /// As it is rendered.
    pub value: Value,
}

/// All of a route.
pub fn facets(policy: &Policy, route: &Route) -> [Facet; 4] {
    let action = render::routes::action(policy, route);
    let body = render::bodies::on_route(policy, route).map(|(_, own)| own).unwrap_or_default();
    let facet = |name, key: &str| {
        let value = action[key].clone();
        Facet { name, said: value.as_str().map_or("nothing".to_owned(), |text| format!("`{text}`")), value }
    };
    let upgrades = if route.upgrades.is_empty() { "nothing" } else { "`[websocket]`" };
    let bytes = route.max_body_bytes.map_or("no bound".to_owned(), |most| format!("`{most}`"));
    [
        facet("timeout", "timeout"),
        facet("idle_timeout", "idle_timeout"),
        Facet { said: upgrades.to_owned(), ..facet("upgrades", "upgrade_configs") },
        Facet { name: "max_body_bytes", said: bytes, value: body },
    ]
}

/// The objects.
pub fn filters(policy: &Policy, listeners: &[Value], port: u16, options: &Options) -> Vec<Value> {
    let listening = std::iter::once(of_manager(policy, listeners, port)).chain(bodies(policy, INBOUND, port));
    let mut objects = vec![filter("listeners", listening.collect(), options)];
    objects.extend(
        policy.routes.first().map(|route| filter("routes", vec![of_route(policy, route, port)], options)),
    );
    objects
}

fn of_manager(policy: &Policy, listeners: &[Value], port: u16) -> Value {
    let mut value = local_replies::local_replies(policy);
    value["@type"] = listener::HCM.into();
    value["http_protocol_options"] = listener::http_protocol_options();
    // A request's id is part of what its gateway signed. Whether it is taken over is the filter's to say, so Envoy leaves it: it neither
    // makes one anew for clients outside the mesh, nor writes into it whether the request is traced.
    value["preserve_external_request_id"] = true.into();
    value["request_id_extension"] = json!({ "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        "pack_trace_reason": false,
    } });
    let rendered = listeners.first().map_or(&Value::Null, manager);
    for name in KEPT {
        if let Some(setting) = rendered.get(name) {
            value[name] = setting.clone();
        }
    }
    json!({
        "applyTo": "NETWORK_FILTER",
        "match": at_manager(INBOUND, port, &Value::Null),
        "patch": { "operation": "MERGE", "value": { "typed_config": value } },
    })
}

/// Istio has one route for all that comes to a port, without an end and open for WebSockets. All of the policy's are alike in this.
fn of_route(policy: &Policy, route: &Route, port: u16) -> Value {
    let [timeout, idle, upgrades, body] = facets(policy, route).map(|facet| facet.value);
    let mut value = if upgrades.is_null() { no_upgrade() } else { json!({ "route": {} }) };
    if timeout != "0s" {
        value["route"]["timeout"] = timeout;
    }
    if !idle.is_null() {
        value["route"]["idle_timeout"] = idle;
    }
    if !body.is_null() {
        value["typed_per_filter_config"] = json!({ render::bodies::FILTER: body });
    }
    let route = json!({ "action": "ROUTE" });
    json!({
        "applyTo": "HTTP_ROUTE",
        "match": {
            "context": INBOUND,
            "routeConfiguration": { "portNumber": port, "vhost": { "route": route } },
        },
        "patch": { "operation": "MERGE", "value": value },
    })
}
