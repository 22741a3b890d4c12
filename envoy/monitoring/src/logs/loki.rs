//! Loki: how lines are kept, and the rules that only lines can tell.

use super::{LABELS, SECURITY_ACTIONS};
use crate::rule::Rule;
use crate::settings::Settings;
use serde_json::{Value, json};
use std::time::Duration;

/// Where Prometheus takes samples (`--web.enable-remote-write-receiver`).
const PROMETHEUS: &str = "http://127.0.0.1:9090/api/v1/write";

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
            // What it records of lines goes to Prometheus, whose alerts need it.
            "wal": { "dir": "/var/lib/loki/ruler-wal" },
            "remote_write": { "enabled": true, "clients": { "prometheus": { "url": PROMETHEUS } } },
        },
    })
}

/// Rules of Loki's ruler on the lines of the gateway with this name, to which its policy adds these fields; `has_users` says whether they
/// name users.
#[must_use]
pub fn rules(gateway: &str, fields: &[&str], has_users: bool, settings: &Settings) -> Value {
    let alerts = super::possible(alerts(gateway, fields, settings), has_users);
    let alerts = json!({ "name": "gateway-logs", "rules": alerts });
    json!({ "groups": [counts(gateway), alerts] })
}

/// Alerts on what no metric knows: who a user is, and what stands in a line.
#[must_use]
pub fn alerts(gateway: &str, fields: &[&str], settings: &Settings) -> Vec<Rule> {
    // A refusal has a line of the event, too: the request's own counts it once.
    let refused = format!(
        r#"sum by (user) (count_over_time({{service="{gateway}",level="WARN",action="request"}} | user!="" [10m])) > 50"#
    );
    let token = format!(
        r#"sum(count_over_time({{service="{gateway}"}}{} |~ "eyJ[A-Za-z0-9_-]{{16,}}[.]eyJ" [5m])) > 0"#,
        with_fields(fields)
    );
    vec![super::refused_often(refused, settings), super::token_in_log(token, settings)]
}

/// A line of Loki's is the message, with method and path; what a policy adds is metadata, and is looked through when it is written behind.
fn with_fields(fields: &[&str]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let fields: String = fields.iter().map(|field| format!(" {{{{.{field}}}}}")).collect();
    format!(" | line_format `{{{{__line__}}}}{fields}`")
}

/// What Prometheus cannot know of lines: how many the store has, and whose requests the newest security events are.
fn counts(gateway: &str) -> Value {
    let all = format!(r#"{{service="{gateway}"}}"#);
    let of = |more: &str| format!(r#"{{service="{gateway}",{more}}}"#);
    let actions = SECURITY_ACTIONS.join("|");
    let security = of(&format!(r#"action=~"{actions}""#));
    let unseen = of(r#"action="request""#);
    let record = |name: &str, expr: String| json!({ "record": name, "expr": expr });
    json!({ "name": "gateway-log-counts", "interval": "15s", "rules": [
        record("gateway_log:lines:count1h", format!("sum(count_over_time({all}[1h])) or vector(0)")),
        record("gateway_log:lines_by_action:count1h", format!("sum by (action) (count_over_time({all}[1h]))")),
        record("gateway_log:bytes:sum1h", format!("sum(bytes_over_time({all}[1h])) or vector(0)")),
        record("gateway_log:security_event:count5m", format!(
            r#"topk by (action, reason) (1, sum by (action, reason, request_id) (count_over_time({security}[5m]))) or topk by (action) (1, sum by (action, request_id) (count_over_time({unseen} | path="-" [5m])))"#
        )),
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_policy_are_looked_through_as_the_message_is() {
        let token = |fields: &[&str]| alerts("gateway", fields, &Settings::default())[1].expr.clone();
        let rest = r#" |~ "eyJ[A-Za-z0-9_-]{16,}[.]eyJ" [5m])) > 0"#;
        let begin = r#"sum(count_over_time({service="gateway"}"#;
        assert_eq!(token(&[]), format!("{begin}{rest}"));
        let written = " | line_format `{{__line__}} {{.tenant}} {{.agent}}`";
        assert_eq!(token(&["tenant", "agent"]), format!("{begin}{written}{rest}"));
    }
}
