use super::*;
use crate::exposition;
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn catalogue(max_series: usize) -> Catalogue {
    Catalogue {
        endpoints: vec![
            Endpoint { label: "/orders/{id}".into(), services: vec![0] },
            Endpoint { label: "unmatched".into(), services: vec![] },
        ],
        services: vec!["order".into()],
        statuses: vec![200, 404, 503],
        auth: None,
        max_series,
    }
}

fn metrics() -> GatewayMetrics {
    GatewayMetrics::build(&catalogue(1_000), &Node::top()).unwrap()
}

fn forwarded(status: u16) -> Observation {
    Observation { endpoint: 0, status, micros: 7_000, service: Some(0), proxy_error: None }
}

fn text(metrics: &mut GatewayMetrics) -> String {
    let mut totals = HashMap::new();
    metrics.flush(|stat, change| {
        let Change::Add(by) = change else { panic!("there is no level here") };
        assert_eq!(totals.insert(stat.0, by.cast_unsigned()), None, "a stat is flushed once");
    });
    exposition(metrics.registry(), |stat| totals.get(&stat.0).copied().unwrap_or(0))
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
}

#[test]
fn every_possible_series_is_there_at_zero_before_the_first_request() {
    let text = text(&mut metrics());
    for line in [
        "gateway_requests_total{status_code=\"404\",endpoint=\"unmatched\"} 0",
        "gateway_errors_total{status_code=\"503\",endpoint=\"/orders/{id}\"} 0",
        "gateway_proxy_errors_total{target_service=\"order\",error_type=\"request_failed\"} 0",
        "gateway_proxy_errors_total{target_service=\"order\",error_type=\"503\"} 0",
        "order_requests_total{status_code=\"200\",endpoint=\"/orders/{id}\"} 0",
        "order_request_latency_seconds_count{endpoint=\"/orders/{id}\"} 0",
    ] {
        assert_has(&text, line);
    }
    assert!(!text.contains("errors_total{status_code=\"200\""), "200 is no error");
    assert!(!text.contains("order_requests_total{status_code=\"200\",endpoint=\"unmatched\"}"));
}

#[test]
fn a_forwarded_request_moves_the_gateways_and_its_services_series() {
    let mut metrics = metrics();
    metrics.observe(&forwarded(404));
    let text = text(&mut metrics);
    for line in [
        "gateway_requests_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "gateway_errors_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "order_requests_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "gateway_request_latency_seconds_bucket{endpoint=\"/orders/{id}\",le=\"0.005\"} 0",
        "gateway_request_latency_seconds_bucket{endpoint=\"/orders/{id}\",le=\"0.01\"} 1",
        "order_request_latency_seconds_sum{endpoint=\"/orders/{id}\"} 0.007",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn what_the_gateway_answers_itself_moves_no_service() {
    let mut metrics = metrics();
    metrics.observe(&Observation { service: None, endpoint: 1, ..forwarded(404) });
    let text = text(&mut metrics);
    assert_has(&text, "gateway_requests_total{status_code=\"404\",endpoint=\"unmatched\"} 1");
    assert_has(&text, "order_requests_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 0");
}

#[test]
fn a_transport_failure_is_told_from_a_service_that_answers_503() {
    let mut metrics = metrics();
    metrics.observe(&Observation { proxy_error: Some(ProxyError::RequestFailed), ..forwarded(503) });
    metrics.observe(&Observation { proxy_error: Some(ProxyError::Status(503)), ..forwarded(503) });
    metrics.observe(&Observation { proxy_error: Some(ProxyError::Status(503)), ..forwarded(503) });
    let text = text(&mut metrics);
    assert_has(&text, "gateway_proxy_errors_total{target_service=\"order\",error_type=\"request_failed\"} 1");
    assert_has(&text, "gateway_proxy_errors_total{target_service=\"order\",error_type=\"503\"} 2");
}

#[test]
fn an_unusual_status_gets_its_series_and_other_workers_hear_of_it() {
    let (mut one, mut two) = (metrics(), metrics());
    one.observe(&forwarded(418));
    let born = one.take_born();
    assert_eq!(born.len(), 4, "requests and errors, of gateway and service: {born:?}");
    assert!(one.take_born().is_empty());
    born.iter().for_each(|key| two.adopt(key));
    assert!(two.take_born().is_empty(), "what was heard is not news");
    assert_has(&text(&mut two), "order_errors_total{status_code=\"418\",endpoint=\"/orders/{id}\"} 0");
    let before = two.registry().len();
    for foreign in ["no_such_family\u{1f}x", "gateway_requests_total\u{1f}418\u{1f}/of/an/older/policy", ""] {
        two.adopt(foreign);
    }
    assert_eq!(two.registry().len(), before);
}

#[test]
fn when_the_registry_is_full_nothing_goes_uncounted() {
    let full = metrics().registry().len();
    let mut metrics = GatewayMetrics::build(&catalogue(full), &Node::top()).unwrap();
    metrics.observe(&forwarded(418));
    let text = text(&mut metrics);
    assert_has(&text, "gateway_requests_total{status_code=\"other\",endpoint=\"other\"} 1");
    assert_has(&text, "order_errors_total{status_code=\"other\",endpoint=\"other\"} 1");
    assert_has(&text, "portcullis_metric_series_overflow_total 4");
    assert!(!text.contains("418"));
}

#[test]
fn a_limit_below_what_the_policy_needs_is_an_error() {
    let error =
        GatewayMetrics::build(&catalogue(10), &Node::top().key("metrics").key("max_series")).err().unwrap();
    assert!(error.to_string().starts_with("metrics.max_series: found 10, expected at least "), "{error}");
}
