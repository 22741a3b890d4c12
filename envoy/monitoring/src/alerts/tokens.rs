//! Alerts on tokens, their keys and the auth service.

use super::{Alert, critical, warning};
use crate::query;

pub(super) fn all() -> Vec<Alert> {
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
