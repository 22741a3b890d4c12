//! Alerts, each with its tier, its texts, the dashboard that shows it and the runbook that says what to do.

use crate::query;
use crate::rule::Rule;
use crate::settings::Settings;

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
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// How soon somebody must look.
    pub tier: Tier,
    /// When it is raised.
    pub expr: String,
    /// How long that must hold.
    pub hold: &'static str,
    /// What is wrong, in a line.
    pub summary: &'static str,
    /// What is wrong, with values.
    pub description: &'static str,
    /// The uid of the dashboard that shows it.
    pub dashboard: &'static str,
    /// Which security events are its evidence: a query for series with a label `request_id`; empty where no request is.
    pub evidence: &'static str,
}

impl Tier {
    /// As the label `severity` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

const fn raised(name: &'static str, tier: Tier, expr: String, hold: &'static str) -> Alert {
    Alert { name, tier, expr, hold, summary: "", description: "", dashboard: "", evidence: "" }
}

/// A message can name only what a rule has in its hands when it fires, and metrics know no request. So the ruler of the log store records
/// the id of the newest request of each action and reason; a rule with evidence waits for it.
const WITH_EVIDENCE: &str = "1m";

impl Alert {
    fn says(self, summary: &'static str, description: &'static str, dashboard: &'static str) -> Self {
        Self { summary, description, dashboard, ..self }
    }

    fn seen_in(self, evidence: &'static str) -> Self {
        Self { evidence, ..self }
    }

    /// The ids of requests, and the address of their log lines, as templates of annotations.
    fn evidence(&self, settings: &Settings) -> [(&'static str, String); 2] {
        let each = |between: &str| {
            format!(
                "{{{{ range $at, $seen := . }}}}{{{{ if $at }}}}{between}{{{{ end }}}}{{{{ $seen.Labels.request_id }}}}{{{{ end }}}}"
            )
        };
        let where_known =
            |text: String| format!("{{{{ with query `{}` }}}}{text}{{{{ end }}}}", self.evidence);
        let lines = format!("{}/security-events?var-request_id={}", settings.dashboards(), each("%7C"));
        [("request_ids", where_known(each(" "))), ("lines_url", where_known(lines))]
    }

    /// Its rule.
    #[must_use]
    pub fn rule(&self, settings: &Settings) -> Rule {
        let rule = Rule {
            alert: self.name.to_owned(),
            expr: self.expr.clone(),
            hold: self.hold.to_owned(),
            ..Rule::default()
        };
        // It inhibits others by the name that they have for its service.
        let rule = match self.name {
            "ServiceDown" => rule.label("service", "{{ $labels.target_service }}"),
            _ => rule,
        };
        let rule = rule
            .label("severity", self.tier.as_str())
            .annotated("summary", self.summary)
            .annotated("description", self.description)
            .annotated("dashboard_url", format!("{}/{}", settings.dashboards(), self.dashboard))
            .annotated("runbook_url", settings.runbook(self.name));
        match self.evidence {
            "" => rule,
            _ => self
                .evidence(settings)
                .into_iter()
                .fold(rule, |rule, (name, text)| rule.annotated(name, text)),
        }
    }
}

/// All alerts but those on error budgets.
#[must_use]
pub fn all() -> Vec<Alert> {
    [of_traffic(), of_security(), of_tokens(), of_the_filter(), of_the_watchers()].concat()
}

fn critical(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    raised(name, Tier::Critical, expr.to_owned(), hold)
}

fn warning(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    raised(name, Tier::Warning, expr.to_owned(), hold)
}

fn of_traffic() -> Vec<Alert> {
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

fn of_security() -> Vec<Alert> {
    vec![
        warning(
            "FailedLogins",
            WITH_EVIDENCE,
            query!(r#"sum by (job) (increase(auth_suspicious_activity_total{type="brute_force"}[5m])) > 0"#),
        )
        .says(
            "A burst of failed logins",
            "{{ $value | humanize }} client networks were blocked from logging in within 5 minutes.",
            "authentication-analytics",
        )
        .seen_in(query!(
            r#"gateway_log:security_event:count5m{action="suspicious_activity",reason="brute_force"}"#
        )),
        critical(
            "TokenAbuse",
            WITH_EVIDENCE,
            query!(r#"sum by (job) (increase(auth_suspicious_activity_total{type="token_abuse"}[5m])) > 0"#),
        )
        .says(
            "One token is used from many networks",
            "{{ $value | humanize }} times within 5 minutes, a token was seen from more client networks than allowed: it may be stolen.",
            "security-events",
        )
        .seen_in(query!(
            r#"gateway_log:security_event:count5m{action="suspicious_activity",reason="token_abuse"}"#
        )),
        // A mean of five minutes, so a longer hold would make the message of a storm that begins now later than five.
        warning("RateLimitStorm", "1m", query!("gateway:rate_limit_hits:rate5m > 10"))
            .says(
                "Many requests are refused by limits",
                "{{ $value | humanize }} requests a second are refused by rate limits, as a mean of 5 minutes.",
                "security-monitoring",
            )
            .seen_in(query!(r#"gateway_log:security_event:count5m{action="rate_limit_violation"}"#)),
        critical(
            "HeadersNotInjected",
            "1m",
            query!(
                r#"slo:invariant:difference{slo="header_injection"} > min_over_time(slo:invariant:difference{slo="header_injection"}[1h])"#
            ),
        )
        .says(
            "Requests went to services without the trust headers",
            "{{ $value | humanize }} requests that services answered did not have the trust headers: services cannot believe what they read there.",
            "security-monitoring",
        ),
        // What increase() extrapolates differs by less than one scrape in an hour.
        critical("AuditGap", "5m", AUDIT_GAP).says(
            "Security events are missing from the log store",
            "{{ $value | humanize }} security events of the last hour have no line in the log store, or there are lines of none.",
            "security-events",
        ),
        warning("AuditUnknown", "10m", query!("absent(gateway_log:lines:count1h)")).says(
            "Nobody counts the lines in the log store",
            "Prometheus gets no `gateway_log:lines:count1h` from the ruler of the log store: whether security events are missing there is not known.",
            "security-events",
        ),
    ]
}

/// More is missing than what `increase` may be wrong by: half an event, and what it extrapolates, which is the share of one scrape at most:
/// 1 % of an hour's, and more while a gateway has not been scraped for so long.
const AUDIT_GAP: &str = query!(
    r#"abs(slo:invariant:difference{slo="audit"}) > on () 0.5 + 1.2 * sum(increase(portcullis_log_lines_total{kind="security"}[1h]) / count_over_time(portcullis_log_lines_total{kind="security"}[1h]))"#
);

fn of_tokens() -> Vec<Alert> {
    vec![
        warning(
            "TokensRefused",
            "",
            query!(
                r#"sum by (job) (increase(auth_jwt_validation_total{status="failure",reason="invalid_signature"}[5m])) > 20"#
            ),
        )
        .says(
            "Tokens with bad signatures",
            "{{ $value | humanize }} tokens with a bad signature within 5 minutes: somebody forges tokens, or keys were changed without the gateway.",
            "authentication-analytics",
        ),
        warning("KeysTooOld", "10m", query!(r#"gateway_jwt_document_age_seconds{document="keys"} > 10800"#)).says(
            "Keys of {{ $labels.provider }} were not refreshed",
            "The keys in use are {{ $value | humanizeDuration }} old. When they reach their greatest age, every token of {{ $labels.provider }} is refused.",
            "authentication-performance",
        ),
        critical("KeysMissing", "2m", query!(r#"gateway_jwt_document_age_seconds{document="keys"} < 0"#)).says(
            "There are no keys of {{ $labels.provider }}",
            "No fetch of the keys of {{ $labels.provider }} has succeeded: every token of it is answered with 503.",
            "authentication-performance",
        ),
        critical(
            "AuthServiceFailing",
            "2m",
            query!(
                r#"sum by (job) (rate(gateway_auth_service_calls_total{status="failure"}[5m])) / (sum by (job) (rate(gateway_auth_service_calls_total[5m])) > 0) > 0.1"#
            ),
        )
        .says(
            "The auth service gives no usable answers",
            "{{ $value | humanizePercentage }} of the calls to the auth service fail, and more than 10 % have for 2 minutes.",
            "integration-health",
        ),
        warning(
            "AuthServiceSlow",
            "5m",
            query!(
                r#"gateway:auth_service_latency_seconds:p95_5m > 0.1 and on (job) sum by (job) (rate(gateway_auth_service_calls_total[5m])) > 0.1"#
            ),
        )
        .says(
            "The auth service takes more than 100 ms",
            "The 95th percentile of the calls to the auth service is {{ $value | humanizeDuration }}, and has been above 100 ms for 5 minutes.",
            "integration-health",
        ),
        warning(
            "RequestsRefusedWaiting",
            "",
            query!("sum by (job) (increase(gateway_jwt_waiting_refused_total[5m])) > 0"),
        )
        .says(
            "Requests could not wait for keys or for the auth service",
            "{{ $value | humanize }} requests of the last 5 minutes were answered with 503 because as many waited as may.",
            "authentication-performance",
        ),
    ]
}

fn of_the_filter() -> Vec<Alert> {
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

fn of_the_watchers() -> Vec<Alert> {
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
