//! Alerts on requests, services and their breakers.

use super::{Alert, critical, warning};
use crate::query;

pub(super) fn all() -> Vec<Alert> {
    vec![
        critical("GatewayDown", "1m", query!(r#"up{job="gateway"} == 0"#)).says(
            "The gateway {{ $labels.instance }} is not scraped",
            "Prometheus has had no answer from {{ $labels.instance }} for a minute: the gateway is down, or its metrics are out of reach.",
            "gateway-overview",
        ),
        critical("GatewayAbsent", "2m", query!(r#"absent(up{job="gateway"})"#)).says(
            "No gateway is known to Prometheus",
            "There is no target of the job `gateway`: service discovery finds none, or the scrape configuration is gone.",
            "gateway-overview",
        ),
        critical(
            "ServiceDown",
            "2m",
            query!(
                r#"(sum by (job, target_service) (rate(gateway_proxy_errors_total{error_type="request_failed"}[5m])) > 0.5 * sum by (job, target_service) (rate(gateway_routes_total[5m]))) and sum by (job, target_service) (increase(gateway_proxy_errors_total{error_type="request_failed"}[5m])) > 2"#
            ),
        )
        .says(
            "The service {{ $labels.target_service }} does not answer",
            "More than half of the requests to {{ $labels.target_service }} get no answer, {{ $value | humanize }} a second: refused, reset, timed out, no healthy host, or its breaker is open.",
            "service-health",
        ),
        critical("GatewayErrors", "5m", query!("gateway:server_errors:ratio_rate5m > 0.05")).says(
            "{{ $value | humanizePercentage }} of requests fail",
            "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end in a 5xx, and more than 5 % have for 5 minutes.",
            "gateway-overview",
        ),
        warning(
            "LatencyUnusual",
            "10m",
            query!(
                r#"gateway:latency_seconds:p95_5m > on (job) 2 * max by (job) (quantile_over_time(0.5, anomaly:signal:clean{signal="latency"}[1d])) and gateway:latency_seconds:p95_5m > 0.1 and on (job) gateway:requests:rate5m > 1"#
            ),
        )
        .says(
            "Latency is more than twice its usual",
            "The 95th percentile is {{ $value | humanizeDuration }}, more than twice the median of the day before.",
            "api-performance",
        ),
        warning("SignalUnusual", "10m", query!("anomaly:signal:out == 1")).says(
            "What is measured of {{ $labels.signal }} is not usual for this hour",
            "The signal {{ $labels.signal }} of {{ $labels.job }} has been outside its bands (same hour of the last days, same hour of the last weeks, last six hours) for 10 minutes.",
            "security-overview",
        ),
        critical("BreakerOpen", "1m", query!("max by (job, service) (gateway_circuit_breaker_state) == 1")).says(
            "The circuit breaker of {{ $labels.service }} is open",
            "Requests to {{ $labels.service }} are answered with 503 without being sent, because the service failed too often.",
            "security-monitoring",
        )
        .seen_in(query!(r#"gateway_log:security_event:count5m{action="circuit_breaker_change"}"#)),
    ]
}
