//! Answers that are cut, and whose doing that was: by Envoy's own response flags.

use portcullis_e2e::{Connection, Gateway, H2Connection, Request, ScriptedUpstream, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/orders/7";

/// A gateway whose order service does what the test says, and is left alone for good after two failures.
fn gateway(order: &ScriptedUpstream, change: impl Fn(&mut Value) + 'static) -> Gateway {
    Gateway::setup()
        .service_at("order", order.address())
        .policy(move |policy| {
            policy["breakers"] = json!({"order": {"consecutive_failures": 2, "open_for": "1h"}});
            policy["services"]["order"]["timeout"] = "30s".into();
            change(policy);
        })
        .envoy(|config| config.workers(1))
        .start()
}

/// Begins a request whose answer begins and does not go on.
fn half_answered(
    gateway: &Gateway,
    order: &ScriptedUpstream,
) -> (Connection, portcullis_e2e::UpstreamConnection) {
    let mut client = Connection::open(gateway.address());
    client.write(&Request::get(PATH).to_bytes()).expect("the gateway listens");
    let mut service = order.accept_request();
    service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    eventually("the answer has begun", || {
        gateway.envoy.admin().stat("cluster.order.upstream_rq_200") >= Some(1)
    });
    (client, service)
}

fn errors(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("gateway_proxy_errors_total", &[("target_service", "order")])
}

fn is_open(gateway: &Gateway) -> bool {
    gateway.get(PATH).status == 503
}

/// A request that is answered whole, by a service that is called.
fn answered(gateway: &Gateway, order: &ScriptedUpstream) {
    let mut client = Connection::open(gateway.address());
    client.write(&Request::get(PATH).to_bytes()).expect("the gateway listens");
    let mut service = order.accept_request();
    service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    service.wait_for_close();
}

/// Nobody can tell a service that stalls from a client that does not read; what such a client could do to all others, it must not.
#[test]
fn an_answer_cut_by_a_time_out_is_an_error_and_opens_no_breaker() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |_| ());
    for count in [1.0, 2.0] {
        let cut = half_answered(&gateway, &order);
        gateway.envoy.travel(Duration::from_secs(31));
        assert_eq!(
            gateway.settled("gateway_proxy_errors_total", &[("target_service", "order")], count),
            count
        );
        drop(cut);
        gateway.envoy.travel(Duration::from_secs(2));
    }
    answered(&gateway, &order);
}

#[test]
fn answers_that_their_service_breaks_off_open_its_breaker() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |_| ());
    for count in [1.0, 2.0] {
        let (client, service) = half_answered(&gateway, &order);
        drop(service);
        let failed = gateway.settled("gateway_proxy_errors_total", &[("target_service", "order")], count);
        assert_eq!(failed, count);
        drop(client);
    }
    assert!(is_open(&gateway), "two failures in a row");
}

#[test]
fn an_answer_cut_by_the_idle_time_is_a_failure_of_the_service() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |policy| {
        policy["services"]["order"]["timeout"] = "10m".into();
        for route in
            policy["routes"].as_array_mut().into_iter().flatten().filter(|route| route["service"] == "order")
        {
            route["idle_timeout"] = "20s".into();
        }
    });
    let _cut = half_answered(&gateway, &order);
    gateway.envoy.travel(Duration::from_secs(21));
    assert_eq!(gateway.settled("gateway_proxy_errors_total", &[("target_service", "order")], 1.0), 1.0);
}

#[test]
fn a_client_that_leaves_in_the_midst_of_an_answer_is_nobodys_failure_and_no_success() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |_| ());
    for count in [1.0, 2.0, 3.0] {
        let (client, service) = half_answered(&gateway, &order);
        drop(client);
        service.wait_for_close();
        assert_eq!(gateway.settled("order_requests_total", &[], count), count);
    }
    assert_eq!(errors(&gateway), 0.0);
    answered(&gateway, &order);
    assert!(!gateway.envoy.stdout().all().iter().any(|line| line.contains("circuit_breaker_change")));
}

#[test]
fn a_client_that_resets_its_stream_in_the_midst_of_an_answer_is_nobodys_failure() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |_| ());
    for count in [1.0, 2.0] {
        let connection = H2Connection::open(gateway.address());
        let pending = connection.start(&Request::get(PATH)).expect("it is sent");
        let mut service = order.accept_request();
        service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        eventually("the answer has begun", || {
            gateway.envoy.admin().stat("cluster.order.upstream_rq_200") >= Some(1)
        });
        drop(pending);
        service.wait_for_close();
        assert_eq!(gateway.settled("order_requests_total", &[], count), count);
    }
    assert_eq!(errors(&gateway), 0.0);
    answered(&gateway, &order);
}

/// What the proxy refuses to send is no failure of a service that was not asked.
#[test]
fn a_service_that_was_not_asked_because_the_proxy_is_full_has_not_failed() {
    let order = ScriptedUpstream::listen();
    let gateway = gateway(&order, |policy| {
        policy["services"]["order"]["circuit_limits"] =
            json!({"max_connections": 1, "max_pending_requests": 1, "max_requests": 1});
    });
    let ask = || {
        let mut client = Connection::open(gateway.address());
        client.write(&Request::get(PATH).to_bytes()).expect("the gateway listens");
        client
    };
    let mut first = ask();
    let mut service = order.accept_request();
    let mut second = ask();
    let stat = |name: &str| gateway.envoy.admin().stat(name);
    eventually("one waits", || stat("cluster.order.upstream_rq_pending_active") == Some(1));
    for _ in 0..5 {
        assert_eq!(gateway.get(PATH).status, 503);
    }
    service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    assert_eq!(first.read_answer("GET").expect("an answer").status, 200);
    let mut service = order.accept_request();
    service.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    assert_eq!(second.read_answer("GET").expect("an answer").status, 200, "the breaker is closed");
    assert_eq!(errors(&gateway), 5.0, "they failed all the same");
}
