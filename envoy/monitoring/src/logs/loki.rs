//! Loki: how lines are kept, and the rules that only lines can tell.

use super::LABELS;
use serde_json::{Value, json};
use std::time::Duration;

/// A single Loki that keeps lines for so long: whole days.
#[must_use]
pub fn config(retention: Duration) -> Value {
    let hours = retention.as_secs() / 86_400 * 24;
    json!({
        "auth_enabled": false,
        "server": { "http_listen_port": 3100 },
        "common": {
            "path_prefix": "/var/lib/loki",
            "replication_factor": 1,
            "ring": { "kvstore": { "store": "inmemory" } },
            "storage": { "filesystem": { "chunks_directory": "/var/lib/loki/chunks", "rules_directory": "/etc/loki/rules" } },
        },
        "schema_config": { "configs": [{
            "from": "2024-04-01", "store": "tsdb", "object_store": "filesystem", "schema": "v13",
            "index": { "prefix": "index_", "period": "24h" },
        }] },
        "limits_config": {
            "retention_period": format!("{hours}h"),
            "allow_structured_metadata": true,
            "max_label_names_per_series": LABELS.len(),
            "max_global_streams_per_user": 1_000,
            "otlp_config": {
                "resource_attributes": {
                    "ignore_defaults": true,
                    "attributes_config": [{ "action": "index_label", "attributes": LABELS }],
                },
            },
        },
        "compactor": {
            "working_directory": "/var/lib/loki/compactor", "retention_enabled": true, "delete_request_store": "filesystem",
        },
        "ruler": {
            "storage": { "type": "local", "local": { "directory": "/etc/loki/rules" } },
            "rule_path": "/var/lib/loki/rules-temp",
            "alertmanager_url": "http://127.0.0.1:9093",
            "enable_alertmanager_v2": true,
        },
    })
}

/// Rules of Loki's ruler, for what no metric knows: who a user is, and what stands in a line.
#[must_use]
pub fn rules(gateway: &str) -> Value {
    let refused = format!(
        r#"sum by (user) (count_over_time({{service="{gateway}",level="WARN"}} | user!="" [10m])) > 50"#
    );
    let token = format!(
        r#"sum(count_over_time({{service="{gateway}"}} |~ "eyJ[A-Za-z0-9_-]{{16,}}[.]eyJ" [5m])) > 0"#
    );
    let alert = |name: &str, expr: &str, severity: &str, summary: &str, description: &str| {
        json!({
            "alert": name, "expr": expr, "labels": { "severity": severity },
            "annotations": { "summary": summary, "description": description },
        })
    };
    json!({ "groups": [{ "name": "gateway-logs", "rules": [
        alert("UserRefusedOften", &refused, "warning", "{{ $labels.user }} is refused again and again",
            "{{ $value }} refusals of one user within 10 minutes: a client gone wrong, or an account in other hands."),
        alert("TokenInLog", &token, "critical", "A token stands in a log line",
            "A line of the gateway has what looks like a signed token. Nothing of the gateway writes one: find out what does, and revoke it."),
    ] }] })
}
