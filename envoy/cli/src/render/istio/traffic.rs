//! How a service is spoken to, in the words of a `DestinationRule`'s traffic policy.
//!
//! What the policy leaves out is written too where Istio's defaults are not Envoy's: it balances by least request, and has no bounds.

use serde_json::{Map, Value, json};

/// The fields of a cluster that are translated here.
pub const KNOWN: [&str; 8] = [
    "connect_timeout",
    "transport_socket",
    "lb_policy",
    "common_lb_config",
    "circuit_breakers",
    "outlier_detection",
    "upstream_connection_options",
    "typed_extension_protocol_options",
];
/// Envoy's own bounds, which are in force where a policy has none.
const CONNECTIONS: u32 = 1024;
const RETRIES: u32 = 3;
const MAGLEV_TABLE: u32 = 65_537;

/// The traffic policy of a cluster. `hash` is what its routes hash requests by.
pub fn traffic_policy(cluster: &Value, hash: &Value) -> Value {
    let mut policy = json!({
        "loadBalancer": load_balancer(cluster, hash),
        "connectionPool": { "tcp": tcp(cluster), "http": http(cluster) },
    });
    if let Some(tls) = tls(&cluster["transport_socket"]["typed_config"]) {
        policy["tls"] = tls;
    }
    if let Some(outlier) = outlier_detection(cluster) {
        policy["outlierDetection"] = outlier;
    }
    if let Some(budget) = retry_budget(thresholds(cluster)) {
        policy["retryBudget"] = budget;
    }
    policy
}

fn load_balancer(cluster: &Value, hash: &Value) -> Value {
    let kind = match cluster["lb_policy"].as_str() {
        Some("RING_HASH") => "ringHash",
        Some("MAGLEV") => "maglev",
        simple => return json!({ "simple": simple.unwrap_or("ROUND_ROBIN") }),
    };
    let mut consistent = match (&hash[0]["header"]["header_name"], &hash[0]["cookie"]["name"]) {
        (Value::String(name), _) => json!({ "httpHeaderName": name }),
        // A time of zero makes no cookie where the client has none.
        (_, Value::String(name)) => json!({ "httpCookie": { "name": name } }),
        _ => json!({ "useSourceIp": true }),
    };
    // The size of Envoy's table; Istio wants it said.
    consistent[kind] = if kind == "maglev" { json!({ "tableSize": MAGLEV_TABLE }) } else { json!({}) };
    json!({ "consistentHash": consistent })
}

fn thresholds(cluster: &Value) -> &Value {
    &cluster["circuit_breakers"]["thresholds"][0]
}

/// A field of the thresholds, or Envoy's own bound.
fn bound(cluster: &Value, name: &str, usual: u32) -> Value {
    thresholds(cluster).get(name).cloned().unwrap_or_else(|| usual.into())
}

fn tcp(cluster: &Value) -> Value {
    let mut tcp = json!({
        "connectTimeout": cluster["connect_timeout"],
        "maxConnections": bound(cluster, "max_connections", CONNECTIONS),
    });
    let probes = &cluster["upstream_connection_options"]["tcp_keepalive"];
    if !probes.is_null() {
        tcp["tcpKeepalive"] = json!({
            "probes": probes["keepalive_probes"],
            "time": format!("{}s", probes["keepalive_time"]),
            "interval": format!("{}s", probes["keepalive_interval"]),
        });
    }
    tcp
}

/// Of a cluster's HTTP.
fn protocol(cluster: &Value) -> &Value {
    &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
}

/// Whether the service speaks HTTP/2.
pub fn is_http2(cluster: &Value) -> bool {
    !protocol(cluster)["explicit_http_config"]["http2_protocol_options"].is_null()
}

fn http(cluster: &Value) -> Value {
    let common = &protocol(cluster)["common_http_protocol_options"];
    let mut http = Map::new();
    http.insert("http1MaxPendingRequests".to_owned(), bound(cluster, "max_pending_requests", CONNECTIONS));
    http.insert("http2MaxRequests".to_owned(), bound(cluster, "max_requests", CONNECTIONS));
    http.insert("maxRetries".to_owned(), bound(cluster, "max_retries", RETRIES));
    let more = [
        ("idleTimeout", common.get("idle_timeout").cloned()),
        ("maxRequestsPerConnection", common.get("max_requests_per_connection").cloned()),
        // Istio would go by the port's name; the policy says it outright.
        ("h2UpgradePolicy", is_http2(cluster).then(|| "UPGRADE".into())),
        ("http2KeepAlive", pings(cluster)),
    ];
    http.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    http.into()
}

fn pings(cluster: &Value) -> Option<Value> {
    let pings =
        protocol(cluster)["explicit_http_config"]["http2_protocol_options"].get("connection_keepalive")?;
    Some(json!({ "interval": pings["interval"], "timeout": pings["timeout"] }))
}

fn outlier_detection(cluster: &Value) -> Option<Value> {
    let outlier = cluster.get("outlier_detection")?;
    let panic = cluster["common_lb_config"]["healthy_panic_threshold"].get("value");
    Some(json!({
        "consecutive5xxErrors": outlier["consecutive_5xx"],
        "interval": outlier["interval"],
        "baseEjectionTime": outlier["base_ejection_time"],
        "maxEjectionPercent": outlier["max_ejection_percent"],
        // Istio's name for the threshold below which health is ignored. Its default is never.
        "minHealthPercent": panic.cloned().unwrap_or_else(|| 50.into()),
    }))
}

fn retry_budget(thresholds: &Value) -> Option<Value> {
    let budget = thresholds.get("retry_budget")?;
    Some(json!({
        "percent": budget["budget_percent"]["value"],
        "minRetryConcurrency": budget["min_retry_concurrency"],
    }))
}

/// TLS to the service, with its certificate verified: Istio verifies none unless it has the certificate authority.
fn tls(context: &Value) -> Option<Value> {
    let common = &context["common_tls_context"];
    let validation = common["validation_context"].as_object()?;
    let names =
        validation.get("match_typed_subject_alt_names").and_then(Value::as_array).into_iter().flatten();
    let mut tls = json!({
        "mode": "SIMPLE",
        "caCertificates": validation.get("trusted_ca").map(|ca| &ca["filename"]),
        "subjectAltNames": names.map(|name| &name["matcher"]["exact"]).collect::<Vec<_>>(),
    });
    if let Some(own) = common["tls_certificates"].get(0) {
        tls["mode"] = "MUTUAL".into();
        tls["clientCertificate"] = own["certificate_chain"]["filename"].clone();
        tls["privateKey"] = own["private_key"]["filename"].clone();
    }
    if let Some(sni) = context["sni"].as_str() {
        tls["sni"] = sni.into();
    }
    Some(tls)
}
