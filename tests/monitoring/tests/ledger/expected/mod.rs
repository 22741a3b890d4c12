//! What each panel must say at the end of the hour, worked out from the ledger alone.

mod panels;

use crate::event::Event;
use crate::script::Hour;
use portcullis_e2e::Labels;
use portcullis_monitoring_tests::Answer;
use std::collections::BTreeMap;

/// Seconds of the hour.
pub const HOUR: f64 = 3600.0;

/// What a query of a panel must say.
#[derive(Clone, Debug)]
pub enum Expected {
    /// These series; one that is missing here must be 0 or missing there.
    Is(Answer),
    /// Nothing: the panel's declared empty state.
    Empty,
}

/// The ledger, and questions to it.
pub struct Ledger<'a>(pub &'a Hour);

type Group = Vec<String>;

impl Ledger<'_> {
    fn count(&self, is_it: impl Fn(&Event) -> bool) -> f64 {
        self.0.events.iter().filter(|event| is_it(event)).map(|_| 1.0).sum()
    }

    /// Counts by labels; an event without them is not counted.
    fn by(&self, labels: &[&str], of: impl Fn(&Event) -> Option<Group>) -> Answer {
        self.sum_by(labels, |event| of(event).map(|group| (group, 1.0)))
    }

    fn sum_by(&self, labels: &[&str], of: impl Fn(&Event) -> Option<(Group, f64)>) -> Answer {
        let mut answer = Answer::new();
        for (group, value) in self.0.events.iter().filter_map(of) {
            let labels: Labels = labels.iter().map(|label| (*label).to_owned()).zip(group).collect();
            *answer.entry(labels).or_insert(0.0) += value;
        }
        answer
    }

    /// A quantile as Prometheus works it out of buckets.
    fn quantile(&self, quantile: f64, of: impl Fn(&Event) -> bool) -> f64 {
        let seconds: Vec<f64> =
            self.0.events.iter().filter(|event| of(event)).map(|event| event.seconds).collect();
        quantile_of(quantile, &seconds, &BUCKETS)
    }

    fn quantiles(
        &self,
        label: &str,
        quantile: f64,
        buckets: &[f64],
        of: impl Fn(&Event) -> Option<String>,
    ) -> Answer {
        let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for event in &self.0.events {
            if let Some(group) = of(event) {
                groups.entry(group).or_default().push(event.seconds);
            }
        }
        let each = groups.into_iter();
        each.map(|(group, seconds)| (labels(&[(label, &group)]), quantile_of(quantile, &seconds, buckets)))
            .collect()
    }
}

const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const OBJECTIVE: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn quantile_of(quantile: f64, seconds: &[f64], buckets: &[f64]) -> f64 {
    let within = |bound: f64| seconds.iter().filter(|second| **second <= bound).map(|_| 1.0).sum::<f64>();
    let rank = quantile * within(f64::INFINITY);
    let (mut before, mut start) = (0.0, 0.0);
    for bound in buckets {
        let up_to = within(*bound);
        if up_to >= rank {
            return start + (bound - start) * (rank - before) / (up_to - before);
        }
        (before, start) = (up_to, *bound);
    }
    start
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

fn one(value: f64) -> Expected {
    Expected::Is(Answer::from([(Labels::new(), value)]))
}

fn named(pairs: &[(&str, &str)], value: f64) -> Expected {
    Expected::Is(Answer::from([(labels(pairs), value)]))
}

fn each(answer: Answer, factor: f64) -> Expected {
    Expected::Is(answer.into_iter().map(|(labels, value)| (labels, value * factor)).collect())
}

fn text(value: &str) -> Option<Group> {
    (!value.is_empty()).then(|| vec![value.to_owned()])
}

fn some(value: Option<&str>) -> Option<Group> {
    value.and_then(text)
}

fn is_refused_token(event: &Event) -> bool {
    matches!(event.token, Some(("failure", reason)) if reason != "missing")
}

/// Whether the gateway sent it to a service.
fn is_routed(event: &Event) -> bool {
    !event.service.is_empty()
}

/// Everything that panels say, by their titles; one for each query.
pub fn all(hour: &Hour, services: &[&str]) -> BTreeMap<String, Vec<Expected>> {
    let ledger = Ledger(hour);
    let mut all = BTreeMap::new();
    for (title, expected) in panels::all(&ledger) {
        assert!(all.insert(title.to_owned(), expected).is_none(), "two expectations of {title}");
    }
    for service in services {
        all.extend(
            health(&ledger, service).map(|(what, expected)| (format!("{service}: {what}"), vec![expected])),
        );
    }
    all
}

type Titled = Vec<(&'static str, Vec<Expected>)>;

const RATE: f64 = 1.0 / HOUR;

fn health(ledger: &Ledger, service: &str) -> [(&'static str, Expected); 6] {
    let is_its = |event: &Event| event.service == service;
    let all = ledger.count(is_its);
    let failed = ledger.count(|event| is_its(event) && event.status >= 500);
    let lost = ledger.count(|event| {
        (is_its(event) || event.refused_by_breaker == Some(service)) && event.lost == Some("request_failed")
    });
    let where_any = |value: Expected| if all > 0.0 { value } else { Expected::Empty };
    [
        ("requests", one(all * RATE)),
        ("errors", where_any(one(failed / all))),
        ("p95", where_any(one(ledger.quantile(0.95, is_its)))),
        ("no answer", one(lost)),
        ("breaker", one(0.0)),
        (
            "statuses",
            each(
                ledger
                    .by(&["status_code"], |event| text(&event.status.to_string()).filter(|_| is_its(event))),
                RATE,
            ),
        ),
    ]
}

/// What the recording rules say, of a ledger of five minutes.
pub fn last_minutes(ledger: &Ledger) -> BTreeMap<&'static str, Expected> {
    const PER_SECOND: f64 = 1.0 / 300.0;
    let all = ledger.count(|_| true);
    let server = ledger.count(|event| event.status >= 500);
    let endpoint = |event: &Event| text(event.endpoint);
    let p = |q| one(ledger.quantile(q, |_| true));
    let p95 = ledger.quantiles("endpoint", 0.95, &BUCKETS, |event| Some(event.endpoint.to_owned()));
    let token = |event: &Event| matches!(event.token, Some((_, reason)) if reason != "missing");
    let refused = ledger.count(is_refused_token);
    let tokens = ledger.count(token);
    let routed = ledger.count(is_routed);
    let slow = ledger.count(|event| is_routed(event) && event.seconds > 0.2);
    let unavailable = ledger.count(|event| event.routing == Some("service_unavailable"));
    let orders =
        |name: &'static str| ledger.count(|event| matches!(event.business, Some((of, ..)) if of == name));
    let (created, refused_orders) = (orders("orders_created"), orders("orders_refused"));
    let failed_logins = ledger.count(|event| event.endpoint == "/api/v1/auth/login" && event.status == 401);
    let limited = ledger.count(|event| event.limit.is_some());
    let own = [401, 403, 404, 409, 422, 429];
    let faults = ledger.count(|event| event.status >= 400 && !own.contains(&event.status));
    let server_by_endpoint =
        ledger.by(&["endpoint"], |event| endpoint(event).filter(|_| event.status >= 500));
    BTreeMap::from([
        ("gateway:requests:rate5m", one(all * PER_SECOND)),
        ("gateway_endpoint:requests:rate5m", each(ledger.by(&["endpoint"], endpoint), PER_SECOND)),
        (
            "gateway_service:requests:rate5m",
            each(ledger.by(&["target_service"], |event| text(event.service)), PER_SECOND),
        ),
        ("gateway:server_errors:ratio_rate5m", one(server / all)),
        ("gateway_endpoint:server_errors:ratio_rate5m", each(server_by_endpoint, 1.0)),
        ("gateway:latency_seconds:p50_5m", p(0.5)),
        ("gateway:latency_seconds:p95_5m", p(0.95)),
        ("gateway:latency_seconds:p99_5m", p(0.99)),
        ("gateway_endpoint:latency_seconds:p95_5m", Expected::Is(p95)),
        ("gateway:token_failures:ratio_rate5m", one(refused / tokens)),
        ("gateway:rate_limit_hits:rate5m", one(limited * PER_SECOND)),
        ("gateway:failed_logins:rate5m", one(failed_logins * PER_SECOND)),
        ("slo:bad:rate5mavailability", one(server * PER_SECOND)),
        ("slo:total:rate5mavailability", one(all * PER_SECOND)),
        ("slo:bad:rate5mlatency", one(slow * PER_SECOND)),
        ("slo:total:rate5mlatency", one(routed * PER_SECOND)),
        ("slo:bad:rate5merrors", one(faults * PER_SECOND)),
        ("slo:total:rate5merrors", one(all * PER_SECOND)),
        ("slo:bad:rate5mrouting", one(unavailable * PER_SECOND)),
        ("slo:total:rate5mrouting", one((routed + unavailable) * PER_SECOND)),
        ("slo:bad:rate5mbreakers", one(0.0)),
        ("slo:total:rate5mbreakers", one(1.0)),
        ("slo:bad:rate5mauthentication", one(refused * PER_SECOND)),
        ("slo:total:rate5mauthentication", one(tokens * PER_SECOND)),
        ("slo:bad:rate5morders", one(refused_orders * PER_SECOND)),
        ("slo:total:rate5morders", one((created + refused_orders) * PER_SECOND)),
    ])
}
