//! Series that dashboards and alerts share, computed once.

use crate::rule::{Group, Rule};

/// A recording rule and the labels that its result keeps.
pub struct Recording {
    pub rule: Rule,
    pub labels: &'static [&'static str],
}

fn recording(name: &str, expr: &str, labels: &'static [&'static str]) -> Recording {
    Recording { rule: Rule::record(name, expr), labels }
}

/// All of them, in the order in which they build on each other.
pub fn all() -> Vec<Recording> {
    vec![
        recording("gateway:requests:rate5m", "sum by (job) (rate(gateway_requests_total[5m]))", &["job"]),
        recording(
            "gateway_endpoint:requests:rate5m",
            "sum by (job, endpoint) (rate(gateway_requests_total[5m]))",
            &["job", "endpoint"],
        ),
        recording(
            "gateway:server_errors:ratio_rate5m",
            r#"(sum by (job) (rate(gateway_errors_total{status_code=~"5.."}[5m])) or 0 * gateway:requests:rate5m) / (gateway:requests:rate5m > 0)"#,
            &["job"],
        ),
        recording(
            "gateway:latency_seconds:p95_5m",
            "histogram_quantile(0.95, sum by (job, le) (rate(gateway_request_latency_seconds_bucket[5m])))",
            &["job"],
        ),
        recording(
            "gateway:latency_seconds:p95_1d",
            "avg_over_time(gateway:latency_seconds:p95_5m[1d] offset 1h)",
            &["job"],
        ),
        recording(
            "gateway:token_failures:ratio_rate5m",
            r#"sum by (job) (rate(auth_jwt_validation_total{status="failure",reason!="missing"}[5m])) / (sum by (job) (rate(auth_jwt_validation_total{reason!="missing"}[5m])) > 0)"#,
            &["job"],
        ),
    ]
}

/// The group with these rules.
pub fn group(rules: Vec<Rule>) -> Group {
    Group { name: "gateway-recording".to_owned(), rules }
}
