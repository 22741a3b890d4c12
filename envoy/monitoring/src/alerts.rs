//! Alerts, each with its tier, its texts and the runbook that says what to do.

use crate::rule::Rule;

/// How soon somebody must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Now, at any hour.
    Critical,
    /// On the same working day.
    Warning,
    /// Nobody is called; it inhibits others, or proves that alerting works.
    Info,
}

/// An alert, as written here.
struct Alert {
    name: &'static str,
    tier: Tier,
    expr: &'static str,
    hold: &'static str,
    summary: &'static str,
    description: &'static str,
}

impl Tier {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

const ALERTS: &[Alert] = &[
    Alert {
        name: "Watchdog",
        tier: Tier::Info,
        expr: "vector(1)",
        hold: "",
        summary: "Alerting works",
        description: "This alert always fires. Whoever receives it must raise an alarm when it stops: then nothing else would arrive either.",
    },
    Alert {
        name: "GatewayDown",
        tier: Tier::Critical,
        expr: r#"up{job="gateway"} == 0"#,
        hold: "1m",
        summary: "The gateway {{ $labels.instance }} is not scraped",
        description: "Prometheus has had no answer from {{ $labels.instance }} for a minute: the gateway is down, or its metrics are out of reach.",
    },
    Alert {
        name: "GatewayAbsent",
        tier: Tier::Critical,
        expr: r#"absent(up{job="gateway"})"#,
        hold: "2m",
        summary: "No gateway is known to Prometheus",
        description: "There is no target of the job `gateway`: service discovery finds none, or the scrape configuration is gone.",
    },
    Alert {
        name: "GatewayErrors",
        tier: Tier::Critical,
        expr: "gateway:server_errors:ratio_rate5m > 0.05",
        hold: "5m",
        summary: "{{ $value | humanizePercentage }} of requests fail",
        description: "More than 5 % of the requests of {{ $labels.job }} have ended in a 5xx for 5 minutes.",
    },
    Alert {
        name: "ServiceErrors",
        tier: Tier::Critical,
        expr: r#"sum by (job, target_service) (rate(gateway_proxy_errors_total{error_type="request_failed"}[5m])) > 0.1"#,
        hold: "2m",
        summary: "The service {{ $labels.target_service }} does not answer",
        description: "Requests to {{ $labels.target_service }} fail between gateway and service, {{ $value | humanize }} a second: refused, reset, timed out or no healthy host.",
    },
    Alert {
        name: "LatencyUnusual",
        tier: Tier::Warning,
        expr: "gateway:latency_seconds:p95_5m > 2 * gateway:latency_seconds:p95_1d and gateway:latency_seconds:p95_5m > 0.1 and on (job) gateway:requests:rate5m > 1",
        hold: "10m",
        summary: "Latency is more than twice its usual",
        description: "The 95th percentile is {{ $value | humanizeDuration }}, more than twice its average of the day before.",
    },
    Alert {
        name: "TokensRefused",
        tier: Tier::Warning,
        expr: r#"sum by (job) (increase(auth_jwt_validation_total{status="failure",reason="invalid_signature"}[5m])) > 20"#,
        hold: "",
        summary: "Tokens with bad signatures",
        description: "{{ $value | humanize }} tokens with a bad signature within 5 minutes: somebody forges tokens, or keys were changed without the gateway.",
    },
    Alert {
        name: "FailedLogins",
        tier: Tier::Warning,
        expr: r#"sum by (job) (increase(auth_suspicious_activity_total{type="brute_force"}[5m])) > 0"#,
        hold: "",
        summary: "A burst of failed logins",
        description: "{{ $value | humanize }} client networks were blocked from logging in within 5 minutes.",
    },
    Alert {
        name: "TokenAbuse",
        tier: Tier::Critical,
        expr: r#"sum by (job) (increase(auth_suspicious_activity_total{type="token_abuse"}[5m])) > 0"#,
        hold: "",
        summary: "One token is used from many networks",
        description: "{{ $value | humanize }} times within 5 minutes, a token was seen from more client networks than allowed: it may be stolen.",
    },
    Alert {
        name: "RateLimitStorm",
        tier: Tier::Warning,
        expr: "sum by (job) (rate(gateway_rate_limit_hits_total[5m])) > 10",
        hold: "5m",
        summary: "Many requests are refused by limits",
        description: "{{ $value | humanize }} requests a second have been refused by rate limits for 5 minutes.",
    },
    Alert {
        name: "BreakerOpen",
        tier: Tier::Critical,
        expr: "max by (job, service) (gateway_circuit_breaker_state) == 1",
        hold: "1m",
        summary: "The circuit breaker of {{ $labels.service }} is open",
        description: "Requests to {{ $labels.service }} are answered with 503 without being sent, because the service failed too often.",
    },
    Alert {
        name: "KeysTooOld",
        tier: Tier::Warning,
        expr: r#"gateway_jwt_document_age_seconds{document="keys"} > 3 * 3600"#,
        hold: "10m",
        summary: "Keys of {{ $labels.provider }} were not refreshed",
        description: "The keys in use are {{ $value | humanizeDuration }} old. When they reach their greatest age, every token of {{ $labels.provider }} is refused.",
    },
    Alert {
        name: "KeysMissing",
        tier: Tier::Critical,
        expr: r#"gateway_jwt_document_age_seconds{document="keys"} < 0"#,
        hold: "2m",
        summary: "There are no keys of {{ $labels.provider }}",
        description: "No fetch of the keys of {{ $labels.provider }} has succeeded: every token of it is answered with 503.",
    },
    Alert {
        name: "AuthServiceFailing",
        tier: Tier::Critical,
        expr: r#"sum by (job) (rate(gateway_auth_service_calls_total{status="failure"}[5m])) / (sum by (job) (rate(gateway_auth_service_calls_total[5m])) > 0) > 0.1"#,
        hold: "2m",
        summary: "The auth service gives no usable answers",
        description: "{{ $value | humanizePercentage }} of the calls to the auth service have failed for 2 minutes.",
    },
    Alert {
        name: "RequestsRefusedWaiting",
        tier: Tier::Warning,
        expr: "sum by (job) (increase(gateway_jwt_waiting_refused_total[5m])) > 0",
        hold: "",
        summary: "Requests could not wait for keys or for the auth service",
        description: "{{ $value | humanize }} requests were answered with 503 because as many waited as may.",
    },
    Alert {
        name: "SeriesCapReached",
        tier: Tier::Warning,
        expr: "sum by (job) (increase(portcullis_metric_series_overflow_total[15m])) > 0",
        hold: "",
        summary: "Metrics are counted as `other`",
        description: "`metrics.max_series` is reached: {{ $value | humanize }} events were counted under `other`.",
    },
    Alert {
        name: "FilterTrapped",
        tier: Tier::Critical,
        expr: "sum by (job) (increase(envoy_wasm_portcullis_vm_reload_success[10m])) > 0",
        hold: "",
        summary: "The filter crashed and was restarted",
        description: "A worker's VM trapped within the last 10 minutes. Requests of that worker were answered with 503 until it had a new one.",
    },
    // Envoy's own interface, and a listener that only redirects, have no filter. Where Envoy's stats are not scraped, there is no data.
    Alert {
        name: "FilterBypassed",
        tier: Tier::Critical,
        expr: r#"1 - ((sum by (job, instance) (rate(gateway_requests_total[2m])) + sum by (job, instance) (rate(gateway_uncounted_requests_total[2m]))) or 0 * sum by (job, instance) (rate(envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix!~"admin|.*-redirect"}[2m]))) / (sum by (job, instance) (rate(envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix!~"admin|.*-redirect"}[2m])) > 0) > 0.05"#,
        hold: "2m",
        summary: "Requests to {{ $labels.instance }} do not pass the filter",
        description: "{{ $value | humanizePercentage }} of the requests that Envoy has answered were not seen by the filter for 2 minutes: it is not there, or cannot run. They were refused, or passed unfiltered.",
    },
];

/// All alerts; runbooks and dashboards are found below these addresses.
pub fn all(runbooks: &str) -> Vec<Rule> {
    ALERTS.iter().map(|alert| rule(alert, runbooks)).collect()
}

fn rule(alert: &Alert, runbooks: &str) -> Rule {
    let rule = Rule {
        alert: alert.name.to_owned(),
        expr: alert.expr.to_owned(),
        hold: alert.hold.to_owned(),
        ..Rule::default()
    };
    let runbook = format!("{}/{}.md", runbooks.trim_end_matches('/'), alert.name);
    rule.label("severity", alert.tier.as_str())
        .annotated("summary", alert.summary)
        .annotated("description", alert.description)
        .annotated("runbook_url", runbook)
}
