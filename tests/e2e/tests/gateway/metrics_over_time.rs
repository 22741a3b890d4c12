//! When counts become visible, to whom, and how time is counted.

use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{
    Connection, Gateway, Request, Samples, ScriptedUpstream, eventually, example_policy, without_tokens,
};
use portcullis_pipeline::GatewayMetrics;
use portcullis_policy::Policy;
use std::time::Duration;

fn bucket(samples: &Samples, bearer: &str, le: &str) -> f64 {
    let labels = [("endpoint", "/api/v1/orders/{id}"), ("le", le)];
    samples.value(&format!("{bearer}_request_latency_seconds_bucket"), &labels).expect("it exists")
}

#[test]
fn a_request_of_3_seconds_is_in_the_bucket_of_5_and_in_no_smaller_one() {
    let order = ScriptedUpstream::listen();
    let gateway = Gateway::setup().service_at("order", order.address()).start();
    let mut client = Connection::open(gateway.address());
    client.write(&Request::get("/api/v1/orders/7").to_bytes()).expect("the gateway listens");
    let mut service = order.accept_request();
    gateway.envoy.travel(Duration::from_secs(3));
    service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(client.read_answer("GET").expect("an answer").status, 200);
    gateway.envoy.travel(Duration::from_secs(2));
    assert_eq!(gateway.settled("order_request_latency_seconds_count", &[], 1.0), 1.0);
    let samples = gateway.metrics();
    for bearer in ["gateway", "order"] {
        assert_eq!(bucket(&samples, bearer, "2.5"), 0.0);
        assert_eq!((bucket(&samples, bearer, "5"), bucket(&samples, bearer, "+Inf")), (1.0, 1.0));
        let sum = samples.sum(&format!("{bearer}_request_latency_seconds_sum"), &[]);
        assert!((3.0..5.0).contains(&sum), "{bearer}: {sum}");
    }
    let micros = gateway.envoy.samples().sum("order_request_latency_microseconds_sum", &[]);
    assert!((3e6..5e6).contains(&micros), "{micros}");
}

#[test]
fn counts_reach_envoys_stats_on_the_tick_and_not_before() {
    let gateway = Gateway::with_policy(|policy| policy["metrics"]["flush_interval"] = "60s".into());
    let on_envoys_endpoint = || gateway.envoy.samples().sum("gateway_requests_total", &[]);
    let answer = gateway.get("/no/such/route");
    gateway.log_line_of(&answer);
    assert_eq!(on_envoys_endpoint(), 0.0);
    gateway.envoy.travel(Duration::from_secs(61));
    eventually("the count is on Envoy's endpoint", || on_envoys_endpoint() == 1.0);
}

#[test]
fn an_unusual_status_is_shown_by_whichever_worker_answers() {
    let gateway = Gateway::start();
    let fault = Fault::on(Service::Inventory, "/inventory/assets").status(418).times(1);
    gateway.knobs().set(fault).expect("a possible fault");
    let labels = [("status_code", "418"), ("endpoint", "/api/v1/inventory/assets")];
    assert_eq!(gateway.metrics().value("gateway_requests_total", &labels), None);
    assert_eq!(gateway.get("/api/v1/inventory/assets").status, 418);
    gateway.envoy.travel(Duration::from_secs(2));
    eventually("the count is on Envoy's endpoint", || {
        gateway.envoy.samples().value("gateway_requests_total", &labels) == Some(1.0)
    });
    // Every connection may be given to either worker: with 24 of them, both are asked.
    for _ in 0..24 {
        let samples = gateway.metrics();
        for name in [
            "gateway_requests_total",
            "gateway_errors_total",
            "inventory_requests_total",
            "inventory_errors_total",
        ] {
            assert_eq!(samples.value(name, &labels), Some(1.0), "{name}");
        }
    }
}

/// A worker makes the page a few times in a flush interval. What it shows after that is what any worker has shown last.
#[test]
fn no_count_is_lower_than_another_worker_has_shown_it() {
    let gateway = Gateway::with_policy(|policy| policy["metrics"]["flush_interval"] = "60s".into());
    // Every connection may be given to either worker.
    let mut connections: Vec<_> = (0..24).map(|_| Connection::open(gateway.address())).collect();
    let shown = |connection: &mut Connection| {
        let page = connection.send(&Request::get("/metrics"));
        Samples::parse(page.text())
            .expect("a page")
            .sum("gateway_requests_total", &[("endpoint", "unmatched")])
    };
    // One of them has made as many as it may.
    let first = (0..9).map(|_| shown(&mut connections[0])).fold(0.0, f64::max);
    for connection in &mut connections {
        assert_eq!(connection.send(&Request::get("/no/such/route")).status, 404);
    }
    let counts: Vec<_> = connections.iter_mut().map(shown).collect();
    assert!(counts.is_sorted(), "{counts:?}");
    assert!(counts.last() > Some(&first), "{counts:?}, at first {first}");
}

/// Who reads one format all the time keeps nobody from a page of the other that is of now.
#[test]
fn a_page_is_never_older_than_a_flush_interval() {
    let setup = Gateway::setup().policy(|policy| policy["metrics"]["flush_interval"] = "60s".into());
    let gateway = setup.envoy(|config| config.workers(1)).start();
    let open_metrics =
        Request::get("/metrics").header("accept", "application/openmetrics-text; version=1.0.0");
    let refused = r#"gateway_requests_total{status_code="404",endpoint="unmatched"} 1"#;
    assert!(!gateway.send(&open_metrics).text().contains(refused));
    assert_eq!(gateway.get("/no/such/route").status, 404);
    gateway.envoy.travel(Duration::from_secs(61));
    (0..9).for_each(|_| drop(gateway.get("/metrics")));
    let page = gateway.send(&open_metrics);
    assert!(page.text().contains(refused), "{}", page.text());
}

#[test]
fn what_does_not_fit_max_series_is_counted_as_other_and_said_so() {
    let policy = Policy::from_value(&without_tokens(example_policy())).expect("it is sound");
    let exact = GatewayMetrics::build(&policy).expect("they fit").registry().len();
    let gateway = Gateway::with_policy(move |policy| policy["metrics"]["max_series"] = exact.into());
    let unusual = 415..=451;
    for status in unusual.clone() {
        let fault = Fault::on(Service::Inventory, "/inventory/assets").status(status).times(1);
        gateway.knobs().set(fault).expect("a possible fault");
        assert_eq!(gateway.get("/api/v1/inventory/assets").status, status);
    }
    let total = unusual.count() as f64;
    gateway.envoy.travel(Duration::from_secs(2));
    assert_eq!(gateway.settled("gateway_requests_total", &[], total), total);
    let samples = gateway.metrics();
    let other = [("status_code", "other"), ("endpoint", "/api/v1/inventory/assets")];
    assert!(samples.sum("gateway_requests_total", &other) > 0.0);
    assert!(samples.sum("portcullis_metric_series_overflow_total", &[]) > 0.0);
}
