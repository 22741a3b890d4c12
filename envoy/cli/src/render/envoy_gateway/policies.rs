//! The filter, and how clients and services are spoken to.

use super::{Options, PLANE, VERSION, object, services, target};
use crate::render::istio::FailStrategy;
use crate::render::kubernetes::{cors, duration, untranslatable};
use crate::render::{bodies, listener, local_replies};
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::{Value, json};

const CORS: &str = "envoy.filters.http.cors";

/// The filter on the whole Gateway.
pub fn extension(document: &Value, policy: &Policy, options: &Options) -> Value {
    let mut told = document.clone();
    told["proxy"] = json!({ "appends_peer": true });
    let mut image = json!({ "url": options.image.to_string() });
    if let Some(secret) = &options.pull_secret {
        image["pullSecretRef"] = json!({ "name": secret });
    }
    let mut wasm = json!({
        "name": "portcullis",
        "rootID": policy.gateway.name,
        "code": { "type": "Image", "image": image },
        "failOpen": options.fail_strategy == FailStrategy::Open,
        "config": told,
    });
    if !policy.environment.is_empty() {
        // Names only: the proxy hands over its own variables.
        wasm["env"] = json!({ "hostKeys": policy.environment });
    }
    let spec = json!({ "targetRefs": [target(options)], "wasm": [wasm] });
    object(VERSION, "EnvoyExtensionPolicy", "portcullis", options, spec)
}

/// What there is no field for: a VM that trapped comes back (the field has only open or closed), the clusters of the filter's own
/// calls, which no route names, and the error body of answers that Envoy gives before any filter has seen the request.
pub fn patch(clusters: &[Value], document: &Value, policy: &Policy, options: &Options) -> Value {
    let listener = format!("{}/{}/http", options.namespace, options.gateway);
    let reload = json!({
        "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": listener,
        "operation": {
            "op": "add",
            "jsonPath": "$..http_filters[?match(@.name, 'envoy.filters.http.wasm/.*')].typed_config.config",
            "path": "/failure_policy",
            "value": "FAIL_RELOAD",
        },
    });
    let called = called(document);
    let is_called = |cluster: &&Value| {
        let name = cluster["name"].as_str().unwrap_or_default();
        called.contains(&name) || policy.clusters.iter().any(|known| known.name == name)
    };
    let added = clusters.iter().filter(is_called).map(|cluster| {
        json!({
            "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": cluster["name"],
            "operation": { "op": "add", "path": "", "value": cluster },
        })
    });
    let replies = json!({
        "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": listener,
        "operation": {
            "op": "add",
            "jsonPath": "$..filters[?match(@.name, 'envoy.filters.network.http_connection_manager')].typed_config",
            "path": "/local_reply_config",
            "value": local_replies::local_replies(policy)["local_reply_config"],
        },
    });
    let reload = (options.fail_strategy == FailStrategy::Reload).then_some(reload);
    let spec = json!({
        "targetRef": target(options),
        "type": "JSONPatch",
        "jsonPatches": reload.into_iter().chain([replies]).chain(added).collect::<Vec<_>>(),
    });
    object(VERSION, "EnvoyPatchPolicy", "portcullis", options, spec)
}

/// The values of all fields that name clusters.
fn called(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(name) if key.ends_with("cluster") => vec![name],
                _ => called(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(called).collect(),
        _ => Vec::new(),
    }
}

/// Everything about traffic.
pub fn traffic(manager: &Value, policy: &Policy, options: &Options) -> Result<Vec<Value>, Vec<ConfigError>> {
    let connect = services::connect_timeout(policy)?;
    let mut backend = json!({
        "targetRefs": [target(options)],
        "timeout": { "tcp": { "connectTimeout": connect } },
    });
    if let Some(bodies) = bodies::filter(policy) {
        backend["requestBuffer"] =
            json!({ "limit": bodies["typed_config"]["max_request_bytes"].to_string() });
    }
    let mut objects = vec![
        object(VERSION, "ClientTrafficPolicy", &options.gateway, options, client(manager, policy, options)),
        object(VERSION, "BackendTrafficPolicy", &options.gateway, options, backend),
    ];
    let host = &manager["route_config"]["virtual_hosts"][0];
    let at = Node::top().key("cors").key("origins");
    let cors = cors(&host["typed_per_filter_config"][CORS])
        .map_err(|found| vec![untranslatable(&at, found, PLANE)])?;
    if let Some(cors) = cors {
        let spec = json!({ "targetRefs": [target(options)], "cors": cors });
        objects.push(object(VERSION, "SecurityPolicy", &options.gateway, options, spec));
    }
    Ok(objects)
}

fn client(manager: &Value, policy: &Policy, options: &Options) -> Value {
    let http2 = &manager["http2_protocol_options"];
    let mut spec = json!({
        "targetRefs": [target(options)],
        // Left to the filter, which refuses escaped slashes with a body and headers; left out here, they are answered with 307.
        "path": { "escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": false },
        "headers": {
            // Left out, requests with such a header are refused; the filter reads both spellings.
            "withUnderscoresAction": "Allow",
            "requestID": "Generate",
            "enableEnvoyHeaders": false,
        },
        "connection": { "bufferLimit": listener::BUFFER_BYTES.to_string() },
        "timeout": { "http": {
            "requestReceivedTimeout": duration(&manager["request_timeout"]),
            "requestHeadersReceivedTimeout": duration(&manager["request_headers_timeout"]),
            "streamIdleTimeout": duration(&manager["stream_idle_timeout"]),
            "idleTimeout": duration(&manager["common_http_protocol_options"]["idle_timeout"]),
        } },
        "http2": {
            "maxConcurrentStreams": http2["max_concurrent_streams"],
            "initialStreamWindowSize": http2["initial_stream_window_size"].to_string(),
            "initialConnectionWindowSize": http2["initial_connection_window_size"].to_string(),
        },
    });
    let hops = policy.client_ip.least_hops();
    if hops > 0 {
        spec["clientIPDetection"] = json!({ "xForwardedFor": { "numTrustedHops": hops } });
    }
    spec
}
