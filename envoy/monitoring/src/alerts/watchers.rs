//! Alerts on what watches: the log shipper, rules, messages.

use super::{Alert, Tier, critical, raised, warning};
use crate::query;

pub(super) fn all() -> Vec<Alert> {
    vec![
        raised("Watchdog", Tier::Info, query!("vector(1)").to_owned(), "").says(
            "Alerting works",
            "This alert always fires. Whoever receives it must raise an alarm when it stops: then nothing else would arrive either.",
            "security-overview",
        ),
        critical("ShipperDown", "2m", query!(r#"up{job="collector"} == 0"#)).says(
            "The log shipper {{ $labels.instance }} is down",
            "Prometheus has had no answer from {{ $labels.instance }} for 2 minutes: log lines do not arrive in the log store.",
            "security-events",
        ),
        critical(
            "ShipperDropping",
            "",
            query!(
                "sum by (job) (increase(otelcol_exporter_send_failed_log_records_total[5m])) > 0 or sum by (job) (increase(otelcol_exporter_enqueue_failed_log_records_total[5m])) > 0"
            ),
        )
        .says(
            "The log shipper drops lines",
            "{{ $value | humanize }} log lines of the last 5 minutes were not delivered.",
            "security-events",
        ),
        warning(
            "RulesFailing",
            "",
            query!("sum by (job, rule_group) (increase(prometheus_rule_evaluation_failures_total[5m])) > 0"),
        )
        .says(
            "Rules cannot be evaluated",
            "{{ $value | humanize }} evaluations of {{ $labels.rule_group }} failed within 5 minutes: alerts of this group may be missing.",
            "infrastructure-health",
        ),
        critical(
            "NotificationsFailing",
            "",
            query!("sum by (job, integration) (increase(alertmanager_notifications_failed_total[5m])) > 0"),
        )
        .says(
            "Alerts do not reach people",
            "{{ $value | humanize }} messages by {{ $labels.integration }} failed within 5 minutes.",
            "infrastructure-health",
        ),
    ]
}
