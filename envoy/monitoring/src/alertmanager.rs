//! Who hears of which alert, and when.

use crate::settings::Settings;
use serde_json::{Value, json};

/// Alertmanager's configuration. Critical alerts go to the team and, by e-mail, to whoever is on call, at any hour; warnings to the
/// team in business hours; the rest nowhere but to Alertmanager's own page.
pub fn config(settings: &Settings) -> Value {
    let receivers = &settings.receivers;
    let hours = &settings.business_hours;
    let days: Value = vec![hours.days.clone()].into();
    json!({
        "global": {
            "resolve_timeout": "5m",
            "smtp_from": receivers.email_from,
            "smtp_smarthost": receivers.smtp_server,
            "smtp_require_tls": false,
        },
        "time_intervals": [{
            "name": "business-hours",
            "time_intervals": [{
                "weekdays": days,
                "times": [{ "start_time": hours.from, "end_time": hours.to }],
                "location": hours.time_zone,
            }],
        }],
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "job"],
            "group_wait": "15s",
            "group_interval": "2m",
            "repeat_interval": "4h",
            "routes": [
                { "receiver": "team-and-on-call", "matchers": ["severity=\"critical\""], "repeat_interval": "1h" },
                {
                    "receiver": "team",
                    "matchers": ["severity=\"warning\""],
                    "active_time_intervals": ["business-hours"],
                },
            ],
        },
        // What is down fails in every other way as well.
        "inhibit_rules": [
            {
                "source_matchers": ["alertname=~\"GatewayDown|GatewayAbsent\""],
                "target_matchers": ["severity=~\"critical|warning\"", "alertname!~\"GatewayDown|GatewayAbsent\""],
                "equal": ["job"],
            },
            {
                "source_matchers": ["severity=\"critical\""],
                "target_matchers": ["severity=\"warning\""],
                "equal": ["alertname", "job", "slo"],
            },
        ],
        "receivers": [
            { "name": "nobody" },
            { "name": "team", "slack_configs": [slack(settings)] },
            {
                "name": "team-and-on-call",
                "slack_configs": [slack(settings)],
                "email_configs": [{
                    "to": receivers.escalation_email,
                    "send_resolved": true,
                    "headers": { "Subject": "[{{ .Status }}] {{ .CommonLabels.alertname }}: {{ .CommonAnnotations.summary }}" },
                    "text": TEXT,
                    "html": "",
                }],
            },
        ],
    })
}

fn slack(settings: &Settings) -> Value {
    json!({
        "api_url_file": settings.receivers.slack_url_file,
        "channel": settings.receivers.slack_channel,
        "send_resolved": true,
        "title": "[{{ .Status | toUpper }}] {{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }}",
        "text": TEXT,
    })
}

/// What, where, since when, how bad, and what to do.
const TEXT: &str = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n\
    Since {{ .StartsAt }}{{ range .Labels.SortedPairs }}; {{ .Name }}={{ .Value }}{{ end }}\n\
    Runbook: {{ .Annotations.runbook_url }}\n{{ end }}";
