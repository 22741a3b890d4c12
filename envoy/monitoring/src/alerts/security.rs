//! Alerts on attacks and on security events.

use super::{Alert, WITH_EVIDENCE, critical, warning};
use crate::query;

pub(super) fn all() -> Vec<Alert> {
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
