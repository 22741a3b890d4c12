//! Series that dashboards and alerts share, computed once.

use crate::query;
use crate::rule::{Group, Rule};

/// A series that a rule records.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// Its name.
    pub name: &'static str,
    /// The labels that it keeps.
    pub labels: &'static [&'static str],
}

const fn of(name: &'static str, labels: &'static [&'static str]) -> Recorded {
    Recorded { name, labels }
}

const JOB: &[&str] = &["job"];
const SLO: &[&str] = &["job", "slo"];
const SIGNAL: &[&str] = &["job", "signal"];

/// All of them: what [`crate::query!`] may name besides metrics. The rules stand below, in [`crate::slo`] and in [`crate::anomaly`].
pub const RECORDED: &[Recorded] = &[
    of("gateway:requests:rate5m", JOB),
    of("gateway_endpoint:requests:rate5m", &["job", "endpoint"]),
    of("gateway_service:requests:rate5m", &["job", "target_service"]),
    of("gateway:server_errors:ratio_rate5m", JOB),
    of("gateway_endpoint:server_errors:ratio_rate5m", &["job", "endpoint"]),
    of("gateway:latency_seconds:p50_5m", JOB),
    of("gateway:latency_seconds:p95_5m", JOB),
    of("gateway:latency_seconds:p99_5m", JOB),
    of("gateway_endpoint:latency_seconds:p95_5m", &["job", "endpoint"]),
    of("gateway:token_failures:ratio_rate5m", JOB),
    of("gateway:auth_service_latency_seconds:p95_5m", JOB),
    of("gateway:failed_logins:rate5m", JOB),
    of("gateway:rate_limit_hits:rate5m", JOB),
    of("slo:bad:rate5m", SLO),
    of("slo:total:rate5m", SLO),
    of("slo:objective:ratio", &["slo", "dashboard"]),
    of("slo:errors:ratio_rate5m", SLO),
    of("slo:errors:ratio_rate30m", SLO),
    of("slo:errors:ratio_rate1h", SLO),
    of("slo:errors:ratio_rate2h", SLO),
    of("slo:errors:ratio_rate6h", SLO),
    of("slo:errors:ratio_rate1d", SLO),
    of("slo:errors:ratio_rate3d", SLO),
    of("slo:errors:ratio_rate30d", SLO),
    of("slo:error_budget:remaining_ratio30d", SLO),
    of("slo:invariant:difference", SLO),
    of("anomaly:signal:value", SIGNAL),
    of("anomaly:signal:clean", SIGNAL),
    of("anomaly:signal:usual_day", SIGNAL),
    of("anomaly:signal:usual_week", SIGNAL),
    of("anomaly:signal:usual_recent", SIGNAL),
    of("anomaly:signal:factor", SIGNAL),
    of("anomaly:signal:deviation", SIGNAL),
    of("anomaly:signal:margin", SIGNAL),
    of("anomaly:signal:upper", SIGNAL),
    of("anomaly:signal:lower", SIGNAL),
    of("anomaly:signal:out", SIGNAL),
];

/// The labels of a recorded series.
#[must_use]
pub fn labels_of(name: &str) -> &'static [&'static str] {
    RECORDED.iter().find(|recorded| recorded.name == name).map_or(&[], |recorded| recorded.labels)
}

/// The rules that need nothing but the gateway's metrics, in the order in which they build on each other.
#[must_use]
pub fn all() -> Vec<Rule> {
    let rules = [
        ("gateway:requests:rate5m", query!("sum by (job) (rate(gateway_requests_total[5m]))")),
        (
            "gateway_endpoint:requests:rate5m",
            query!("sum by (job, endpoint) (rate(gateway_requests_total[5m]))"),
        ),
        (
            "gateway_service:requests:rate5m",
            query!("sum by (job, target_service) (rate(gateway_routes_total[5m]))"),
        ),
        (
            "gateway:server_errors:ratio_rate5m",
            query!(
                r#"(sum by (job) (rate(gateway_errors_total{status_code=~"5.."}[5m])) or 0 * gateway:requests:rate5m) / (gateway:requests:rate5m > 0)"#
            ),
        ),
        (
            "gateway_endpoint:server_errors:ratio_rate5m",
            query!(
                r#"(sum by (job, endpoint) (rate(gateway_errors_total{status_code=~"5.."}[5m])) or 0 * gateway_endpoint:requests:rate5m) / (gateway_endpoint:requests:rate5m > 0)"#
            ),
        ),
        (
            "gateway:latency_seconds:p50_5m",
            query!(
                "histogram_quantile(0.5, sum by (job, le) (rate(gateway_request_latency_seconds_bucket[5m])))"
            ),
        ),
        (
            "gateway:latency_seconds:p95_5m",
            query!(
                "histogram_quantile(0.95, sum by (job, le) (rate(gateway_request_latency_seconds_bucket[5m])))"
            ),
        ),
        (
            "gateway:latency_seconds:p99_5m",
            query!(
                "histogram_quantile(0.99, sum by (job, le) (rate(gateway_request_latency_seconds_bucket[5m])))"
            ),
        ),
        (
            "gateway_endpoint:latency_seconds:p95_5m",
            query!(
                "histogram_quantile(0.95, sum by (job, endpoint, le) (rate(gateway_request_latency_seconds_bucket[5m])))"
            ),
        ),
        (
            "gateway:token_failures:ratio_rate5m",
            query!(
                r#"sum by (job) (rate(auth_jwt_validation_total{status="failure",reason!="missing"}[5m])) / (sum by (job) (rate(auth_jwt_validation_total{reason!="missing"}[5m])) > 0)"#
            ),
        ),
        (
            "gateway:auth_service_latency_seconds:p95_5m",
            query!(
                "histogram_quantile(0.95, sum by (job, le) (rate(gateway_auth_service_response_time_seconds_bucket[5m])))"
            ),
        ),
        ("gateway:rate_limit_hits:rate5m", query!("sum by (job) (rate(gateway_rate_limit_hits_total[5m]))")),
    ];
    rules.into_iter().map(|(name, expr)| Rule::record(name, expr)).collect()
}

/// The group with these rules.
pub fn group(rules: Vec<Rule>) -> Group {
    Group { name: "gateway-recording".to_owned(), interval: String::new(), rules }
}
