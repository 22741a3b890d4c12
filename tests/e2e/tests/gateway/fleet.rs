//! Limits that two gateways share, counted by Envoy's own rate limit service in Redis.

use portcullis_e2e::{Answer, Gateway, RateLimitService, Request, eventually};
use serde_json::{Value, json};

const ASSETS: &str = "/api/v1/inventory/assets";
const LIMIT: usize = 20;

/// A gateway with one limit for the fleet; `more` is added to the limit.
fn gateway(service: &RateLimitService, more: Value) -> Gateway {
    // A day: nothing comes back while the test runs.
    let mut rule = json!({ "key": ["ip"], "limit": LIMIT, "window": "1d", "scope": "fleet" });
    rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let limits = json!({ "service": { "cluster": "counter", "timeout": "5s" }, "rules": { "fleet": rule } });
    Gateway::setup()
        .policy(|policy| {
            policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]});
            policy["clusters"]["counter"] = json!({ "address": "127.0.0.1:8081" });
            policy["limits"] = limits;
        })
        .service_at("counter", service.address())
        .start()
}

fn ask(gateway: &Gateway, client: &str) -> Answer {
    gateway.send(&Request::get(ASSETS).header("x-forwarded-for", client))
}

/// How often a gateway has asked the service.
fn asked(gateway: &Gateway) -> f64 {
    gateway.envoy.samples().sum("envoy_cluster_upstream_rq_total", &[("envoy_cluster_name", "counter")])
}

#[test]
fn two_gateways_admit_together_what_the_limit_says_and_a_hot_key_is_not_asked_about_again() {
    let service = RateLimitService::start();
    let gateways = [gateway(&service, json!({})), gateway(&service, json!({}))];
    let answers: Vec<_> = (0..200).map(|n| ask(&gateways[n % 2], "203.0.113.9")).collect();
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(429)), (LIMIT, 200 - LIMIT));
    let refused = answers.last().expect("there are answers");
    assert_eq!(refused.header("x-ratelimit-limit").as_deref(), Some("20"), "{refused:?}");
    assert_eq!(refused.header("x-ratelimit-remaining").as_deref(), Some("0"), "{refused:?}");
    assert_eq!(refused.json()["code"], "RATE_001");
    // Each worker of each gateway hears the refusal once, and then knows.
    let questions: f64 = gateways.iter().map(asked).sum();
    assert!((20.0..=24.0).contains(&questions), "{questions} questions about 200 requests");
    assert_eq!(ask(&gateways[0], "203.0.113.10").status, 200, "another client");
    assert_eq!(gateways[0].settled("auth_rate_limit_hits_total", &[("type", "per_ip")], 90.0), 90.0);
}

#[test]
fn without_redis_or_without_the_service_requests_pass_or_not_as_the_limit_says() {
    let mut service = RateLimitService::start();
    let (open, closed) = (gateway(&service, json!({})), gateway(&service, json!({ "on_failure": "deny" })));
    let statuses = || [ask(&open, "203.0.113.9").status, ask(&closed, "203.0.113.9").status];
    assert_eq!(statuses(), [200, 200]);
    service.stop_redis();
    assert_eq!(statuses(), [200, 503]);
    service.stop_service();
    assert_eq!(statuses(), [200, 503]);
    let failures =
        |gateway: &Gateway| gateway.settled("gateway_guard_failures_total", &[("error", "service")], 2.0);
    assert_eq!([failures(&open), failures(&closed)], [2.0, 2.0]);
    service.start_redis();
    service.start_service();
    eventually("it counts again", || statuses() == [200, 200]);
}
