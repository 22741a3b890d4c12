//! The services behind the gateway, one by one, and the API that they make together.

use super::model::{
    About, Asked, Dashboard, Kind, Limit, P50_95_99, Panel, Row, Unit, counted, quantiles, row, share,
};
use crate::query;

/// Service Health, API Performance, Dependency Map.
pub fn dashboards(services: &[&str]) -> Vec<Dashboard> {
    vec![health(services), performance(), dependencies()]
}

/// A service's row.
fn service(name: &str) -> Row {
    let of = |query: &str| query.replace("SERVICE", name);
    let requests = of(query!("sum(rate(SERVICE_requests_total{@}[rate]))"));
    let failed = of(query!(r#"sum(rate(SERVICE_errors_total{@,status_code=~"5.."}[rate]))"#));
    let p95 = of(query!(
        "histogram_quantile(0.95, sum by (le) (rate(SERVICE_request_latency_seconds_bucket{@}[rate])))"
    ));
    let state = of(query!(r#"max(gateway_circuit_breaker_state{@,service="SERVICE"})"#));
    let lost = of(query!(
        r#"sum(increase(gateway_proxy_errors_total{@,target_service="SERVICE",error_type="request_failed"}[range]))"#
    ));
    let title = |what: &str| format!("{name}: {what}");
    let statuses = of(query!("sum by (status_code) (rate(SERVICE_requests_total{@}[rate])) > 0"));
    row(
        name,
        vec![
            Panel::stat(
                &title("requests"),
                Unit::PerSecond,
                "Requests sent to the service, a second.",
                &requests,
            ),
            Panel::stat(
                &title("errors"),
                Unit::Share,
                "The share of its requests that ended in a 5xx.",
                share(&failed, &requests),
            )
            .limit(Limit::Above(0.01)),
            Panel::stat(
                &title("p95"),
                Unit::Seconds,
                "Of 100 of its requests, 95 were answered whole within this time.",
                p95,
            )
            .limit(Limit::Above(0.25)),
            Panel::stat(
                &title("no answer"),
                Unit::Count,
                "Requests that had no (whole) answer of it, in the time that is looked at.",
                lost,
            )
            .limit(Limit::Above(1.0)),
            Panel::stat(&title("breaker"), Unit::Plain, "The state of its circuit breaker.", state).named(&[
                (0, "closed", "green"),
                (1, "open", "red"),
                (2, "half-open", "orange"),
            ]),
            Panel::over_time(
                Kind::Stacked,
                &title("statuses"),
                Unit::PerSecond,
                "Its requests a second by the status that the client got. Empty without requests.",
            )
            .query("{{status_code}}", statuses)
            .wide(4),
        ],
    )
}

fn health(services: &[&str]) -> Dashboard {
    Dashboard {
        title: "Service Health",
        description: "Each service as the gateway sees it.",
        about: About::Gateways,
        rows: services.iter().map(|name| service(name)).collect(),
    }
}

fn apdex() -> Panel {
    let expr = query!(
        r#"(sum(rate(gateway_request_latency_seconds_bucket{@,le="0.25"}[rate])) + sum(rate(gateway_request_latency_seconds_bucket{@,le=~"1|1[.]0"}[rate]))) / 2 / (sum(rate(gateway_request_latency_seconds_count{@}[rate])) > 0)"#
    );
    let description =
        "Apdex: requests within 250 ms count whole, those within 1 s half, others not. 1 is best.";
    Panel::stat("Apdex", Unit::Plain, description, expr).limit(Limit::Below(0.85))
}

fn within(title: &str, le: &str, description: &str) -> Panel {
    let fast = query!(r#"sum(rate(gateway_request_latency_seconds_bucket{@,le=~"BOUND"}[rate]))"#)
        .replace("BOUND", le);
    let all = query!("sum(rate(gateway_request_latency_seconds_count{@}[rate]))");
    Panel::stat(title, Unit::Share, description, share(&fast, all))
}

fn performance() -> Dashboard {
    let slow = query!(
        r#"sum by (endpoint) (increase(gateway_request_latency_seconds_count{@}[range])) - sum by (endpoint) (increase(gateway_request_latency_seconds_bucket{@,le="0.25"}[range]))"#
    );
    let mean = query!(
        "sum by (endpoint) (increase(gateway_request_latency_seconds_sum{@}[range])) / (sum by (endpoint) (increase(gateway_request_latency_seconds_count{@}[range])) > 0)"
    );
    let table = Panel::totals(
        Kind::Table,
        "Endpoints by what they cost",
        Unit::Count,
        "Each route in the time that is looked at: requests, failures, requests slower than 250 ms, and the mean time.",
    )
    .once("requests", counted("endpoint", query!("gateway_requests_total{@}")))
    .once("5xx", counted("endpoint", query!(r#"gateway_errors_total{@,status_code=~"5.."}"#)))
    .once("slow", slow)
    .once("mean seconds", mean)
    .wide(24);
    let slowest = Panel::over_time(
        Kind::Lines,
        "Latency p95 by endpoint",
        Unit::Seconds,
        "95th percentile of each route that has requests.",
    )
    .wide(12);
    let slowest = quantiles(
        slowest,
        &[("p95", "0.95")],
        query!("gateway_request_latency_seconds_bucket{@}"),
        "endpoint",
    );
    Dashboard {
        title: "API Performance",
        description: "How fast the API is, and which of its routes are not.",
        about: About::Gateways,
        rows: vec![
            row(
                "Now",
                vec![
                    super::gateway::requests(),
                    super::gateway::p95(),
                    apdex(),
                    within(
                        "Within 250 ms",
                        "0[.]25",
                        "The share of requests that were answered whole within 250 ms.",
                    )
                    .limit(Limit::Below(0.95)),
                    within(
                        "Within 1 s",
                        "1|1[.]0",
                        "The share of requests that were answered whole within a second.",
                    )
                    .limit(Limit::Below(0.99)),
                ],
            ),
            row(
                "Over time",
                vec![
                    latencies(),
                    slowest,
                    super::gateway::service_latency(),
                    super::gateway::latency_heatmap(),
                ],
            ),
            row("Endpoints", vec![table]),
        ],
    }
}

fn latencies() -> Panel {
    let description = "Percentiles of requests, by the service that they were sent to.";
    let panel = Panel::over_time(Kind::Lines, "Latency by service", Unit::Seconds, description).wide(12);
    quantiles(panel, &P50_95_99, query!("gateway_request_duration_seconds_bucket{@}"), "service")
}

/// Nodes need `id`, `title` and a value; edges `id`, `source`, `target` and a value.
fn dependencies() -> Dashboard {
    let routed = query!("sum by (target_service) (rate(gateway_routes_total{@}[rate]))");
    let copy = |expr: &str, to: &str, text: &str, from: &str| {
        format!(r#"label_replace({expr}, "{to}", "{text}", "{from}", ".*")"#)
    };
    let own =
        |expr: &str, to: &str| format!(r#"label_replace({expr}, "{to}", "$1", "target_service", "(.*)")"#);
    let service = own(&own(routed, "id"), "title");
    let gateway = copy(
        &copy(query!("sum(rate(gateway_routes_total{@}[rate]))"), "id", "gateway", ""),
        "title",
        "gateway",
        "",
    );
    let edges = copy(&own(&own(routed, "id"), "target"), "source", "gateway", "");
    let description = "Requests a second from the gateway to each service.";
    let mut graph = Panel::totals(Kind::Graph, "Who calls whom", Unit::PerSecond, description)
        .once("nodes", format!("{service} or {gateway}"))
        .once("edges", edges);
    graph.queries.iter_mut().for_each(|query| query.asked = Asked::Once);
    let errors = query!("sum by (target_service) (rate(gateway_proxy_errors_total{@}[rate]))");
    let table = Panel::totals(
        Kind::Table,
        "Dependencies",
        Unit::PerSecond,
        "The same in figures: requests a second to each service, and failures a second on the way.",
    )
    .once("requests", routed)
    .once("failures", errors)
    .wide(12);
    Dashboard {
        title: "Dependency Map",
        description: "Which services the gateway calls, how often, and how well that goes.",
        about: About::Gateways,
        rows: vec![
            row("Map", vec![graph, table]),
            row("Over time", vec![super::gateway::by_service(), super::gateway::transport_failures()]),
        ],
    }
}
