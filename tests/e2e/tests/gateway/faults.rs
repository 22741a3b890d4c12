//! What happens between gateway and service, and what client, metrics and log are told of it.

use crate::common::{assert_dressed, assert_error};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{Answer, ClientError, Connection, Gateway, Request, ReservedPort, ScriptedUpstream};
use serde_json::Value;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// A gateway whose order service does what the test says, and whose insights service is down. One test at a time counts on it.
struct Stage {
    gateway: Gateway,
    order: ScriptedUpstream,
    _nobody: ReservedPort,
}

static STAGES: [LazyLock<Mutex<Stage>>; 2] =
    [LazyLock::new(|| Mutex::new(stage(true))), LazyLock::new(|| Mutex::new(stage(false)))];

/// After this, every worker has added its counts to Envoy's.
const A_TICK: Duration = Duration::from_millis(1_100);

fn stage(offload: bool) -> Stage {
    let (order, nobody) = (ScriptedUpstream::listen(), ReservedPort::new());
    let setup = Gateway::setup().offload(offload);
    let setup = setup.service_at("order", order.address()).service_at("insights", nobody.address());
    let gateway = setup.start();
    std::fs::remove_dir_all(gateway.envoy.folder()).expect("its folder can be removed");
    Stage { gateway, order, _nobody: nobody }
}

fn both_ways(test: impl Fn(&Stage)) {
    for (stage, way) in STAGES.iter().zip(["as rendered", "with the filter alone"]) {
        eprintln!("{way}"); // shown if the test fails
        test(&stage.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Stage {
    /// Sends a request for an order, and returns its connection once the service has the request.
    fn ask(&self, target: &str) -> (Connection, portcullis_e2e::UpstreamConnection) {
        let mut client = Connection::open(self.gateway.address());
        client.write(&Request::get(target).to_bytes()).expect("the gateway listens");
        (client, self.order.accept_request())
    }

    fn proxy_errors(&self) -> f64 {
        self.gateway.metrics().sum("gateway_proxy_errors_total", &[])
    }

    /// Runs `fail`, after which one more request must have ended in `status` at `service`, and, if that is an error of the
    /// proxy's, in one more proxy error of this type and in no other.
    #[track_caller]
    fn counts<T>(
        &self,
        service: &str,
        status: &str,
        error_type: Option<&str>,
        fail: impl FnOnce() -> T,
    ) -> T {
        let (name, requests) = (format!("{service}_requests_total"), [("status_code", status)]);
        let error = [("target_service", service), ("error_type", error_type.unwrap_or("request_failed"))];
        let before = self.gateway.metrics();
        let (all, errors) = (self.proxy_errors(), before.sum("gateway_proxy_errors_total", &error));
        let outcome = fail();
        self.gateway.envoy.travel(A_TICK);
        let expected = before.sum(&name, &requests) + 1.0;
        assert_eq!(self.gateway.settled(&name, &requests, expected), expected, "{name} {status}");
        let more = if error_type.is_some() { 1.0 } else { 0.0 };
        assert_eq!(
            self.gateway.metrics().sum("gateway_proxy_errors_total", &error),
            errors + more,
            "{error:?}"
        );
        assert_eq!(self.proxy_errors(), all + more);
        outcome
    }

    fn line_for(&self, path: &str) -> Value {
        let line = self.gateway.envoy.stdout().wait_for_line(|line| line.contains(&format!("\"{path}\"")));
        line.json().expect("it is JSON")
    }
}

#[track_caller]
fn assert_failure_is_told(answer: &Answer, status: u16, line: &Value, details: &str) {
    assert_error(answer, status, "SVC_001");
    assert_dressed(answer);
    let extra = &line["extra"];
    assert_eq!((&line["level"], &extra["status"]), (&"ERROR".into(), &status.into()), "{line}");
    assert!(extra["details"].as_str().is_some_and(|told| told.contains(details)), "{line}");
}

#[test]
fn a_service_that_is_down_is_503() {
    both_ways(|stage| {
        let ask = || stage.gateway.get("/api/v1/insights/portfolio");
        let answer = stage.counts("insights", "503", Some("request_failed"), ask);
        let line = stage.gateway.log_line_of(&answer);
        assert_failure_is_told(&answer, 503, &line, "connection");
    });
}

#[test]
fn pages_that_may_call_can_read_that_a_service_is_down() {
    both_ways(|stage| {
        let from_shop = Request::get("/api/v1/insights/portfolio").header("origin", "http://localhost:3000");
        let ask = || stage.gateway.send(&from_shop);
        let answer = stage.counts("insights", "503", Some("request_failed"), ask);
        assert_error(&answer, 503, "SVC_001");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed.as_deref(), Some("http://localhost:3000"), "{answer:?}");
    });
}

#[test]
fn a_service_that_is_down_is_unavailable_to_grpc_clients() {
    both_ways(|stage| {
        let call = Request::get("/api/v1/insights/portfolio").header("content-type", "application/grpc");
        let ask = || stage.gateway.send_h2(&call);
        let answer = stage.counts("insights", "503", Some("request_failed"), ask);
        assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("14")), "{answer:?}");
        let line = stage.gateway.log_line_of(&answer);
        assert!(line["extra"]["details"].is_string(), "{line}");
        assert_eq!((&line["level"], &line["extra"]["status"]), (&"ERROR".into(), &503.into()), "{line}");
    });
}

#[test]
fn a_service_that_is_slow_is_504_after_the_routes_timeout() {
    both_ways(|stage| {
        let answer = stage.counts("order", "504", Some("request_failed"), || {
            let (mut client, service) = stage.ask("/api/v1/orders/slow");
            stage.gateway.envoy.travel(Duration::from_secs(16));
            service.wait_for_close();
            client.read_answer("GET").expect("an answer")
        });
        let line = stage.line_for("/api/v1/orders/slow");
        assert_failure_is_told(&answer, 504, &line, "timeout");
        assert!((15_000.0..60_000.0).contains(&line["duration_ms"].as_f64().expect("a number")), "{line}");
    });
}

#[test]
fn a_service_that_resets_before_it_answers_is_503() {
    both_ways(|stage| {
        let answer = stage.counts("order", "503", Some("request_failed"), || {
            let (mut client, service) = stage.ask("/api/v1/orders/reset");
            service.reset();
            client.read_answer("GET").expect("an answer")
        });
        assert_failure_is_told(
            &answer,
            503,
            &stage.line_for("/api/v1/orders/reset"),
            "reset_before_response",
        );
    });
}

#[test]
fn a_service_that_does_not_speak_http_is_told_like_one_that_fails() {
    both_ways(|stage| {
        let answer = stage.counts("order", "502", Some("request_failed"), || {
            let (mut client, mut service) = stage.ask("/api/v1/orders/babble");
            service.write(b"what?\r\n\r\n");
            client.read_answer("GET").expect("an answer")
        });
        assert_failure_is_told(&answer, 502, &stage.line_for("/api/v1/orders/babble"), "protocol_error");
    });
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client_too_and_is_a_proxy_error() {
    both_ways(|stage| {
        stage.counts("order", "200", Some("request_failed"), || {
            let (mut client, mut service) = stage.ask("/api/v1/orders/broken");
            service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
            assert_eq!(client.read_head().expect("a head").status, 200);
            assert_eq!(client.read_exactly(9).expect("the part that came"), b"only this");
            service.reset();
            let rest = client.read_exactly(1);
            assert!(matches!(rest, Err(ClientError::Closed { .. })), "{rest:?}");
        });
        let line = stage.line_for("/api/v1/orders/broken");
        assert_eq!(line["extra"]["status"], 200, "{line}");
        assert!(
            line["extra"]["details"].as_str().is_some_and(|d| d.contains("upstream_reset_after")),
            "{line}"
        );
    });
}

#[test]
fn a_services_own_5xx_passes_as_it_is_and_is_counted_by_its_status() {
    both_ways(|stage| {
        for (status, text) in [(500, "500"), (502, "502"), (503, "503")] {
            let asset = format!("/inventory/assets/FAULT{status}");
            let fault = Fault::on(Service::Inventory, &asset).status(status).body("own words");
            stage.gateway.knobs().set(fault).expect("a possible fault");
            let ask = || stage.gateway.get(&format!("/api/v1{asset}"));
            let answer = stage.counts("inventory", text, Some(text), ask);
            assert_eq!((answer.status, answer.text()), (status, "own words"));
            assert_dressed(&answer);
            let line = stage.gateway.log_line_of(&answer);
            assert_eq!(
                (&line["level"], &line["extra"]["details"]),
                (&"ERROR".into(), &Value::Null),
                "{line}"
            );
        }
    });
}

#[test]
fn a_services_4xx_is_no_proxy_error() {
    both_ways(|stage| {
        let answer =
            stage.counts("inventory", "404", None, || stage.gateway.get("/api/v1/inventory/assets/NONE"));
        assert!(answer.json()["detail"].is_string(), "{answer:?}");
    });
}

#[test]
fn a_client_that_leaves_before_it_is_answered_is_499_and_no_proxy_error() {
    both_ways(|stage| {
        stage.counts("order", "499", None, || {
            let (client, service) = stage.ask("/api/v1/orders/left");
            client.reset().expect("it was there");
            service.wait_for_close();
        });
        let line = stage.line_for("/api/v1/orders/left");
        assert_eq!((&line["level"], &line["extra"]["status"]), (&"WARN".into(), &499.into()), "{line}");
        assert_eq!(line["extra"]["details"], Value::Null, "{line}");
        assert_eq!(line["extra"]["ended_by"], "client", "{line}");
    });
}

#[test]
fn a_client_that_leaves_over_http_2_is_499_as_well() {
    both_ways(|stage| {
        stage.counts("order", "499", None, || {
            let client = portcullis_e2e::H2Connection::open(stage.gateway.address());
            let pending = client.start(&Request::get("/api/v1/orders/left-h2")).expect("it is valid");
            let service = stage.order.accept_request();
            drop(pending);
            service.wait_for_close();
        });
        assert_eq!(stage.line_for("/api/v1/orders/left-h2")["extra"]["status"], 499);
    });
}

#[test]
fn a_client_that_leaves_amid_its_answer_has_the_status_that_it_saw() {
    both_ways(|stage| {
        stage.counts("order", "200", None, || {
            let (mut client, mut service) = stage.ask("/api/v1/orders/left-late");
            service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
            client.read_exactly(9).expect("a part");
            client.reset().expect("it was there");
            service.wait_for_close();
        });
        let line = stage.line_for("/api/v1/orders/left-late");
        assert_eq!(
            (&line["extra"]["status"], &line["extra"]["ended_by"]),
            (&200.into(), &"client".into()),
            "{line}"
        );
    });
}
