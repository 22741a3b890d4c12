//! Service-level objectives: the thirteen KPIs as OpenSLO documents ([`openslo`]), and the rules that are made of the documents ([`burn`]).

mod burn;
mod openslo;

pub use burn::{invariants, rules};
pub use openslo::{Document, documents_yaml};

use crate::query;
use crate::rule::Rule;
use crate::settings::Settings;

/// What is measured of an objective. `{w}` in a query stands for a window.
#[derive(Clone, Debug)]
pub enum Indicator {
    /// Events: how many are bad, and how many there are, a second.
    Events {
        /// The bad ones.
        bad: String,
        /// All of them.
        total: String,
    },
    /// Time: the share of it that is bad now, from 0 to 1.
    Time {
        /// That share.
        bad: String,
    },
    /// What must be 0 at any time. There is no budget to burn.
    Invariant {
        /// What must be 0.
        difference: String,
    },
}

/// An objective.
#[derive(Clone, Debug)]
pub struct Objective {
    /// Its name, as the label `slo`.
    pub name: &'static str,
    /// What is good, in words that end "the objective is 99 % of".
    pub title: &'static str,
    /// The share of good events or of good time that is promised, in per cent; 100 for invariants.
    pub percent: f64,
    /// What is measured.
    pub indicator: Indicator,
    /// The uid of the dashboard that it is shown on.
    pub dashboard: &'static str,
}

const fn events(bad: String, total: String) -> Indicator {
    Indicator::Events { bad, total }
}

fn text(query: &str) -> String {
    query.to_owned()
}

/// The objectives of a site, in the order of the KPIs.
#[must_use]
pub fn all(settings: &Settings) -> Vec<Objective> {
    let mut all = of_requests(settings);
    all.extend(of_machines(settings));
    all.extend(of_security(settings));
    all.extend(of_orders(settings));
    all
}

fn of_requests(settings: &Settings) -> Vec<Objective> {
    let promised = &settings.objectives;
    let requests = || text(query!("sum by (job) (rate(gateway_requests_total[{w}]))"));
    vec![
        Objective {
            name: "availability",
            title: "requests that did not end in a 5xx",
            percent: promised.availability_percent,
            indicator: events(
                text(query!(r#"sum by (job) (rate(gateway_errors_total{status_code=~"5.."}[{w}]))"#)),
                requests(),
            ),
            dashboard: "gateway-overview",
        },
        Objective {
            name: "latency",
            title: "requests to services that were answered within 200 ms",
            percent: promised.latency_percent,
            indicator: events(
                text(query!(
                    r#"sum by (job) (rate(gateway_request_duration_seconds_count[{w}])) - sum by (job) (rate(gateway_request_duration_seconds_bucket{le="0.2"}[{w}]))"#
                )),
                text(query!("sum by (job) (rate(gateway_request_duration_seconds_count[{w}]))")),
            ),
            dashboard: "api-performance",
        },
        Objective {
            name: "errors",
            title: "requests without an error that the platform is to blame for (401, 403, 404, 409, 422 and 429 are not)",
            percent: promised.errors_percent,
            indicator: events(
                text(query!(
                    r#"sum by (job) (rate(gateway_errors_total{status_code!~"401|403|404|409|422|429"}[{w}]))"#
                )),
                requests(),
            ),
            dashboard: "gateway-overview",
        },
        Objective {
            name: "routing",
            title: "requests with a route that a service answered",
            percent: promised.routing_percent,
            indicator: events(
                text(query!(
                    r#"sum by (job) (rate(gateway_routing_errors_total{reason=~"service_unavailable|service_timeout"}[{w}]))"#
                )),
                text(query!(
                    r#"sum by (job) (rate(gateway_routes_total[{w}])) + sum by (job) (rate(gateway_routing_errors_total{reason=~"service_unavailable|service_timeout"}[{w}]))"#
                )),
            ),
            dashboard: "service-routing",
        },
        Objective {
            name: "breakers",
            title: "the time, with every circuit breaker closed",
            percent: promised.breakers_percent,
            indicator: Indicator::Time {
                bad: text(query!("max by (job) (gateway_circuit_breaker_state) > bool 0")),
            },
            dashboard: "security-monitoring",
        },
    ]
}

fn of_machines(settings: &Settings) -> Vec<Objective> {
    let promised = &settings.objectives;
    vec![
        Objective {
            name: "cpu",
            title: "the time, with less than 70 % of the processors' time used",
            percent: promised.cpu_percent,
            indicator: Indicator::Time {
                bad: text(query!(
                    r#"avg by (job) ((1 - avg by (job, instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))) > bool 0.7)"#
                )),
            },
            dashboard: "infrastructure-health",
        },
        Objective {
            name: "memory",
            title: "the time, with less than 70 % of the memory used",
            percent: promised.memory_percent,
            indicator: Indicator::Time {
                bad: text(query!(
                    "avg by (job) ((1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) > bool 0.7)"
                )),
            },
            dashboard: "infrastructure-health",
        },
    ]
}

fn of_security(settings: &Settings) -> Vec<Objective> {
    let promised = &settings.objectives;
    vec![
        Objective {
            name: "authentication",
            title: "tokens that were good, of those that were sent",
            percent: promised.authentication_percent,
            indicator: events(
                text(query!(
                    r#"sum by (job) (rate(auth_jwt_validation_total{status="failure",reason!="missing"}[{w}]))"#
                )),
                text(query!(r#"sum by (job) (rate(auth_jwt_validation_total{reason!="missing"}[{w}]))"#)),
            ),
            dashboard: "authentication-analytics",
        },
        Objective {
            name: "auth_calls",
            title: "calls to the auth service that took at most 100 ms",
            percent: promised.auth_calls_percent,
            indicator: events(
                text(query!(
                    r#"sum by (job) (rate(gateway_auth_service_response_time_seconds_count[{w}])) - sum by (job) (rate(gateway_auth_service_response_time_seconds_bucket{le="0.1"}[{w}]))"#
                )),
                text(query!("sum by (job) (rate(gateway_auth_service_response_time_seconds_count[{w}]))")),
            ),
            dashboard: "authentication-performance",
        },
        invariant(
            "header_injection",
            "requests sent to services, with the trust headers",
            // Both counters are of one scrape, so no window is needed: raw, they are the same.
            query!(
                "max by (job) (abs(sum by (job, instance) (gateway_security_headers_due_total) - sum by (job, instance) (gateway_security_headers_injected_total)))"
            ),
            "security-monitoring",
        ),
        invariant(
            "audit",
            "security events, each with its line in the log store",
            AUDIT_DIFFERENCE,
            "security-events",
        ),
        invariant(
            "critical_incidents",
            "the time, without a critical alert",
            query!(r#"count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)"#),
            "security-overview",
        ),
    ]
}

/// Security events that the filter wrote a line of, or could not, less the lines of them that the log store has, in an hour. The store is
/// asked itself, by the rules in `logs/`: a counter on the way loses what it had counted since the last scrape when its process ends. No
/// line of an action has no series, which is 0 where the store answers at all.
pub const AUDIT_DIFFERENCE: &str = query!(
    r#"sum(increase(portcullis_log_lines_total{kind="security"}[1h])) + sum(increase(portcullis_log_lines_dropped_total{reason="refused"}[1h])) - (sum(gateway_log:lines_by_action:count1h{action=~"jwt_validation|access_control|rate_limit_violation|circuit_breaker_change|suspicious_activity|security_header_validation"}) or 0 * sum(gateway_log:lines:count1h))"#
);

fn invariant(
    name: &'static str,
    title: &'static str,
    difference: &str,
    dashboard: &'static str,
) -> Objective {
    let indicator = Indicator::Invariant { difference: text(difference) };
    Objective { name, title, percent: 100.0, indicator, dashboard }
}

/// Orders are business events, which the policy names.
fn of_orders(settings: &Settings) -> Option<Objective> {
    let orders = settings.orders.as_ref()?;
    let rate = |names: &[String]| {
        format!(r#"sum by (job) (rate(business_events_total{{event=~"{}"}}[{{w}}]))"#, names.join("|"))
    };
    let both = [orders.created.clone(), orders.refused.clone()].concat();
    Some(Objective {
        name: "orders",
        title: "orders that were created, of those that were sent",
        percent: settings.objectives.orders_percent,
        indicator: events(rate(&orders.refused), rate(&both)),
        dashboard: "trading-operations",
    })
}

/// Names of all objectives that there are, whatever the settings say.
pub const NAMES: [&str; 13] = [
    "availability",
    "latency",
    "errors",
    "routing",
    "breakers",
    "cpu",
    "memory",
    "authentication",
    "auth_calls",
    "header_injection",
    "audit",
    "critical_incidents",
    "orders",
];

impl Objective {
    /// Its document.
    #[must_use]
    pub fn document(&self) -> Document {
        Document::of(self)
    }

    /// The queries that it needs, for a look at whether they have data.
    #[must_use]
    pub fn queries(&self) -> Vec<&str> {
        match &self.indicator {
            Indicator::Events { bad, total } => vec![bad, total],
            Indicator::Time { bad } => vec![bad],
            Indicator::Invariant { difference } => vec![difference],
        }
    }
}

/// A recording rule of an objective.
fn record(series: &str, slo: &str, expr: String) -> Rule {
    Rule::record(series, expr).label("slo", slo)
}
