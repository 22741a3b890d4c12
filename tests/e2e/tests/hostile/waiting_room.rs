//! The places of requests that wait for an auth service.

use crate::budget::{MIB, Meter};
use crate::raw_h2::{RawH2, connect};
use portcullis_e2e::{Gateway, H2Connection, KeyAnswer, KeyServer, Request, Setup, eventually};
use serde_json::json;
use std::io::Write as _;
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

const ATTACKER: [u8; 4] = [127, 0, 0, 66];
const HONEST: [u8; 4] = [127, 0, 1, 1];
/// More than anybody may send of one answer.
const WINDOW: u32 = 65_535;

/// The example, with a provider whose tokens only `server` knows, on every route that needs one.
fn asking(server: &KeyServer) -> Setup {
    let asking =
        json!({"url": "http://auth.example/introspect", "cluster": "as", "timeout": "20s", "retries": 0});
    Gateway::shipped().service_at("as", server.address()).policy(move |policy| {
        policy["clusters"]["as"] = json!({"address": "127.0.0.1:1"});
        policy["jwt"]["providers"] = json!({"as": {"introspection": asking}});
        for route in policy["routes"].as_array_mut().into_iter().flatten() {
            if let Some(rules) = route.as_object_mut() {
                rules.remove("authz");
            }
        }
    })
}

fn active() -> KeyAnswer {
    KeyAnswer::Document(json!({"active": true, "sub": "carol", "role": "customer"}).to_string())
}

fn stat(gateway: &Gateway, name: &str) -> u64 {
    gateway.envoy.admin().stat(name).unwrap_or(0)
}

/// Each call goes on when its client has left: 1,100 of them kept everybody else out for as long as the auth service took.
#[test]
fn made_up_tokens_whose_streams_are_reset_take_one_share_and_others_wait_their_turn() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = asking(&server).envoy(|config| config.workers(1)).start();
    let meter = Meter::start(&gateway);
    let mut connections = Vec::new();
    for number in 0..11_u32 {
        let mut connection = RawH2::open(ATTACKER.into(), gateway.address(), WINDOW);
        connection.wait_for_settings();
        let ids: Vec<u32> = (0..100)
            .map(|token| {
                let bearer = format!("Bearer made-up-{number}-{token}");
                connection.begin("GET", "/api/v1/orders", &[("authorization", &bearer)], true)
            })
            .collect();
        let all = u64::from(number + 1) * 100;
        eventually("Envoy has them", || stat(&gateway, "http.gateway.downstream_rq_total") >= all);
        ids.into_iter().for_each(|id| connection.reset(id));
        connections.push(connection);
    }
    eventually("all have left", || stat(&gateway, "http.gateway.downstream_rq_active") == 0);
    // A quarter of 1,024 places: the attacker's network has no more.
    eventually("the share is asked about", || server.fetches() >= 256);
    let connection = H2Connection::open_from(Some(IpAddr::from(HONEST)), gateway.address());
    let ask = |token: &str| Request::get("/api/v1/orders").bearer(token);
    let honest: Vec<_> =
        (0..20).map(|n| connection.start(&ask(&format!("honest-{n}"))).expect("it is sent")).collect();
    eventually("the others' questions are asked too", || server.fetches() >= 276);
    server.answer_with(active());
    let statuses: Vec<u16> =
        honest.into_iter().map(|pending| pending.answer().expect("an answer").status).collect();
    assert_eq!(statuses, [200; 20]);
    assert_eq!(server.fetches(), 276, "one question each, and no more of the attacker's than its share");
    let (cpu, grown) = meter.read(&gateway, "1,100 made-up tokens with resets");
    assert!(cpu < Duration::from_secs(10) && grown < 96 * MIB, "{cpu:?}, {grown} bytes");
    let refused = gateway.settled("gateway_jwt_waiting_refused_total", &[], 1.0);
    assert!(refused >= 1.0, "the rest was refused: {refused}");
}

#[test]
fn fifty_requests_with_one_token_are_one_question_and_an_inactive_one_is_asked_about_once() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = asking(&server).envoy(|config| config.workers(1)).start();
    let connection = H2Connection::open_from(Some(IpAddr::from(HONEST)), gateway.address());
    let ask = |token: &str| Request::get("/api/v1/orders").bearer(token);
    let all = |token: &str| {
        let before = stat(&gateway, "http.gateway.downstream_rq_total");
        let pending: Vec<_> = (0..50).map(|_| connection.start(&ask(token)).expect("it is sent")).collect();
        eventually("all are there", || stat(&gateway, "http.gateway.downstream_rq_total") >= before + 50);
        pending
    };
    let pending = all("shared");
    server.answer_with(active());
    assert!(pending.into_iter().all(|pending| pending.answer().expect("an answer").status == 200));
    assert_eq!(server.fetches(), 1);
    server.answer_with(KeyAnswer::Document(json!({"active": false}).to_string()));
    assert!(all("inactive").into_iter().all(|pending| pending.answer().expect("an answer").status == 401));
    assert_eq!(server.fetches(), 2, "what was called inactive a moment ago is not asked about again");
    let hits = gateway.settled("gateway_jwt_negative_cache_hits_total", &[], 1.0);
    assert!((1.0..50.0).contains(&hits), "{hits}");
    gateway.envoy.travel(Duration::from_secs(6));
    assert_eq!(gateway.send(&ask("inactive").from_ip(HONEST)).status, 401);
    assert_eq!(server.fetches(), 3, "after `negative_cache` it is");
}

/// 200 posts that waited, each with as much of its body as the proxy took, cost 290 MiB.
#[test]
fn held_posts_keep_small_buffers() {
    const POSTS: u8 = 200;
    let server = KeyServer::start(KeyAnswer::Hang);
    let gateway = asking(&server).envoy(|config| config.workers(1)).start();
    let meter = Meter::start(&gateway);
    let held: Vec<TcpStream> = (0..POSTS).map(|number| post_all_that_goes(&gateway, number)).collect();
    eventually("all are asked about", || server.fetches() >= usize::from(POSTS));
    let received = || stat(&gateway, "http.gateway.downstream_cx_rx_bytes_total");
    let mut before = 0;
    eventually("Envoy reads no further", || {
        let (now, more) = (received(), held.iter().map(send_all_that_goes).sum::<usize>());
        core::mem::replace(&mut before, now) == now && more == 0
    });
    let (cpu, grown) = meter.read(&gateway, "200 held posts");
    assert!(grown < 96 * MIB, "{grown} bytes, of {} received", received());
    assert!(cpu < Duration::from_secs(10), "{cpu:?}");
}

/// Begins a request of a client of its own with a body of 1 MiB.
fn post_all_that_goes(gateway: &Gateway, number: u8) -> TcpStream {
    let mut stream = connect([127, 0, 2, number].into(), gateway.address());
    let head = format!(
        "POST /api/v1/orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer held-{number}\r\ncontent-length: {}\r\n\r\n",
        1 << 20
    );
    stream.write_all(head.as_bytes()).expect("the gateway reads");
    stream.set_nonblocking(true).expect("a socket");
    send_all_that_goes(&stream);
    stream
}

/// Sends of the body what the peer, and the systems between, take now. How much that was.
fn send_all_that_goes(mut stream: &TcpStream) -> usize {
    let piece = [b' '; 16 * 1024];
    std::iter::from_fn(|| stream.write(&piece).ok()).take(60).sum()
}
