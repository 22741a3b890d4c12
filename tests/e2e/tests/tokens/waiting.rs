//! Many requests that wait for one fetch, whatever becomes of it.

use crate::keys::{document, fetching, settles, token};
use crate::lab::{request, route, setup_with};
use portcullis_e2e::{Answer, Gateway, H2Connection, KeyAnswer, KeyServer, Pending, eventually};
use serde_json::json;
use std::time::Duration;

const STREAMS: usize = 1000;
const CONNECTIONS: usize = 20;

fn gateway(server: &KeyServer) -> Gateway {
    let mut jwt = fetching(json!({}));
    // The crowd is one client.
    jwt["max_waiting_per_client"] = STREAMS.into();
    setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())]).start()
}

/// Starts requests with a good token, all of which have reached the gateway when it returns.
fn crowd(gateway: &Gateway) -> (Vec<H2Connection>, Vec<Pending<Answer>>) {
    let before = active(gateway);
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| H2Connection::open(gateway.address())).collect();
    let request = request("/a", &token("RS256", "a"));
    let start = |n: usize| connections[n % CONNECTIONS].start(&request).expect("the gateway listens");
    let pending = (0..STREAMS).map(start).collect();
    let all = before + f64::from(u32::try_from(STREAMS).expect("few"));
    eventually("all requests wait", || active(gateway) >= all);
    (connections, pending)
}

fn active(gateway: &Gateway) -> f64 {
    gateway
        .envoy
        .samples()
        .sum("envoy_http_downstream_rq_active", &[("envoy_http_conn_manager_prefix", "gateway")])
}

fn statuses(pending: Vec<Pending<Answer>>) -> Vec<u16> {
    let status = |pending: Pending<Answer>| pending.answer().expect("the gateway answers").status;
    let mut statuses: Vec<_> = pending.into_iter().map(status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// A gateway whose first fetch hangs, with a crowd that waits for it.
fn hanging() -> (KeyServer, Gateway) {
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = gateway(&server);
    server.wait_for_fetches(1);
    (server, gateway)
}

#[track_caller]
fn assert_recovers(server: &KeyServer, gateway: &Gateway) {
    server.answer_with(document(&[("RS256", "a")]));
    gateway.envoy.travel(Duration::from_secs(61));
    settles(gateway, &token("RS256", "a"), 200);
    assert_eq!(gateway.envoy.samples().sum("envoy_wasm_portcullis_vm_reload_success", &[]), 0.0, "no trap");
}

#[test]
fn a_thousand_wait_for_one_fetch_and_all_are_served() {
    let (server, gateway) = hanging();
    let (_connections, pending) = crowd(&gateway);
    server.answer_with(document(&[("RS256", "a")]));
    assert_eq!(statuses(pending), [200]);
    assert_eq!(server.fetches(), 1);
    assert_recovers(&server, &gateway);
}

#[test]
fn a_thousand_wait_for_a_fetch_that_fails_and_all_are_refused() {
    for failure in [KeyAnswer::Status(500), KeyAnswer::Reset, KeyAnswer::Document("{}".to_owned())] {
        eprintln!("{failure:?}"); // shown if the test fails
        let (server, gateway) = hanging();
        let (_connections, pending) = crowd(&gateway);
        server.answer_with(failure);
        assert_eq!(statuses(pending), [503]);
        assert_eq!(server.fetches(), 1);
        assert_recovers(&server, &gateway);
    }
}

#[test]
fn a_thousand_wait_for_a_fetch_that_times_out_and_all_are_refused() {
    let (server, gateway) = hanging();
    let (_connections, pending) = crowd(&gateway);
    gateway.envoy.travel(Duration::from_secs(66));
    assert_eq!(statuses(pending), [503]);
    assert_eq!(server.fetches(), 1);
    assert_recovers(&server, &gateway);
}

#[test]
fn keys_may_come_when_everybody_has_left() {
    let (server, gateway) = hanging();
    let (connections, pending) = crowd(&gateway);
    drop((connections, pending));
    eventually("all have left", || active(&gateway) <= 1.0);
    server.answer_with(document(&[("RS256", "a")]));
    settles(&gateway, &token("RS256", "a"), 200);
    assert_eq!(server.fetches(), 1);
    assert_recovers(&server, &gateway);
}

#[test]
fn no_more_wait_than_may_and_the_others_are_told_at_once() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let mut jwt = fetching(json!({}));
    jwt["max_waiting"] = 10.into();
    jwt["max_waiting_per_client"] = 10.into();
    let setup = setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())]);
    let gateway = setup.envoy(|config| config.workers(1)).start();
    server.wait_for_fetches(1);
    let connection = H2Connection::open(gateway.address());
    let request = request("/a", &token("RS256", "a"));
    // Nobody says which of them the gateway has first.
    let all: Vec<_> = (0..30).map(|_| connection.start(&request).expect("the gateway listens")).collect();
    let refused = || gateway.metrics().sum("gateway_jwt_waiting_refused_total", &[]);
    eventually("all but ten are refused, while ten wait", || refused() >= 20.0);
    server.answer_with(document(&[("RS256", "a")]));
    let answers = all.into_iter().map(|pending| pending.answer().expect("the gateway answers").status);
    let (waited, others): (Vec<_>, Vec<_>) = answers.partition(|status| *status == 200);
    assert_eq!((waited.len(), others), (10, vec![503; 20]));
    assert_eq!(gateway.settled("gateway_jwt_waiting_refused_total", &[], 20.0), 20.0);
}

/// Who makes requests wait on purpose, and goes away, must not keep others from waiting.
#[test]
fn one_client_network_takes_its_share_of_the_places_and_no_more() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let mut jwt = fetching(json!({}));
    jwt["max_waiting"] = 40.into();
    let setup = setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())])
        .policy(|policy| policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"]}));
    let gateway = setup.envoy(|config| config.workers(1)).start();
    server.wait_for_fetches(1);
    let connection = H2Connection::open(gateway.address());
    let of = |client: &str| request("/a", &token("RS256", "a")).header("x-forwarded-for", client);
    let start = |client: &str| connection.start(&of(client)).expect("the gateway listens");
    let flood: Vec<_> = (0..39).map(|_| start("203.0.113.9")).collect();
    let other = start("198.51.100.1");
    eventually("the flood's share is taken and the rest refused", || {
        gateway.metrics().sum("gateway_jwt_waiting_refused_total", &[]) >= 29.0
    });
    server.answer_with(document(&[("RS256", "a")]));
    assert_eq!(statuses(vec![other]), [200]);
    assert_eq!(statuses(flood), [200, 503]);
    assert_eq!(gateway.settled("gateway_jwt_waiting_refused_total", &[], 29.0), 29.0);
}
