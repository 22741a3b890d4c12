//! Several endpoints, their health, retries, limits and time-outs: Envoy's work, from the policy's words.

use crate::common::{endpoint, ill, well, with_extra};
use portcullis_e2e::{Connection, Gateway, KeyAnswer, KeyServer, Request, eventually};
use serde_json::json;
use std::time::Duration;

const EXTRA: &str = "/api/v1/extra";

fn stat(gateway: &Gateway, name: &str) -> u64 {
    gateway.envoy.admin().stat(&format!("cluster.extra.{name}")).unwrap_or(0)
}

#[test]
fn endpoints_share_requests_by_weight_and_names_are_looked_up() {
    let (heavy, light) = (well(), well());
    let service = json!({
        "endpoints": [
            { "address": format!("localhost:{}", heavy.address().port()), "weight": 3 },
            endpoint(light.address()),
        ],
        "dns": { "family": "v4_only" },
    });
    let gateway = with_extra(&service, json!({})).envoy(|envoy| envoy.workers(1)).start();
    (0..40).for_each(|_| assert_eq!(gateway.get(EXTRA).status, 200));
    assert_eq!((heavy.fetches(), light.fetches()), (30, 10));
}

#[test]
fn a_safe_request_that_failed_is_sent_again_and_counts_once() {
    let (broken, good) = (KeyServer::start(KeyAnswer::Reset), well());
    let service = json!({
        "endpoints": [endpoint(broken.address()), endpoint(good.address())],
        "retry": { "budget": { "percent": 100 } },
    });
    let gateway = with_extra(&service, json!({})).start();
    let answers: Vec<_> = (0..20).map(|_| gateway.get(EXTRA)).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(broken.fetches() > 0 && stat(&gateway, "upstream_rq_retry") > 0, "nothing failed at first");
    assert_eq!(good.fetches(), 20);
    let labels = [("endpoint", EXTRA), ("status_code", "200")];
    assert_eq!(gateway.settled("gateway_requests_total", &labels, 20.0), 20.0);
    assert_eq!(gateway.settled("gateway_requests_total", &[("endpoint", EXTRA)], 20.0), 20.0);
    answers.iter().for_each(|answer| assert_eq!(gateway.log_line_of(answer)["extra"]["status"], 200));
}

#[test]
fn a_request_that_may_have_been_carried_out_is_not_sent_again() {
    let broken = KeyServer::start(KeyAnswer::Reset);
    let service = json!({ "address": broken.address().to_string(), "retry": { "attempts": 3 } });
    let gateway = with_extra(&service, json!({})).start();
    assert_eq!(gateway.send(&Request::post(EXTRA).body("x")).status, 503);
    assert_eq!((broken.fetches(), stat(&gateway, "upstream_rq_retry")), (1, 0));
    assert_eq!(gateway.get(EXTRA).status, 503);
    assert_eq!(broken.fetches(), 5);
}

#[test]
fn an_endpoint_that_is_not_well_gets_no_requests() {
    let (sick, good) = (ill(500), well());
    let service = json!({
        "endpoints": [endpoint(sick.address()), endpoint(good.address())],
        "health_check": { "path": "/alive", "interval": "100ms", "unhealthy_threshold": 1 },
        "load_balancing": { "panic_threshold": 0 },
    });
    let gateway = with_extra(&service, json!({})).start();
    eventually("the sick endpoint is out", || stat(&gateway, "membership_healthy") == 1);
    (0..10).for_each(|_| assert_eq!(gateway.get(EXTRA).status, 200));
    assert!(sick.asked().iter().all(|head| head.starts_with("GET /alive ")), "{:?}", sick.asked());
}

#[test]
fn an_endpoint_that_answers_with_errors_is_taken_out() {
    let (sick, good) = (ill(500), well());
    let service = json!({
        "endpoints": [endpoint(sick.address()), endpoint(good.address())],
        "outlier_detection": { "consecutive_5xx": 2, "max_ejection_percent": 50 },
        "load_balancing": { "panic_threshold": 0 },
    });
    let gateway = with_extra(&service, json!({})).start();
    eventually("it is ejected", || {
        let _ = gateway.get(EXTRA);
        stat(&gateway, "outlier_detection.ejections_active") == 1
    });
    (0..10).for_each(|_| assert_eq!(gateway.get(EXTRA).status, 200));
}

#[test]
fn what_is_above_a_circuit_limit_is_refused_at_once() {
    let slow = KeyServer::start(KeyAnswer::Hang);
    let service = json!({ "address": slow.address().to_string(), "circuit_limits": { "max_requests": 1 } });
    let gateway = with_extra(&service, json!({})).start();
    let mut first = Connection::open(gateway.address());
    first.write(&Request::get(EXTRA).to_bytes()).expect("it listens");
    slow.wait_for_fetches(1);
    let refused = gateway.get(EXTRA);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("SVC_001")));
    slow.answer_with(KeyAnswer::Document("1".into()));
    assert_eq!(first.read_answer("GET").expect("an answer").status, 200);
}

#[test]
fn a_time_out_of_zero_is_no_time_out() {
    let slow = KeyServer::start(KeyAnswer::Hang);
    let service = json!({ "address": slow.address().to_string(), "timeout": "2s" });
    let endless = json!({ "timeout": "0s", "idle_timeout": "0s" });
    let gateway = with_extra(&service, endless).start();
    let mut poll = Connection::open(gateway.address());
    poll.write(&Request::get(EXTRA).to_bytes()).expect("it listens");
    slow.wait_for_fetches(1);
    gateway.envoy.travel(Duration::from_secs(7200));
    slow.answer_with(KeyAnswer::Document("1".into()));
    assert_eq!(poll.read_answer("GET").expect("an answer").status, 200);
}

#[test]
fn a_time_out_of_the_service_ends_a_request() {
    let slow = KeyServer::start(KeyAnswer::Hang);
    let service = json!({ "address": slow.address().to_string(), "timeout": "2s" });
    let gateway = with_extra(&service, json!({})).start();
    let mut poll = Connection::open(gateway.address());
    poll.write(&Request::get(EXTRA).to_bytes()).expect("it listens");
    slow.wait_for_fetches(1);
    gateway.envoy.travel(Duration::from_secs(3));
    assert_eq!(poll.read_answer("GET").expect("an answer").status, 504);
}
