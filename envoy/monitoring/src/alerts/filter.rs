//! Alerts on the filter and its policy.

use super::{Alert, WITH_EVIDENCE, critical, warning};
use crate::query;

pub(super) fn all() -> Vec<Alert> {
    vec![
        critical(
            "FilterTrapped",
            WITH_EVIDENCE,
            query!("sum by (job) (increase(envoy_wasm_portcullis_vm_reload_success[10m])) > 0"),
        )
        .says(
            "The filter crashed and was restarted",
            "{{ $value | humanize }} times within 10 minutes, a worker's VM trapped. Requests of that worker were answered with 503 until it had a new one.",
            "security-monitoring",
        )
        .seen_in(query!(r#"gateway_log:security_event:count5m{action="request"}"#)),
        critical(
            "FilterBypassed",
            "10m",
            query!(
                r#"sum(rate(envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix!~"admin|agent|stats|.*-redirect"}[5m])) - (sum(rate(gateway_requests_total[5m])) or vector(0)) - (sum(rate(gateway_uncounted_requests_total[5m])) or vector(0)) > 0.05 * sum(rate(envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix!~"admin|agent|stats|.*-redirect"}[5m]))"#
            ),
        )
        .says(
            "Requests do not pass the filter",
            "Envoy finishes {{ $value | humanize }} requests a second that the filter does not see, and more than 5 % of all for 10 minutes: the filter is not there, or cannot run. They were refused, or passed unfiltered.",
            "security-monitoring",
        ),
        warning(
            "PolicyRejected",
            "",
            query!("sum by (job) (increase(portcullis_policy_rejections_total[5m])) > 0"),
        )
        .says(
            "A policy was rejected",
            "{{ $value | humanize }} times within 5 minutes a policy was handed over and rejected: the one before serves on.",
            "gateway-overview",
        ),
        warning(
            "PolicyStale",
            "15m",
            query!("count by (job) (count by (job, policy) (portcullis_policy_info == 1)) > 1"),
        )
        .says(
            "Gateways run different policies",
            "{{ $value }} different policies have been in force for 15 minutes: some gateway did not take the new one.",
            "gateway-overview",
        ),
        warning(
            "SeriesCapReached",
            "",
            query!("sum by (job) (increase(portcullis_metric_series_overflow_total[15m])) > 0"),
        )
        .says(
            "Metrics are counted as `other`",
            "`metrics.max_series` is reached: {{ $value | humanize }} events of the last 15 minutes were counted under `other`.",
            "gateway-overview",
        ),
        warning("GuardFailing", "", query!("sum by (job, error) (increase(gateway_guard_failures_total[5m])) > 0"))
            .says(
                "Limits or blocks could not be read",
                "{{ $value | humanize }} times within 5 minutes the state of a limit, a block or a breaker could not be read or changed ({{ $labels.error }}).",
                "security-monitoring",
            ),
        warning(
            "MetricsMissing",
            "5m",
            query!(r#"up{job="gateway"} == 1 unless on (job, instance) gateway_requests_total"#),
        )
        .says(
            "The gateway {{ $labels.instance }} is scraped, but says nothing of requests",
            "{{ $labels.instance }} has answered scrapes for 5 minutes without `gateway_requests_total`: the filter is not loaded there, or the page is another's.",
            "gateway-overview",
        ),
    ]
}
