//! The filter itself, and who watches the watchers.

use super::{Case, case, event};

const OVERFLOW: &str = r#"portcullis_metric_series_overflow_total{job="gateway"}"#;
const TRAP: &str = r#"envoy_wasm_portcullis_vm_reload_success{job="envoy"}"#;
const REJECTED: &str = r#"portcullis_policy_rejections_total{job="gateway"}"#;
const GUARD: &str = r#"gateway_guard_failures_total{job="gateway",error="host"}"#;
const SEND_FAILED: &str =
    r#"otelcol_exporter_send_failed_log_records_total{job="collector",exporter="otlphttp"}"#;
const QUEUE_FULL: &str =
    r#"otelcol_exporter_enqueue_failed_log_records_total{job="collector",exporter="otlphttp"}"#;
const RULES: &str = r#"prometheus_rule_evaluation_failures_total{job="prometheus",rule_group="g"}"#;
const MESSAGES: &str = r#"alertmanager_notifications_failed_total{job="alertmanager",integration="slack"}"#;

pub fn cases() -> Vec<Case> {
    [
        event("SeriesCapReached", OVERFLOW, GUARD, 15),
        event("FilterTrapped", TRAP, GUARD, 10),
        event("PolicyRejected", REJECTED, GUARD, 5),
        event("GuardFailing", GUARD, TRAP, 5),
        event("ShipperDropping", SEND_FAILED, GUARD, 5),
        event("ShipperDropping", QUEUE_FULL, GUARD, 5),
        event("RulesFailing", RULES, GUARD, 5),
        event("NotificationsFailing", MESSAGES, GUARD, 5),
        bypassed(),
        stale(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What Envoy finishes and what the filter counts, in requests every 30 s.
fn bypassed() -> Vec<Case> {
    const KEY: &str = "FilterBypassed";
    let envoy = r#"envoy_http_downstream_rq_completed{job="envoy",envoy_http_conn_manager_prefix="gateway"}"#;
    let ours = r#"gateway_requests_total{job="gateway",status_code="200",endpoint="/a"}"#;
    let of = |envoys: &str, ours_count: &str| case(KEY, &[(envoy, envoys), (ours, ours_count)]);
    vec![
        of("0+600x90", "0+525x90").silent("10m").fires("15m").fires("20m"),
        of("0+600x90", "0+549x90").silent("20m"),
        of("0+600x90", "0+600x90").silent("20m"),
        of("0+600x90", "0x90").fires("20m"),
        of("0+24x90", "0x90").silent("20m"),
        of("0x90", "0x90").silent("20m"),
        case(
            KEY,
            &[
                (&envoy.replace("\"gateway\"", "\"admin\""), "0+6000x90"),
                (envoy, "0+60x90"),
                (ours, "0+60x90"),
            ],
        )
        .silent("20m"),
        // For twenty minutes, on top of what is counted.
        of("0+600x10 6000+2400x40 102000+600x60", "0+600x110").fires("28m").silent("31m"),
        // The filter is late by minutes, then counts all.
        of("0+600x20 12000x60", "0+600x60").silent("14m"),
        case(KEY, &[]).silent("20m"),
    ]
}

fn stale() -> Vec<Case> {
    const KEY: &str = "PolicyStale";
    let of = |instance: &str, policy: &str| {
        format!(r#"portcullis_policy_info{{job="gateway",instance="{instance}",policy="{policy}"}}"#)
    };
    let (a1, a2, b2) = (of("a", "p1"), of("a", "p2"), of("b", "p2"));
    vec![
        case(KEY, &[(&a1, "1x90"), (&b2, "1x90")]).silent("14m30s").fires("15m"),
        case(KEY, &[(&a2, "1x90"), (&b2, "1x90")]).silent("20m"),
        // The one that was is over.
        case(KEY, &[(&a1, "1x4 0x90"), (&a2, "0x4 1x90"), (&b2, "1x90")]).silent("20m"),
        case(KEY, &[]).silent("20m"),
    ]
}
