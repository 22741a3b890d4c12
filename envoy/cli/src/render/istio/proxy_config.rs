//! How a gateway's proxies are set up: the annotation `proxy.istio.io/config` of its pods.

use super::gateway::manager;
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// The annotation's name.
pub const ANNOTATION: &str = "proxy.istio.io/config";

/// Its value, as YAML.
pub fn annotation(policy: &Policy, listeners: &[Value]) -> String {
    serde_saphyr::to_string(&proxy_config(policy, listeners)).unwrap_or_default()
}

fn proxy_config(policy: &Policy, listeners: &[Value]) -> Value {
    json!({
        "gatewayTopology": { "numTrustedProxies": policy.client_ip.least_hops() },
        // No banner, and nothing that tells of Envoy.
        "proxyHeaders": {
            "server": { "disabled": true },
            "envoyDebugHeaders": { "disabled": true },
            "attemptCount": { "disabled": true },
        },
        "proxyStatsMatcher": {
            // Envoy's own count of requests, to hold against the filter's: a bypassed filter shows there.
            "inclusionRegexps": ["http\\..*\\.downstream_rq_completed", "http\\..*\\.downstream_rq_total"],
            // Whether a plugin was taken or refused: nothing else tells.
            "inclusionPrefixes": ["extension_config_discovery"],
        },
        "connectionSettings": connection_settings(listeners),
    })
}

/// The bounds of the rendered listener. `httpPathWithEscapedSlashesAction` is left out: Istio leaves `%2F` alone then, and the filter
/// answers it, with a body and headers that Envoy's own 400 would not have.
fn connection_settings(listeners: &[Value]) -> Value {
    let manager = listeners.first().map(manager).unwrap_or(&Value::Null);
    let http2 = &manager["http2_protocol_options"];
    json!({
        "httpMergeSlashes": true,
        "httpRequestHeadersTimeout": manager["request_headers_timeout"],
        "httpStreamIdleTimeout": manager["stream_idle_timeout"],
        "httpIdleTimeout": manager["common_http_protocol_options"]["idle_timeout"],
        "httpMaxConcurrentStreams": http2["max_concurrent_streams"],
        "http2InitialStreamWindowSize": http2["initial_stream_window_size"],
        "http2InitialConnectionWindowSize": http2["initial_connection_window_size"],
    })
}
