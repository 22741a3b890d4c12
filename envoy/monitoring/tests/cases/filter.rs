//! The filter itself, and who watches the watchers.

use super::{Case, case, event, event_held};

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
        vec![case("FilterTrapped", &[(TRAP, "0x8 1x90")]).silent("5m").fires("5m30s")],
        event_held("FilterTrapped", TRAP, GUARD, 10),
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
    let left_out = r#"gateway_uncounted_requests_total{job="gateway"}"#;
    let of = |envoys: &str, counted: &str, uncounted: &str| {
        case(KEY, &[(envoy, envoys), (ours, counted), (left_out, uncounted)])
    };
    let of_prefix = |prefix: &str| {
        let other = envoy.replace("\"gateway\"", &format!("\"{prefix}\""));
        case(KEY, &[(&other, "0+6000x90"), (envoy, "0+60x90"), (ours, "0+60x90")]).silent("20m")
    };
    let mut cases = vec![
        of("0+600x90", "0+540x90", "0+18x90").silent("10m").fires("15m").fires("20m"),
        of("0+600x90", "0+560x90", "0+15x90").silent("20m"),
        of("0+600x90", "0+600x90", "0x90").silent("20m"),
        of("0+600x90", "0x90", "0x90").fires("20m"),
        // Nothing but a balancer's questions.
        of("0+24x90", "0x90", "0+24x90").silent("20m"),
        // The proxy has started without the filter: there are no series of it.
        case(KEY, &[(envoy, "0+24x90")]).fires("20m"),
        of("0x90", "0x90", "0x90").silent("20m"),
        of_prefix("admin"),
        of_prefix("gateway-redirect"),
        of_prefix("agent"),
        of_prefix("stats"),
        // For twenty minutes, on top of what is counted.
        of("0+600x10 6000+2400x40 102000+600x60", "0+600x110", "0x110").fires("28m").silent("31m"),
        // The filter is late by minutes, then counts all.
        of("0+600x20 12000x60", "0+600x60", "0x80").silent("14m"),
        case(KEY, &[]).silent("20m"),
        // What others finish does not raise what may be missing.
        case(
            KEY,
            &[
                (&envoy.replace("\"gateway\"", "\"admin\""), "0+6000x90"),
                (envoy, "0+600x90"),
                (ours, "0+540x90"),
            ],
        )
        .fires("20m"),
    ];
    // In every five minutes a sixth is missing, though it comes and goes in them; over ten minutes it does, and in five it does not.
    for (half, fires) in [(5, true), (10, false)] {
        let (counted, all, most) = (waves(160, 840, half), waves(200, 1000, half), waves(160, 960, half));
        for case in
            [of("0+600x120", &counted, "0x120"), of("0+600x120", "0x120", &counted), of(&all, &most, "0x120")]
        {
            cases.push(if fires { case.fires("30m") } else { case.silent("30m") });
        }
    }
    cases
}

/// A counter that rises by `low` for some samples, then by `high` for as many, and so on, for an hour.
fn waves(low: u64, high: u64, half: u64) -> String {
    let rises = (0..120).map(|sample| if (sample / half).is_multiple_of(2) { low } else { high });
    let values = rises.scan(0, |sum, rise| {
        *sum += rise;
        Some(sum.to_string())
    });
    values.collect::<Vec<_>>().join(" ")
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
