//! What passes the gateway, and where it goes.

use super::model::{
    About, Dashboard, Kind, Limit, P50_95_99, Panel, Row, Unit, counted, quantiles, row, share,
};
use crate::query;

const REQUESTS: &str = query!("sum(rate(gateway_requests_total{@}[rate]))");

/// Gateway Overview and Service Routing.
pub fn dashboards() -> Vec<Dashboard> {
    vec![overview(), routing()]
}

/// Requests a second.
pub fn requests() -> Panel {
    let description = "Requests that ended, a second, whoever answered them. Pages of the gateway's own (/health, /metrics) are left out.";
    Panel::stat("Requests", Unit::PerSecond, description, REQUESTS)
}

/// The share of 5xx.
pub fn server_errors() -> Panel {
    let failed = query!(r#"sum(rate(gateway_errors_total{@,status_code=~"5.."}[rate]))"#);
    let description = "The share of requests that ended in a 5xx, whoever answered them.";
    Panel::stat("Server errors", Unit::Share, description, share(failed, REQUESTS)).limit(Limit::Above(0.01))
}

fn client_errors() -> Panel {
    let refused = query!(r#"sum(rate(gateway_errors_total{@,status_code=~"4.."}[rate]))"#);
    let description = "The share of requests that ended in a 4xx: refused by the gateway or by a service.";
    Panel::stat("Client errors", Unit::Share, description, share(refused, REQUESTS))
}

/// The 95th percentile of all requests.
pub fn p95() -> Panel {
    let expr = query!(
        "histogram_quantile(0.95, sum by (le) (rate(gateway_request_latency_seconds_bucket{@}[rate])))"
    );
    let description = "Of 100 requests, 95 were answered whole within this time. Read out of buckets: exact at .25 s, estimated in between.";
    Panel::stat("Latency p95", Unit::Seconds, description, expr).limit(Limit::Above(0.25))
}

/// Requests by status.
pub fn by_status() -> Panel {
    let description = "Requests a second by the status that the client got; 499 left before it was answered.";
    Panel::over_time(Kind::Stacked, "Requests by status", Unit::PerSecond, description)
        .query("{{status_code}}", query!("sum by (status_code) (rate(gateway_requests_total{@}[rate]))"))
        .wide(12)
}

/// Percentiles of all requests.
pub fn latency() -> Panel {
    let description = "Percentiles of the time from a request's first byte to its answer's last.";
    let panel = Panel::over_time(Kind::Lines, "Latency", Unit::Seconds, description).wide(12);
    quantiles(panel, &P50_95_99, query!("gateway_request_latency_seconds_bucket{@}"), "")
}

/// The heatmap of latencies.
pub fn latency_heatmap() -> Panel {
    let description = "How many requests took how long, bucket by bucket.";
    Panel::over_time(Kind::Heatmap, "Latency distribution", Unit::Count, description)
        .query("{{le}}", query!("sum by (le) (increase(gateway_request_latency_seconds_bucket{@}[rate]))"))
        .wide(12)
}

fn endpoints() -> Panel {
    let p95 = query!(
        "histogram_quantile(0.95, sum by (endpoint, le) (increase(gateway_request_latency_seconds_bucket{@}[range]))) and on (endpoint) sum by (endpoint) (increase(gateway_requests_total{@}[range])) > 0"
    );
    let description = "Each route's requests, failures and 95th percentile in the time that is looked at. `unmatched` has no route.";
    Panel::totals(Kind::Table, "Endpoints", Unit::Count, description)
        .once("requests", counted("endpoint", query!("gateway_requests_total{@}")))
        .once("4xx", counted("endpoint", query!(r#"gateway_errors_total{@,status_code=~"4.."}"#)))
        .once("5xx", counted("endpoint", query!(r#"gateway_errors_total{@,status_code=~"5.."}"#)))
        .once("p95 seconds", p95)
        .wide(12)
        .more("api-performance")
}

fn overview() -> Dashboard {
    let up = "Gateways that Prometheus had an answer from at its last scrape.";
    let now = vec![
        requests(),
        server_errors().more("service-health"),
        client_errors().more("access-control"),
        p95().more("api-performance"),
        Panel::stat(
            "Gateways up",
            Unit::Count,
            up,
            query!(
                "sum(up{@} and on (job, instance) count by (job, instance) (last_over_time(gateway_requests_total{@}[range])))"
            ),
        ),
        open_breakers(),
    ];
    let traffic = vec![by_status(), latency(), latency_heatmap(), endpoints()];
    Dashboard {
        title: "Gateway Overview",
        description: "Is the gateway well? Traffic, errors and latency at a glance.",
        about: About::Gateways,
        rows: vec![row("Now", now), row("Traffic", traffic), row("Services", vec![by_service()])],
    }
}

/// Breakers that do not let everything through.
pub fn open_breakers() -> Panel {
    let expr = query!("sum(max by (service) (gateway_circuit_breaker_state{@}) > bool 0)");
    let description = "Services whose circuit breaker is open or half-open.";
    Panel::stat("Breakers not closed", Unit::Count, description, expr)
        .limit(Limit::Above(1.0))
        .more("security-monitoring")
}

/// Requests by service.
pub fn by_service() -> Panel {
    let description = "Requests a second that the gateway sent to each service.";
    Panel::over_time(Kind::Stacked, "Requests by service", Unit::PerSecond, description)
        .query("{{target_service}}", query!("sum by (target_service) (rate(gateway_routes_total{@}[rate]))"))
        .wide(12)
}

/// Failures on the way to services.
pub fn transport_failures() -> Panel {
    let expr = query!("sum by (target_service, error_type) (rate(gateway_proxy_errors_total{@}[rate])) > 0");
    let description = "Requests a second that failed between gateway and service: `request_failed` had no (whole) answer or met an open breaker, else the 5xx that the service gave. Empty while nothing fails.";
    Panel::over_time(Kind::Stacked, "Failures of services", Unit::EventsPerSecond, description)
        .query("{{target_service}} {{error_type}}", expr)
        .wide(12)
}

/// Why requests did not get to an answer of a service.
pub fn routing_errors() -> Panel {
    let description = "Requests a second that got to no service, or to no answer of one, by why. Refusals of the policy's rules are not among them.";
    Panel::over_time(Kind::Stacked, "Routing errors", Unit::EventsPerSecond, description)
        .query("{{reason}}", query!("sum by (reason) (rate(gateway_routing_errors_total{@}[rate]))"))
        .wide(12)
}

fn routing() -> Dashboard {
    let routed = query!("sum(rate(gateway_routes_total{@}[rate]))");
    let failed = query!("sum(rate(gateway_routing_errors_total{@}[rate]))");
    let unmatched = query!(r#"sum(rate(gateway_requests_total{@,endpoint="unmatched"}[rate]))"#);
    let success = format!("{routed} / ({routed} + {failed} > 0)");
    let rows: Vec<Row> = vec![
        row(
            "Routing",
            vec![
                Panel::stat(
                    "Routing success",
                    Unit::Share,
                    "Requests that were sent to a service, of these and those that had a routing error.",
                    success,
                )
                .limit(Limit::Below(0.999)),
                Panel::stat(
                    "Without a route",
                    Unit::Share,
                    "The share of requests that no route of the policy is for: scanners, or clients of another version.",
                    share(unmatched, REQUESTS),
                ),
                Panel::totals(
                    Kind::Pie,
                    "Share of services",
                    Unit::Count,
                    "Requests sent to each service in the time that is looked at.",
                )
                .once(
                    "{{target_service}}",
                    query!("sum by (target_service) (increase(gateway_routes_total{@}[range]))"),
                ),
                Panel::over_time(
                    Kind::Shares,
                    "Shares of services over time",
                    Unit::PerSecond,
                    "How the requests divide among the services.",
                )
                .query(
                    "{{target_service}}",
                    query!("sum by (target_service) (rate(gateway_routes_total{@}[rate]))"),
                ),
            ],
        ),
        row("Errors", vec![routing_errors(), transport_failures()]),
        row("Services", vec![service_latency(), routes()]),
    ];
    Dashboard {
        title: "Service Routing",
        description: "Where requests go, and which of them do not arrive.",
        about: About::Gateways,
        rows,
    }
}

/// The 95th percentile by service.
pub fn service_latency() -> Panel {
    let description = "95th percentile of requests by the service that they were sent to.";
    let panel = Panel::over_time(Kind::Lines, "Latency p95 by service", Unit::Seconds, description).wide(12);
    quantiles(panel, &[("p95", "0.95")], query!("gateway_request_duration_seconds_bucket{@}"), "service")
}

fn routes() -> Panel {
    let description = "Requests sent to each service by route, in the time that is looked at.";
    Panel::totals(Kind::Table, "Routes", Unit::Count, description)
        .once(
            "requests",
            query!("sum by (target_service, endpoint) (increase(gateway_routes_total{@}[range])) > 0"),
        )
        .wide(12)
}
