//! Tokens on which an auth service has the last word, and lists of those that are revoked.

use crate::keys::settles;
use crate::lab::{ask, assert_refused, claims, good, provider, reason, route, setup_with};
use portcullis_demo_services::{CUSTOMER, Service};
use portcullis_e2e::{Gateway, H2Connection, KeyAnswer, KeyServer, Request, eventually};
use portcullis_token_lab::mint;
use serde_json::{Value, json};
use std::time::Duration;

fn opaque(more: Value) -> Value {
    let mut settings = json!({"url": "http://auth.example/introspect", "cluster": "as", "client_id": "gateway",
        "client_secret": "a secret of ours", "timeout": "60s", "retries": 1, "cache": "30s"});
    settings.as_object_mut().expect("settings").extend(more.as_object().expect("settings").clone());
    json!({"providers": {"as": {"introspection": settings}}})
}

fn gateway(server: &KeyServer, more: Value) -> Gateway {
    setup_with(opaque(more), vec![route("/a", json!({}))], &[("as", server.address())]).start()
}

fn active() -> KeyAnswer {
    KeyAnswer::Document(json!({"active": true, "sub": "carol", "scope": "read"}).to_string())
}

#[test]
fn an_opaque_token_is_asked_about_once_and_then_known_for_a_while() {
    let server = KeyServer::start(active());
    let gateway = setup_with(opaque(json!({})), vec![route("/a", json!({}))], &[("as", server.address())]);
    let gateway = gateway.envoy(|config| config.workers(1)).start();
    for _ in 0..5 {
        let answer = ask(&gateway, "/a", "opaque-token");
        assert_eq!(answer.status, 200, "{answer:?}");
        let line = gateway.log_line_of(&answer);
        assert_eq!(line["user"], "carol", "{line}");
    }
    assert_eq!(server.fetches(), 1);
    let asked = &server.asked()[0];
    assert!(
        asked.starts_with("POST /introspect HTTP/1.1\r\n") && asked.contains("authorization: Basic "),
        "{asked}"
    );
    gateway.envoy.travel(Duration::from_secs(31));
    server.answer_with(KeyAnswer::Document(json!({"active": false}).to_string()));
    assert_refused(&gateway, &ask(&gateway, "/a", "opaque-token"), "revoked");
    assert_eq!(server.fetches(), 2);
    let calls = [("status", "success")];
    assert_eq!(gateway.settled("gateway_auth_service_calls_total", &calls, 2.0), 2.0);
    assert_eq!(gateway.settled("gateway_auth_service_response_time_seconds_count", &[], 2.0), 2.0);
}

#[test]
fn without_an_answer_the_token_is_refused_with_503_after_the_retries() {
    let outages = [(KeyAnswer::Status(500), 2), (KeyAnswer::Reset, 2)];
    // What the service says while it is there is not asked again.
    let others = [(KeyAnswer::Document("[]".to_owned()), 1), (KeyAnswer::Status(429), 1)];
    for (failure, questions) in outages.into_iter().chain(others) {
        eprintln!("{failure:?}"); // shown if the test fails
        let server = KeyServer::start(failure);
        let gateway = gateway(&server, json!({}));
        let answer = ask(&gateway, "/a", "opaque-token");
        assert_eq!(
            (answer.status, reason(&gateway, &answer).as_str()),
            (503, "revocation_unknown"),
            "{answer:?}"
        );
        assert_eq!(server.fetches(), questions, "the question, and its one repetition in an outage");
        server.answer_with(active());
        assert_eq!(ask(&gateway, "/a", "opaque-token").status, 200, "nothing bad is remembered");
    }
}

#[test]
fn a_client_that_leaves_while_the_auth_service_thinks_harms_nobody() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = gateway(&server, json!({"timeout": "30s"}));
    let connection = H2Connection::open(gateway.address());
    let request = |n: usize| Request::get("/api/v1/a").bearer(&format!("opaque-token-{n}"));
    let pending: Vec<_> =
        (0..100).map(|n| connection.start(&request(n)).expect("the gateway listens")).collect();
    server.wait_for_fetches(100);
    drop((pending, connection));
    let rows = || {
        gateway
            .envoy
            .samples()
            .sum("envoy_http_downstream_rq_active", &[("envoy_http_conn_manager_prefix", "gateway")])
    };
    eventually("all have left", || rows() <= 1.0);
    server.answer_with(active());
    assert_eq!(ask(&gateway, "/a", "opaque-token").status, 200);
    assert_eq!(gateway.envoy.samples().sum("envoy_wasm_portcullis_vm_reload_success", &[]), 0.0, "no trap");
}

#[test]
fn the_order_processors_auth_service_is_asked_in_its_own_way() {
    let jwt = json!({"providers": {"shop": {"user_claim": "user", "introspection": {
        "style": "order_processor", "url": "http://auth/internal/auth/validate", "cluster": "auth"}}}});
    let open =
        json!({"path": "/auth/login", "methods": ["POST"], "service": "user", "auth": {"token": "none"}});
    let gateway = setup_with(jwt, vec![route("/a", json!({})), open], &[]).start();
    let token = gateway.log_in(&CUSTOMER);
    let answer = ask(&gateway, "/a", &token);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(gateway.captured(Service::Auth, "/internal/auth/validate").len(), 1);
    assert_eq!(ask(&gateway, "/a", &good()).status, 401, "signed by somebody else");
}

#[test]
fn a_revoked_token_is_refused_within_a_refresh_even_if_it_is_known() {
    let list = |revoked: Value| KeyAnswer::Document(json!({"revoked": revoked}).to_string());
    let server = KeyServer::start(list(json!([])));
    let revocation = json!({"url": "http://idp.example/revoked", "cluster": "idp", "refresh": "1m"});
    let jwt = json!({"providers": {"main": provider(json!({"revocation": revocation}))}});
    let gateway = setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())]).start();
    let far = 4_000_000_000_u64;
    let [one, other] = ["one", "other"].map(|jti| mint("HS256", &claims(json!({"jti": jti, "exp": far}))));
    settles(&gateway, &one, 200);
    server.answer_with(list(json!([{"jti": "one"}])));
    gateway.envoy.travel(Duration::from_secs(61));
    server.wait_for_fetches(2);
    let answer = settles(&gateway, &one, 401);
    assert_refused(&gateway, &answer, "revoked");
    settles(&gateway, &other, 200);
    server.answer_with(KeyAnswer::Status(500));
    gateway.envoy.travel(Duration::from_secs(7200));
    let answer = settles(&gateway, &other, 503);
    assert_eq!(reason(&gateway, &answer), "revocation_unknown");
}

/// Envoy goes on asking when the client has left, so leaving must not make room for the next.
#[test]
fn clients_that_leave_do_not_make_the_gateway_ask_more_than_it_may() {
    const MOST: usize = 5;
    let server = KeyServer::start(KeyAnswer::Hang);
    let mut jwt = opaque(json!({"timeout": "30s", "retries": 0}));
    jwt["max_waiting"] = MOST.into();
    jwt["max_waiting_per_client"] = MOST.into();
    let setup = setup_with(jwt, vec![route("/a", json!({}))], &[("as", server.address())]);
    let gateway = setup.envoy(|config| config.workers(1)).start();
    let connection = H2Connection::open(gateway.address());
    let junk = |n: usize| Request::get("/api/v1/a").bearer(&format!("junk-{n}"));
    let pending: Vec<_> =
        (0..MOST).map(|n| connection.start(&junk(n)).expect("the gateway listens")).collect();
    server.wait_for_fetches(MOST);
    drop((pending, connection));
    let active = || {
        let gateways = [("envoy_http_conn_manager_prefix", "gateway")];
        gateway.envoy.samples().sum("envoy_http_downstream_rq_active", &gateways)
    };
    eventually("all have left", || active() <= 1.0);
    for n in 0..20 {
        let answer = ask(&gateway, "/a", &format!("next-{n}"));
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    assert_eq!(server.fetches(), MOST, "nobody else was asked about");
    assert_eq!(gateway.settled("gateway_jwt_waiting_refused_total", &[], 20.0), 20.0);
    server.answer_with(self::active());
    eventually("there is room again", || ask(&gateway, "/a", "good-token").status == 200);
    let told = [("status", "success")];
    let asked = f64::from(u32::try_from(server.fetches()).expect("few"));
    assert_eq!(
        gateway.settled("gateway_auth_service_calls_total", &told, asked),
        asked,
        "each answer is counted"
    );
    assert_eq!(gateway.settled("auth_concurrent_requests", &[], 0.0), 0.0, "and nothing is left");
    assert_eq!(gateway.envoy.samples().sum("envoy_wasm_portcullis_vm_reload_success", &[]), 0.0, "no trap");
}

/// Of 50 requests that bring one token at once, one asks; the others have its answer.
#[test]
fn requests_with_one_token_are_one_question() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let setup = setup_with(
        opaque(json!({"timeout": "30s", "retries": 0})),
        vec![route("/a", json!({}))],
        &[("as", server.address())],
    );
    let gateway = setup.envoy(|config| config.workers(1)).start();
    let connection = H2Connection::open(gateway.address());
    let request = Request::get("/api/v1/a").bearer("opaque-token");
    let pending: Vec<_> = (0..50).map(|_| connection.start(&request).expect("the gateway listens")).collect();
    server.wait_for_fetches(1);
    let gateways = [("envoy_http_conn_manager_prefix", "gateway")];
    let waiting = || gateway.envoy.samples().sum("envoy_http_downstream_rq_active", &gateways);
    eventually("all wait", || waiting() >= 50.0);
    assert_eq!(server.fetches(), 1, "one question for all");
    // The question times out, and that is the answer for all who waited for it.
    gateway.envoy.travel(Duration::from_secs(31));
    let statuses: Vec<u16> = pending.into_iter().map(|p| p.answer().expect("an answer").status).collect();
    assert_eq!(statuses, [503; 50]);
    assert_eq!(server.fetches(), 1);
    server.answer_with(active());
    assert_eq!(ask(&gateway, "/a", "opaque-token").status, 200, "an outage is not remembered");
}

/// Whoever provokes a 429 must not outlive the revocation of his token.
#[test]
fn an_answer_that_a_client_can_provoke_lets_no_token_pass() {
    let server = KeyServer::start(KeyAnswer::Status(429));
    let service = json!({"url": "http://auth.example/introspect", "cluster": "as", "retries": 0, "cache": "0s",
        "when_unavailable": "allow"});
    let jwt = json!({"providers": {"main": provider(json!({"introspection": service}))}});
    let gateway = setup_with(jwt, vec![route("/a", json!({}))], &[("as", server.address())]).start();
    for status in [429, 400, 401] {
        server.answer_with(KeyAnswer::Status(status));
        let answer = ask(&gateway, "/a", &good());
        assert_eq!(
            (answer.status, reason(&gateway, &answer).as_str()),
            (503, "revocation_unknown"),
            "{status}"
        );
    }
    server.answer_with(KeyAnswer::Status(500));
    assert_eq!(ask(&gateway, "/a", &good()).status, 200, "an outage");
}
