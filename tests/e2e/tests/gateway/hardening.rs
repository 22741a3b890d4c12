//! What a hostile client, or a careless service, must not be able to do. Attacks and rules: docs/security.md.

use crate::common::{assert_error, both_ways_of};
use portcullis_demo_services::{CUSTOMER, Service};
use portcullis_e2e::{Answer, Connection, Gateway, H2Connection, Line, Request, Setup};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const SHOP: &str = "http://localhost:3000";
const STRANGER: &str = "https://evil.example";

/// A service that answers every request with these headers. It lives as long as the tests do.
fn service_saying(headers: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream, headers));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream, headers: &str) {
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..length]);
        while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            seen.drain(..end + 4);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{headers}\r\n\r\nok");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

const REFLECTS: &str = "Access-Control-Allow-Origin: https://evil.example\r\nAccess-Control-Allow-Credentials: true\r\n\
    access-control-expose-headers: x-secret\r\nAccess-Control-Allow-Private-Network: true\r\nVary: Accept-Encoding";

fn with_a_service_that_reflects(policy: impl Fn(&mut Value)) -> Setup {
    Gateway::setup().service_at("inventory", service_saying(REFLECTS)).policy(|document| policy(document))
}

fn asset(origin: &str) -> Request {
    Request::get("/api/v1/inventory/assets/CORS").header("origin", origin)
}

fn said(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.0.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.to_ascii_lowercase().starts_with("access-control-")).collect()
}

fn varies_by_origin(answer: &Answer) -> bool {
    let values = answer.headers.all("vary").concat();
    String::from_utf8_lossy(&values).to_ascii_lowercase().contains("origin")
}

#[test]
fn a_service_that_reflects_origins_opens_nothing() {
    both_ways_of(
        || with_a_service_that_reflects(|_| ()),
        |gateway| {
            let answer = gateway.send(&asset(STRANGER));
            assert_eq!((answer.status, said(&answer)), (200, vec![]), "{answer:?}");
            assert!(varies_by_origin(&answer), "{answer:?}");
            let answer = gateway.send(&asset(SHOP));
            assert_eq!(answer.headers.all("access-control-allow-origin"), [SHOP.as_bytes()], "{answer:?}");
            assert_eq!(answer.headers.all("access-control-expose-headers"), [b"x-request-id"], "{answer:?}");
            assert!(!answer.headers.has("access-control-allow-private-network"), "{answer:?}");
            assert!(varies_by_origin(&answer), "{answer:?}");
        },
    );
}

#[test]
fn without_a_section_on_origins_no_page_may_read_anything() {
    both_ways_of(
        || with_a_service_that_reflects(|policy| drop(policy.as_object_mut().map(|p| p.remove("cors")))),
        |gateway| {
            let answer = gateway.send(&asset(STRANGER));
            assert_eq!((answer.status, said(&answer)), (200, vec![]), "{answer:?}");
        },
    );
}

#[test]
fn a_route_may_leave_it_to_its_service_and_others_do_not() {
    let leave = |policy: &mut Value| {
        let routes = policy["routes"].as_array_mut().expect("there are routes");
        let route = routes.iter_mut().find(|route| route["path"] == "/inventory/assets/{id}");
        route.expect("the example has it")["cors"] = "service".into();
    };
    both_ways_of(
        || with_a_service_that_reflects(leave),
        |gateway| {
            let answer = gateway.send(&asset(STRANGER));
            assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some(STRANGER), "{answer:?}");
            let answer = gateway.send(&Request::get("/api/v1/inventory/assets").header("origin", STRANGER));
            assert_eq!(said(&answer), [""; 0], "{answer:?}");
        },
    );
}

/// Posts that announce a body and never send it: 100 streams on each connection.
fn posts_without_an_end(gateway: &Gateway, connections: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..connections {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(gateway.address()).expect("it listens");
            let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 40\r\n\r\n{";
            stream.write_all(head.as_bytes()).expect("it reads");
            open.push(stream);
        }
    }
    open
}

#[test]
fn requests_without_an_end_keep_no_place_at_a_service() {
    let gateway = Gateway::setup().start();
    let held = posts_without_an_end(&gateway, 3);
    let begun = || gateway.envoy.admin().stat("http.gateway.downstream_rq_active");
    portcullis_e2e::wait_for(portcullis_e2e::PATIENCE, || (begun() >= Some(300)).then_some(()))
        .expect("Envoy has all of them");
    // Whatever they are, the service has seen none of them, and others are served.
    assert!(gateway.captured(Service::User, "/auth/login").is_empty());
    assert_eq!(gateway.envoy.admin().stat("cluster.user.upstream_rq_active"), Some(0));
    gateway.log_in(&CUSTOMER);
    // They end with the time that a request may take.
    gateway.envoy.travel(Duration::from_secs(61));
    let mut first = &held[0];
    let mut answer = [0; 12];
    first.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    portcullis_e2e::wait_for(portcullis_e2e::PATIENCE, || (begun() <= Some(1)).then_some(()))
        .expect("they are over");
}

#[test]
fn a_body_is_as_large_as_its_route_allows() {
    let gateway = Gateway::with_policy(|policy| {
        policy["gateway"]["max_body_bytes"] = 1000.into();
        let routes = policy["routes"].as_array_mut().expect("there are routes");
        let route = routes.iter_mut().find(|route| route["path"] == "/balance/deposit");
        route.expect("the example has it")["max_body_bytes"] = 2000.into();
    });
    let post = |path: &str, size: usize| gateway.send(&Request::post(path).body(vec![b' '; size]));
    assert_error(&post("/api/v1/auth/login", 1001), 413, "REQ_002");
    assert!(gateway.captured(Service::User, "/auth/login").is_empty());
    assert_eq!(post("/api/v1/auth/login", 900).status, 422);
    assert_ne!(post("/api/v1/balance/deposit", 1900).status, 413);
    assert_error(&post("/api/v1/balance/deposit", 2001), 413, "REQ_002");
}

#[test]
fn metrics_have_a_listener_of_their_own_and_are_shown_elsewhere_to_some_only() {
    let private = |policy: &mut Value| drop(policy["metrics"].as_object_mut().map(|m| m.remove("networks")));
    let gateway = Gateway::setup().policy(private).start();
    let own = gateway.envoy.listener("gateway_metrics");
    let page = Request::get("/metrics").send(own);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text().contains("# TYPE gateway_requests_total counter"));
    assert_error(&gateway.get("/metrics"), 404, "SVC_001");
    for path in ["/api/v1/inventory/assets", "/", "/stats"] {
        assert_eq!(Request::get(path).send(own).status, 404, "{path}");
    }
    assert!(gateway.captured(Service::Inventory, "/inventory/assets").is_empty());
}

#[test]
fn the_example_shows_its_metrics_on_its_own_port_to_this_machine_and_not_to_the_world() {
    let gateway = Gateway::setup().policy(|policy| policy["client_ip"] = behind_one_proxy()).start();
    let from = |ip: &str| gateway.send(&Request::get("/metrics").header("x-forwarded-for", ip)).status;
    assert_eq!(
        [from("203.0.113.9"), from("2001:db8::1"), from("10.1.2.3"), from("127.0.0.1")],
        [404, 404, 200, 200]
    );
    assert_eq!(Gateway::start().get("/metrics").status, 200);
}

/// One proxy in front, and nobody else who reaches the port.
fn behind_one_proxy() -> Value {
    json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]})
}

#[test]
fn pages_are_not_for_grpc() {
    let gateway = Gateway::start();
    for path in ["/metrics", "/health"] {
        let call = Request::get(path).header("content-type", "application/grpc").header("te", "trailers");
        let answer = gateway.send_h2(&call);
        assert_eq!(answer.header("grpc-status").as_deref(), Some("12"), "{answer:?}");
        let size: usize = answer.headers.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size < 2000, "{size} bytes of headers");
    }
}

#[test]
fn a_refusal_of_envoys_own_has_an_id_that_its_client_did_not_choose() {
    let gateway = Gateway::start();
    // Escaped slashes are refused before any filter, and before Envoy has replaced the id.
    let chosen = Request::get("/api/v1/orders%2fx").header("x-request-id", "chosen-by-the-client");
    let answer = gateway.send(&chosen);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("REQ_001")), "{answer:?}");
    let id = answer.header("x-request-id").expect("an id");
    assert_ne!(id, "chosen-by-the-client");
    assert_eq!(gateway.log_line(&id)["extra"]["status"], 400);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{answer:?}");
    let is_chosen = |line: &Line| line.contains("chosen-by-the-client");
    assert!(!gateway.envoy.stdout().all().iter().any(is_chosen));
}

#[test]
fn behind_a_balancer_with_tls_even_envoys_own_refusals_demand_it() {
    let gateway = Gateway::setup().policy(|policy| policy["client_ip"] = behind_one_proxy()).start();
    for scheme in ["https", "HTTPS"] {
        for path in ["/api/v1/orders%2fx", "/api/v1/inventory/assets", "/no/such/route"] {
            let request = Request::get(path).header("x-forwarded-proto", scheme);
            let answer = gateway.send(&request.header("x-forwarded-for", "203.0.113.9"));
            assert!(answer.headers.has("strict-transport-security"), "{scheme} {path}: {answer:?}");
        }
    }
    let plain = gateway.send(&Request::get("/api/v1/orders%2fx").header("x-forwarded-for", "203.0.113.9"));
    assert!(!plain.headers.has("strict-transport-security"), "{plain:?}");
}

#[test]
fn errors_of_envoys_own_are_a_sentence_to_grpc() {
    both_ways_of(
        || Gateway::setup().service_at("order", ([127, 0, 0, 1], 1).into()),
        |gateway| {
            let call = Request::post("/api/v1/orders").header("content-type", "application/grpc");
            let answer = gateway.send_h2(&call.header("te", "trailers").body("\0\0\0\0\0"));
            let message = answer.header("grpc-message").unwrap_or_default();
            assert_eq!(message, "The service is unavailable", "{answer:?}");
        },
    );
    let call = Request::post("/api/v1/orders%2fx").header("content-type", "application/grpc");
    let answer = Gateway::start().send_h2(&call.header("te", "trailers"));
    assert_eq!(answer.header("grpc-message").as_deref(), Some("The request is malformed"), "{answer:?}");
}

#[test]
fn two_hosts_none_and_one_with_userinfo_are_refused() {
    both_ways_of(Gateway::setup, |gateway| {
        let ask = |hosts: &str| {
            let request = format!("GET /api/v1/inventory/assets HTTP/1.1\r\n{hosts}\r\n");
            Connection::open(gateway.address()).send_raw(request.as_bytes()).expect("an answer").status
        };
        for hosts in
            ["host: a\r\nhost: b\r\n", "host:\r\n", "host: u@a\r\n", "host: a, b\r\n", "host: a/b\r\n"]
        {
            assert_eq!(ask(hosts), 400, "{hosts:?}");
        }
        assert_eq!(ask("host: shop.example:8443\r\n"), 200);
        assert!(gateway.captured(Service::Inventory, "/inventory/assets").len() == 1);
    });
}

#[test]
fn a_client_that_leaves_while_its_token_waits_was_never_forwarded() {
    // A key server that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let keys = silent.local_addr().expect("it is bound");
    let fetch = json!({"jwks_uri": "http://idp.example/keys", "cluster": "idp", "timeout": "30s"});
    let gateway = Gateway::shipped()
        .service_at("idp", keys)
        .policy(|policy| {
            policy["clusters"] = json!({"idp": {"address": "127.0.0.1:1"}});
            policy["jwt"]["providers"] = json!({"idp": {"algorithms": ["RS256"], "fetch": fetch}});
        })
        .start();
    let mark = gateway.envoy.stdout().mark();
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.AAAA";
    let connection = H2Connection::open(gateway.address());
    let pending = connection.start(&Request::get("/api/v1/orders").bearer(token)).expect("it is sent");
    let active = || gateway.envoy.admin().stat("http.gateway.downstream_rq_active");
    portcullis_e2e::wait_for(portcullis_e2e::PATIENCE, || (active() == Some(1)).then_some(()))
        .expect("it waits");
    drop((pending, connection));
    let is_request = |line: &Line| line.json().is_some_and(|line| line["action"] == "request");
    let line = gateway.envoy.stdout().wait_for_line_since(mark, is_request).json().expect("it was JSON");
    assert_eq!(
        (&line["extra"]["status"], &line["extra"]["target_service"]),
        (&499.into(), &"gateway".into()),
        "{line}"
    );
    assert_eq!(line["extra"]["security_headers"], false, "{line}");
    let counted = gateway.settled("gateway_requests_total", &[("status_code", "499")], 1.0);
    assert_eq!(counted, 1.0);
    let metrics = gateway.metrics();
    for name in ["order_requests_total", "gateway_security_headers_injected_total"] {
        assert_eq!(metrics.sum(name, &[]), 0.0, "{name}");
    }
}
