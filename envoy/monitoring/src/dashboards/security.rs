//! Attacks, and what the gateway did about them.

use super::authentication::{failures, success};
use super::model::{About, Dashboard, Kind, Limit, Panel, Unit, counted, row, share};
use crate::query;

/// Security Overview, Authentication Analytics, Access Control, Security Monitoring, Security Events.
pub fn dashboards() -> Vec<Dashboard> {
    vec![overview(), analytics(), access(), monitoring(), events()]
}

/// How often something happened in the time that is looked at.
fn total(title: &str, description: &str, series: &str) -> Panel {
    let expr = format!("sum(increase({series}[range]))");
    Panel::stat(title, Unit::Count, description, expr)
}

fn refused_tokens() -> Panel {
    total(
        "Refused tokens",
        "Tokens that were sent and refused, in the time that is looked at.",
        query!(r#"auth_jwt_validation_total{@,status="failure",reason!="missing"}"#),
    )
}

fn refused_by_limits() -> Panel {
    let expr = query!("sum(increase(auth_rate_limit_hits_total{@}[range]))");
    let description = "Times that a limit refused a request, in the time that is looked at.";
    Panel::stat("Refused by limits", Unit::Count, description, expr)
}

fn suspicious() -> Panel {
    total(
        "Suspicious requests",
        "Requests refused because their client is suspected of something, in the time that is looked at.",
        query!("gateway_suspicious_requests_total{@}"),
    )
    .limit(Limit::Above(1.0))
}

fn noticed() -> Panel {
    total(
        "Attacks noticed",
        "Bursts of failed logins and tokens used from too many networks, in the time that is looked at.",
        query!("auth_suspicious_activity_total{@}"),
    )
    .limit(Limit::Above(1.0))
}

fn against_yesterday() -> Panel {
    let description =
        "What was refused in the time that is looked at, beside the same time of the day before.";
    let tokens = query!(r#"auth_jwt_validation_total{@,status="failure",reason!="missing"}"#);
    let limits = query!("auth_rate_limit_hits_total{@}");
    let (tokens_then, limits_then) =
        (format!("{tokens}[range] offset 1d"), format!("{limits}[range] offset 1d"));
    Panel::totals(Kind::Bars, "Against yesterday", Unit::Count, description)
        .once("tokens now", format!("sum(increase({tokens}[range]))"))
        .once("tokens yesterday", format!("sum(increase({tokens_then}))"))
        .once("limits now", format!("sum(increase({limits}[range]))"))
        .once("limits yesterday", format!("sum(increase({limits_then}))"))
        .wide(12)
}

fn by_kind() -> Panel {
    let description = "Security events a second, by kind.";
    Panel::over_time(Kind::Stacked, "Security events", Unit::EventsPerSecond, description)
        .query(
            "refused token",
            query!(r#"sum(rate(auth_jwt_validation_total{@,status="failure",reason!="missing"}[rate]))"#),
        )
        .query(
            "forbidden",
            query!(r#"sum(rate(auth_permission_validation_total{@,status="failure"}[rate]))"#),
        )
        .query("limit", query!("sum(rate(auth_rate_limit_hits_total{@}[rate]))"))
        .query("suspicious", query!("sum(rate(gateway_suspicious_requests_total{@}[rate]))"))
        .query("breaker", query!("sum(rate(gateway_circuit_breaker_refused_total{@}[rate]))"))
        .wide(12)
}

fn open_alerts() -> Panel {
    let expr = query!(r#"count by (alertname, severity) (ALERTS{alertstate="firing"})"#);
    let description = "Alerts that fire now. `Watchdog` always does: it proves that alerting works.";
    Panel::totals(Kind::Table, "Alerts that fire", Unit::Count, description).once("alerts", expr).wide(12)
}

fn overview() -> Dashboard {
    let lines = Panel::logs(
        "Refusals and failures",
        "Lines of the level WARN and ERROR as they come.",
        r#"{#,level=~"WARN|ERROR"}"#,
    );
    Dashboard {
        title: "Security Overview",
        description: "Is somebody attacking, and is it kept out?",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![success(), refused_tokens(), refused_by_limits(), suspicious(), noticed()]),
            row("Events", vec![by_kind(), against_yesterday()]),
            row("Alerts", vec![open_alerts(), failures()]),
            row("Log", vec![lines]),
        ],
    }
}

fn logins() -> Panel {
    let expr =
        query!(r#"sum by (event) (rate(business_events_total{@,event=~"logins|failed_logins"}[rate]))"#);
    let description = "Logins a second, as the service answered them.";
    Panel::over_time(Kind::Stacked, "Logins", Unit::EventsPerSecond, description)
        .query("{{event}}", expr)
        .wide(12)
}

fn made_tokens() -> Panel {
    let expr = query!("sum by (status) (rate(auth_jwt_creation_total{@}[rate]))");
    let description = "Answers of the routes that issue tokens, a second; `success` made one.";
    Panel::over_time(Kind::Stacked, "Tokens issued", Unit::EventsPerSecond, description)
        .query("{{status}}", expr)
        .wide(12)
}

fn analytics() -> Dashboard {
    let users = Panel::totals(
        Kind::Table,
        "Users with refused requests",
        Unit::Count,
        "Users with most lines about a good token that was still refused, in the time that is looked at.",
    )
    .of_logs("lines", r#"topk(10, sum by (user) (count_over_time({#,level="WARN"} | user!="" [range])))"#)
    .wide(12);
    let reasons = Panel::totals(
        Kind::Bars,
        "Refused tokens by reason",
        Unit::Count,
        "Why tokens were refused, in the time that is looked at.",
    )
    .once(
        "{{reason}}",
        query!(r#"sum by (reason) (increase(auth_jwt_validation_total{@,status="failure"}[range])) > 0"#),
    )
    .wide(12);
    let known = Panel::over_time(
        Kind::Lines,
        "Users and roles known",
        Unit::EventsPerSecond,
        "Good tokens a second that said who their bearer is, and which role that is.",
    )
    .query("user", query!(r#"sum(rate(auth_user_context_extraction_total{@,status="success"}[rate]))"#))
    .query("role", query!(r#"sum(rate(auth_role_resolution_total{@,status="success"}[rate]))"#))
    .query("no user", query!(r#"sum(rate(auth_user_context_extraction_total{@,status="failure"}[rate]))"#))
    .query("no role", query!(r#"sum(rate(auth_role_resolution_total{@,status="failure"}[rate]))"#))
    .wide(12);
    Dashboard {
        title: "Authentication Analytics",
        description: "Who logs in, who fails to, and why tokens are refused.",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![success(), refused_tokens(), noticed()]),
            row("Tokens", vec![failures(), reasons]),
            row("Logins", vec![logins(), made_tokens()]),
            row("Users", vec![known, users]),
        ],
    }
}

fn permitted() -> Panel {
    let good = query!(r#"sum(rate(auth_permission_validation_total{@,status="success"}[rate]))"#);
    let all = query!(r#"sum(rate(auth_permission_validation_total{@,status=~"success|failure"}[rate]))"#);
    let description =
        "The share of requests that their route's rules permit, of those that a rule looked at.";
    Panel::stat("Permitted", Unit::Share, description, share(good, all))
}

fn refused_by_endpoint() -> Panel {
    let count = |status: u32| {
        let series =
            query!(r#"gateway_errors_total{@,status_code="STATUS"}"#).replace("STATUS", &status.to_string());
        format!("{} > 0", counted("endpoint", &series))
    };
    let description = "Answers of 401, 403 and 429 by route, in the time that is looked at.";
    Panel::totals(Kind::Table, "Refusals by endpoint", Unit::Count, description)
        .once("401", count(401))
        .once("403", count(403))
        .once("429", count(429))
        .wide(12)
}

/// How backends' gateways are checked.
pub fn source_validation() -> Panel {
    let expr = query!("sum by (header, result) (rate(gateway_security_header_validation_total{@}[rate]))");
    let description =
        "Requests a second that were checked for the header by which a backend knows its gateway.";
    Panel::over_time(Kind::Stacked, "Source validation", Unit::PerSecond, description)
        .query("{{header}} {{result}}", expr)
        .wide(12)
}

fn access() -> Dashboard {
    let verdicts = Panel::over_time(
        Kind::Stacked,
        "Rules",
        Unit::PerSecond,
        "Requests a second that a route's rules looked at; `shadow_failure` is what enforce mode would have refused.",
    )
    .query("{{status}}", query!("sum by (status) (rate(auth_permission_validation_total{@}[rate]))"))
    .wide(12);
    let by_rule = Panel::totals(
        Kind::Table,
        "Refusals by rule and mode",
        Unit::Count,
        "Log lines of refusals by stage, reason and mode, in the time that is looked at.",
    )
    .of_logs("lines", r#"sum by (action, reason, mode) (count_over_time({#,action!="request"} | verdict=~"refused|would_refuse" [range]))"#)
    .wide(12);
    let forbidden = total(
        "Forbidden",
        "Requests whose bearer may not use their route, in the time that is looked at.",
        query!(r#"auth_permission_validation_total{@,status="failure"}"#),
    );
    let no_role = total(
        "Tokens without a role",
        "Good tokens that were asked for a role and have none, in the time that is looked at.",
        query!(r#"auth_role_resolution_total{@,status="failure"}"#),
    );
    Dashboard {
        title: "Access Control",
        description: "Who may do what, and who tried to do more.",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![permitted(), forbidden, no_role, suspicious()]),
            row("Rules", vec![verdicts, source_validation()]),
            row("Refusals", vec![refused_by_endpoint(), by_rule]),
        ],
    }
}

/// The states of all breakers.
pub fn breakers() -> Panel {
    let expr = query!("max by (service) (gateway_circuit_breaker_state{@})");
    let description = "The state of each service's circuit breaker.";
    Panel::over_time(Kind::States, "Circuit breakers", Unit::Plain, description)
        .query("{{service}}", expr)
        .named(&[(0, "closed", "green"), (1, "open", "red"), (2, "half-open", "orange")])
}

fn by_limit() -> Panel {
    let expr = counted("type", query!("gateway_rate_limit_hits_total{@}"));
    let description = "Refusals by the limit that refused, in the time that is looked at.";
    Panel::totals(Kind::Bars, "Refusals by limit", Unit::Count, description).once("{{type}}", expr).wide(12)
}

fn clients() -> Panel {
    let totals = counted("client_ip", query!("gateway_rate_limit_hits_total{@}"));
    let description = "Networks that limits refused most often in the time that is looked at; at most ten are named, the rest is `other`.";
    Panel::totals(Kind::Bars, "Most limited clients", Unit::Count, description)
        .once("{{client_ip}}", format!("topk(10, {totals} > 0)"))
        .wide(12)
}

/// What was forwarded without trust headers.
fn without_trust_headers() -> Panel {
    let expr = query!(
        "sum(gateway_security_headers_due_total{@}) - sum(gateway_security_headers_injected_total{@})"
    );
    let description = "Requests that a service answered without having got the trust headers, since the gateway started. Anything but 0 is a fault of the gateway.";
    Panel::stat("Sent without trust headers", Unit::Count, description, expr).limit(Limit::Above(1.0))
}

fn monitoring() -> Dashboard {
    let shadow = Panel::over_time(
        Kind::Stacked,
        "What shadow mode let pass",
        Unit::EventsPerSecond,
        "Requests a second that a limit, a block or a breaker in shadow mode would have refused.",
    )
    .query("{{reason}}", query!("sum by (reason) (rate(gateway_shadow_refusals_total{@}[rate]))"))
    .wide(12);
    let kinds = Panel::over_time(
        Kind::Stacked,
        "Refusals by kind of limit",
        Unit::EventsPerSecond,
        "Refusals a second by what the limit counts by.",
    )
    .query("{{type}}", query!("sum by (type) (rate(auth_rate_limit_hits_total{@}[rate]))"))
    .wide(12);
    let refused = Panel::over_time(
        Kind::Stacked,
        "Refused by breakers",
        Unit::PerSecond,
        "Requests a second that a circuit breaker refused.",
    )
    .query("{{service}}", query!("sum by (service) (rate(gateway_circuit_breaker_refused_total{@}[rate]))"))
    .wide(12);
    let failures = total(
        "Guards that failed",
        "Times that a limit, a block or a breaker could not be counted, in the time that is looked at.",
        query!("gateway_guard_failures_total{@}"),
    );
    let crowded = total(
        "Newcomers in a crowd",
        "Requests that began with what others had used of a limit, because a flood fills its table.",
        query!("gateway_rate_limit_crowded_total{@}"),
    );
    Dashboard {
        title: "Security Monitoring",
        description: "The guards at work: breakers, limits, trust headers.",
        about: About::Gateways,
        rows: vec![
            row(
                "Now",
                vec![
                    without_trust_headers(),
                    super::gateway::open_breakers(),
                    refused_by_limits(),
                    failures.limit(Limit::Above(1.0)),
                    crowded,
                ],
            ),
            row("Breakers", vec![breakers(), refused]),
            row("Limits", vec![by_limit(), clients(), kinds, shadow]),
        ],
    }
}

fn events() -> Dashboard {
    let when = Panel::over_time(
        Kind::States,
        "Attacks",
        Unit::Plain,
        "When bursts of failed logins and abuse of tokens were noticed.",
    )
    .query("{{type}}", query!("sum by (type) (increase(auth_suspicious_activity_total{@}[rate])) > bool 0"))
    .named(&[(0, "quiet", "green"), (1, "noticed", "red")]);
    let reasons = Panel::over_time(
        Kind::Stacked,
        "Suspicious requests by reason",
        Unit::PerSecond,
        "Requests refused a second because their client is suspected of something.",
    )
    .query("{{reason}}", query!("sum by (reason) (rate(gateway_suspicious_requests_total{@}[rate]))"))
    .wide(12);
    let count = |kind: &str| query!(r#"auth_suspicious_activity_total{@,type="KIND"}"#).replace("KIND", kind);
    let bursts = total(
        "Bursts of failed logins",
        "Networks that were blocked from logging in, in the time that is looked at.",
        &count("brute_force"),
    );
    let abuse = total(
        "Tokens in too many networks",
        "Uses of a token from one network more than one bearer has, in the time that is looked at.",
        &count("token_abuse"),
    );
    let lines = Panel::logs(
        "Lines of security events",
        "Lines of all security events; with a request's id in the field above, those of that request.",
        r#"{#,action!="request"} | request_id=~"$request_id""#,
    );
    let transitions = Panel::totals(
        Kind::Table,
        "Changes of breakers",
        Unit::Count,
        "Changes of circuit breakers' states in the time that is looked at.",
    )
    .once(
        "changes",
        query!("sum by (service, to) (increase(gateway_circuit_breaker_transitions_total{@}[range])) > 0"),
    )
    .wide(12);
    Dashboard {
        title: "Security Events",
        description: "What happened, when, and in whose request.",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![suspicious().limit(Limit::Above(1.0)), bursts.limit(Limit::Above(1.0)), abuse]),
            row("When", vec![when, reasons, transitions, open_alerts()]),
            row("Log", vec![lines]),
        ],
    }
}
