//! How a service is reached: health, limits, connections, retries. What the policy leaves out is left to Envoy.

use super::routes::seconds;
use portcullis_policy::{
    CircuitLimits, HashOn, HealthCheck, OutlierDetection, Protocol, Retry, RetryOn, Service,
};
use serde_json::{Value, json};

/// Adds to a service's cluster what its policy says.
pub(super) fn add(cluster: &mut Value, service: &Service) {
    if let Some(options) = protocol_options(service) {
        cluster["typed_extension_protocol_options"] =
            json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options });
    }
    if let (Some(interval), Protocol::Http1) = (service.keep_alive.probe_interval, service.protocol) {
        let interval = interval.0.as_secs();
        cluster["upstream_connection_options"] = json!({ "tcp_keepalive": {
            "keepalive_probes": 3, "keepalive_time": interval, "keepalive_interval": interval,
        } });
    }
    if let Some(check) = &service.health_check {
        cluster["health_checks"] = json!([health_check(check, service)]);
    }
    if let Some(outlier) = &service.outlier_detection {
        cluster["outlier_detection"] = outlier_detection(outlier);
    }
    cluster["circuit_breakers"] = json!({ "thresholds": [thresholds(service)] });
}

fn protocol_options(service: &Service) -> Option<Value> {
    let keep = &service.keep_alive;
    let mut common = json!({});
    if let Some(idle) = keep.idle_timeout {
        common["idle_timeout"] = seconds(idle.0).into();
    }
    if let Some(most) = keep.max_requests {
        common["max_requests_per_connection"] = most.into();
    }
    let is_usual = service.protocol == Protocol::Http1 && common == json!({});
    (!is_usual).then(|| {
        json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": common,
            "explicit_http_config": explicit(service),
        })
    })
}

fn explicit(service: &Service) -> Value {
    match (service.protocol, service.keep_alive.probe_interval) {
        (Protocol::Http1, _) => json!({ "http_protocol_options": {} }),
        (Protocol::Http2, None) => json!({ "http2_protocol_options": {} }),
        (Protocol::Http2, Some(interval)) => json!({ "http2_protocol_options": { "connection_keepalive": {
            "interval": seconds(interval.0), "timeout": "5s",
        } } }),
    }
}

fn health_check(check: &HealthCheck, service: &Service) -> Value {
    let mut rendered = json!({
        "timeout": seconds(check.timeout.0),
        "interval": seconds(check.interval.0),
        "unhealthy_threshold": check.unhealthy_threshold,
        "healthy_threshold": check.healthy_threshold,
        // Envoy's default of a minute would leave a service that nobody asks unwatched.
        "no_traffic_interval": seconds(check.interval.0),
    });
    match (&check.path, &check.grpc_service) {
        (Some(path), _) => {
            let codec = if service.protocol == Protocol::Http2 { "HTTP2" } else { "HTTP1" };
            rendered["http_health_check"] = json!({ "path": path, "codec_client_type": codec });
        }
        (None, name) => rendered["grpc_health_check"] = json!({ "service_name": name }),
    }
    rendered
}

fn outlier_detection(outlier: &OutlierDetection) -> Value {
    json!({
        "consecutive_5xx": outlier.consecutive_5xx,
        "interval": seconds(outlier.interval.0),
        "base_ejection_time": seconds(outlier.base_ejection_time.0),
        "max_ejection_percent": outlier.max_ejection_percent,
        // Envoy's other detectors, which nobody asked for.
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
    })
}

/// Always written out, so that who reads the configuration sees how much one service can take of the proxy.
fn thresholds(service: &Service) -> Value {
    let mut thresholds = circuit_limits(&service.circuit_limits.clone().unwrap_or_default());
    if let Some(budget) = service.retry.as_ref().and_then(|retry| retry.budget.as_ref()) {
        thresholds["retry_budget"] = json!({
            "budget_percent": { "value": budget.percent },
            "min_retry_concurrency": budget.min_concurrency,
        });
    }
    thresholds
}

/// The bounds of a service that names none, which are Envoy's own.
pub(in crate::render) fn usual_bounds() -> Value {
    json!({ "thresholds": [circuit_limits(&CircuitLimits::default())] })
}

fn circuit_limits(limits: &CircuitLimits) -> Value {
    json!({
        "max_connections": limits.max_connections,
        "max_pending_requests": limits.max_pending_requests,
        "max_requests": limits.max_requests,
        "max_retries": limits.max_retries,
    })
}

/// A service's retries, as its routes have them. Each goes to another endpoint, as far as there are any.
pub(super) fn retry_policy(retry: &Retry) -> Value {
    let on: Vec<_> = retry.on.iter().map(retry_on).collect();
    let mut policy = json!({
        "retry_on": on.join(","),
        "num_retries": retry.attempts,
        "retriable_request_headers": [super::matching::methods_matcher(&retry.methods)],
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": { "@type":
                "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" },
        }],
        "host_selection_retry_max_attempts": 3,
    });
    if let Some(timeout) = retry.per_try_timeout {
        policy["per_try_timeout"] = seconds(timeout.0).into();
    }
    policy
}

fn retry_on(reason: &RetryOn) -> &'static str {
    match reason {
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::RefusedStream => "refused-stream",
        RetryOn::Reset => "reset",
        RetryOn::GatewayError => "gateway-error",
        RetryOn::FiveXx => "5xx",
    }
}

/// What a ring or a table of endpoints is asked by, as a service's routes have it.
pub(super) fn hash_policy(hash: &HashOn) -> Value {
    match (&hash.header, &hash.cookie) {
        (Some(header), _) => json!([{ "header": { "header_name": header.to_ascii_lowercase() } }]),
        (None, Some(cookie)) => json!([{ "cookie": { "name": cookie } }]),
        (None, None) => json!([{ "connection_properties": { "source_ip": true } }]),
    }
}
