//! Tokens: who is believed, how fast, and by whose word.

use super::model::{About, Dashboard, Kind, Limit, P50_95_99, Panel, Unit, quantiles, row, share};
use crate::query;

const GOOD: &str = query!(r#"sum(rate(auth_jwt_validation_total{@,status="success"}[rate]))"#);
const WITH_TOKEN: &str =
    query!(r#"sum(rate(auth_jwt_validation_total{@,status=~"success|failure",reason!="missing"}[rate]))"#);

/// Authentication Flow, Authentication Performance, Integration Health.
pub fn dashboards() -> Vec<Dashboard> {
    vec![flow(), performance(), integrations()]
}

/// The share of good tokens.
pub fn success() -> Panel {
    let description = "Good tokens, of those that were sent. A request without a token says nothing about authentication, and is left out.";
    Panel::stat("Authentication success", Unit::Share, description, share(GOOD, WITH_TOKEN))
        .limit(Limit::Below(0.98))
}

/// Refused tokens by reason.
pub fn failures() -> Panel {
    let expr = query!(r#"sum by (reason) (rate(auth_jwt_validation_total{@,status="failure"}[rate])) > 0"#);
    let description = "Tokens refused a second, by why; `missing` had none. Empty while none is refused.";
    Panel::over_time(Kind::Stacked, "Tokens refused", Unit::EventsPerSecond, description)
        .query("{{reason}}", expr)
        .wide(12)
}

fn funnel() -> Panel {
    let total = |selector: &str| format!("sum(increase({selector}[range]))");
    let description = "How many requests reach each step, in the time that is looked at.";
    Panel::totals(Kind::Bars, "From request to permission", Unit::Count, description)
        .once("requests", total(query!("gateway_requests_total{@}")))
        .once("token looked for", total(query!("gateway_jwt_validation_requests_total{@}")))
        .once("token good", total(query!(r#"auth_jwt_validation_total{@,status="success"}"#)))
        .once("user known", total(query!(r#"auth_user_context_extraction_total{@,status="success"}"#)))
        .once("role known", total(query!(r#"auth_role_resolution_total{@,status="success"}"#)))
        .once("permitted by rules", total(query!(r#"auth_permission_validation_total{@,status="success"}"#)))
        .wide(12)
}

fn flow() -> Dashboard {
    let source = "Requests to routes that look for a token, by where it was.";
    let shadow = "Tokens that enforce mode would have refused, by why. Empty while there are none.";
    let tokens = vec![
        funnel(),
        Panel::over_time(Kind::Stacked, "Tokens by source", Unit::PerSecond, source)
            .query(
                "{{source}}",
                query!("sum by (source) (rate(gateway_jwt_validation_requests_total{@}[rate]))"),
            )
            .wide(12),
    ];
    let verdicts = vec![
        failures(),
        Panel::over_time(Kind::Stacked, "Tokens that shadow mode let pass", Unit::EventsPerSecond, shadow)
            .query(
                "{{reason}}",
                query!(r#"sum by (reason) (rate(auth_jwt_validation_total{@,status="shadow_failure"}[rate])) > 0"#),
            )
            .wide(12),
    ];
    let first = vec![success(), known_tokens(), auth_calls_stat(), waiting()];
    Dashboard {
        title: "Authentication Flow",
        description: "What becomes of a token, step by step.",
        about: About::Gateways,
        rows: vec![
            row("Now", first),
            row("Tokens", tokens),
            row("Verdicts", verdicts),
            row("Auth service", vec![auth_calls(), auth_latency()]),
        ],
    }
}

fn known_tokens() -> Panel {
    let hit = query!(r#"sum(rate(gateway_jwt_cache_requests_total{@,result="hit"}[rate]))"#);
    let all = query!("sum(rate(gateway_jwt_cache_requests_total{@}[rate]))");
    let description =
        "The share of tokens that were verified before: no signature is checked for them again.";
    Panel::stat("Tokens known before", Unit::Share, description, share(hit, all))
}

fn auth_calls_stat() -> Panel {
    let description = "Calls to the auth service a second.";
    let expr = query!("sum(rate(gateway_auth_service_calls_total{@}[rate]))");
    Panel::stat("Auth-service calls", Unit::PerSecond, description, expr)
}

fn waiting() -> Panel {
    let description = "Requests that wait for keys or for the auth service, at the last scrape.";
    Panel::stat("Waiting now", Unit::Count, description, query!("sum(auth_concurrent_requests{@})"))
}

fn auth_calls() -> Panel {
    let description = "Calls to the auth service a second; a failure is no usable answer.";
    Panel::over_time(Kind::Stacked, "Auth-service calls by outcome", Unit::PerSecond, description)
        .query("{{status}}", query!("sum by (status) (rate(gateway_auth_service_calls_total{@}[rate]))"))
        .wide(12)
}

fn auth_latency() -> Panel {
    let description = "Percentiles of the auth service's answers; the objective is 100 ms.";
    let panel = Panel::over_time(Kind::Lines, "Auth-service latency", Unit::Seconds, description)
        .wide(12)
        .limit(Limit::Above(0.1));
    quantiles(panel, &P50_95_99, query!("gateway_auth_service_response_time_seconds_bucket{@}"), "")
}

fn performance() -> Dashboard {
    let checks = "Percentiles of the time that the gateway's own check of a token takes, waiting for keys or for the auth service left out.";
    let checks = Panel::over_time(Kind::Lines, "Check time", Unit::Seconds, checks).wide(12);
    let mean = "Mean time of each operation.";
    let spread = "How many checks took how long.";
    let refused = "Requests a second that were answered with 503 because as many waited as may.";
    let evicted = "Verified tokens dropped to make room for others, a second: the cache is too small where this is much.";
    let budget = "Tokens refused in the time that is looked at because too many keys could have signed them.";
    let age = "Time since the keys or the deny list in use were fetched; nothing while there are none.";
    Dashboard {
        title: "Authentication Performance",
        description: "What checking tokens costs.",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![known_tokens(), waiting(), budget_exhausted(budget)]),
            row(
                "Time",
                vec![
                    quantiles(checks, &P50_95_99, query!("auth_request_duration_seconds_bucket{@}"), "operation"),
                    Panel::over_time(Kind::Heatmap, "Check time distribution", Unit::Count, spread)
                        .query("{{le}}", query!(r#"sum by (le) (increase(auth_request_duration_seconds_bucket{@,operation="jwt_validation"}[rate]))"#))
                        .wide(12),
                    Panel::over_time(Kind::Lines, "Mean check time", Unit::Seconds, mean)
                        .query("{{operation}}", query!("sum by (operation) (rate(auth_request_duration_seconds_sum{@}[rate])) / (sum by (operation) (rate(auth_request_duration_seconds_count{@}[rate])) > 0)"))
                        .wide(12),
                ],
            ),
            row(
                "Load",
                vec![
                    Panel::over_time(Kind::Lines, "Waiting requests", Unit::Count, "Requests that wait for keys or for the auth service.")
                        .query("waiting", query!("sum(auth_concurrent_requests{@})")),
                    Panel::over_time(Kind::Lines, "Refused for want of room to wait", Unit::EventsPerSecond, refused)
                        .query("refused", query!("sum(rate(gateway_jwt_waiting_refused_total{@}[rate]))")),
                    Panel::over_time(Kind::Lines, "Tokens forgotten early", Unit::EventsPerSecond, evicted)
                        .query("forgotten", query!("sum(rate(gateway_jwt_cache_evictions_total{@}[rate]))")),
                ],
            ),
            row(
                "Keys",
                vec![
                    Panel::over_time(Kind::Lines, "Age of keys", Unit::Seconds, age)
                        .query("{{provider}} {{document}}", query!("max by (provider, document) (gateway_jwt_document_age_seconds{@} >= 0)"))
                        .wide(12),
                    fetches(),
                ],
            ),
        ],
    }
}

fn budget_exhausted(description: &str) -> Panel {
    let expr = query!("sum(increase(gateway_jwt_check_budget_exhausted_total{@}[range]))");
    Panel::stat("Checks given up", Unit::Count, description, expr).limit(Limit::Above(1.0))
}

fn fetches() -> Panel {
    let description = "Fetches of keys and deny lists in the time that is looked at, by outcome.";
    let expr =
        query!("sum by (provider, document, result) (increase(gateway_jwt_fetches_total{@}[range])) > 0");
    Panel::totals(Kind::Table, "Fetches", Unit::Count, description).once("fetches", expr).wide(12)
}

fn integrations() -> Dashboard {
    let fast = query!(r#"sum(rate(gateway_auth_service_response_time_seconds_bucket{@,le="0.1"}[rate]))"#);
    let all = query!("sum(rate(gateway_auth_service_response_time_seconds_count{@}[rate]))");
    let good = query!(r#"sum(rate(gateway_auth_service_calls_total{@,status="success"}[rate]))"#);
    let calls = query!("sum(rate(gateway_auth_service_calls_total{@}[rate]))");
    let now = vec![
        auth_calls_stat(),
        Panel::stat(
            "Auth service answers",
            Unit::Share,
            "The share of calls to the auth service that gave a usable answer.",
            share(good, calls),
        )
        .limit(Limit::Below(0.995)),
        Panel::stat(
            "Auth service within 100 ms",
            Unit::Share,
            "The share of the auth service's answers that came within 100 ms.",
            share(fast, all),
        )
        .limit(Limit::Below(0.99)),
        super::gateway::open_breakers(),
    ];
    Dashboard {
        title: "Integration Health",
        description: "Whoever the gateway depends on: the auth service, issuers of keys, the services behind it.",
        about: About::Gateways,
        rows: vec![
            row("Now", now),
            row("Auth service", vec![auth_calls(), auth_latency()]),
            row("Services", vec![services(), super::security::source_validation()]),
            row("Keys and deny lists", vec![fetches(), skipped_keys()]),
        ],
    }
}

fn services() -> Panel {
    let description = "Each service in the time that is looked at: requests, failures on the way, and the state of its breaker now (0 closed, 1 open, 2 half-open).";
    Panel::totals(Kind::Table, "Services", Unit::Count, description)
        .once("requests", query!(r#"label_replace(sum by (target_service) (increase(gateway_routes_total{@}[range])), "service", "$1", "target_service", "(.*)")"#))
        .once("failures", query!(r#"label_replace(sum by (target_service) (increase(gateway_proxy_errors_total{@}[range])), "service", "$1", "target_service", "(.*)")"#))
        .once("breaker", query!("max by (service) (gateway_circuit_breaker_state{@})"))
        .wide(12)
}

fn skipped_keys() -> Panel {
    let description = "Keys of fetched sets that are not used, by why, in the time that is looked at.";
    let expr = query!("sum by (provider, reason) (increase(gateway_jwt_keys_skipped_total{@}[range])) > 0");
    Panel::totals(Kind::Table, "Keys skipped", Unit::Count, description).once("keys", expr).wide(12)
}
