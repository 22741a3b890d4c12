//! What the knobs do to a client.

mod common;

use std::{
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use common::{PATIENCE, call, get, start};
use portcullis_demo_services::{
    BadFault, DemoServices, Fault, Options, PathMatch, Ports, Reset, Service, StartError,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const HOUR: Duration = Duration::from_secs(3600);
const GET_HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: demo\r\n\r\n";

async fn ask(demo: &DemoServices, service: Service) -> TcpStream {
    let mut stream = TcpStream::connect(demo.addr(service)).await.unwrap();
    stream.write_all(GET_HEALTH).await.unwrap();
    stream
}

/// Everything up to the end of the stream, and how it ended.
async fn drain(stream: &mut TcpStream) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    (String::from_utf8(bytes).unwrap(), end.map(|_| ()))
}

#[tokio::test]
async fn a_forced_status_comes_with_its_body_and_headers_on_its_path_only() {
    let demo = start().await;
    let fault = Fault::on(Service::Order, "/health").status(418).body("short").header("x-powered-by", "tea");
    demo.knobs().set(fault).unwrap();
    let forced = get(demo.addr(Service::Order), "/health?with=query").await;
    assert_eq!((forced.status, forced.body.as_str()), (418, "short"));
    assert!(forced.head.contains("x-powered-by: tea"), "{forced:?}");
    assert_eq!(get(demo.addr(Service::Order), "/health/more").await.status, 404);
    assert_eq!(get(demo.addr(Service::User), "/health").await.status, 200);
}

#[tokio::test]
async fn a_prefix_covers_what_begins_with_it_and_a_method_narrows_it() {
    let demo = start().await;
    let fault =
        Fault::at(Service::Inventory, PathMatch::Prefix("/inventory/".into())).method("GET").status(500);
    demo.knobs().set(fault).unwrap();
    let addr = demo.addr(Service::Inventory);
    assert_eq!(get(addr, "/inventory/assets/BTC").await.status, 500);
    assert_eq!(get(addr, "/health").await.status, 200);
    assert_eq!(call(addr, "POST", "/inventory/assets", &[], "").await.unwrap().status, 405);
}

#[tokio::test]
async fn a_counted_fault_ends_by_itself_and_uncovers_the_one_before() {
    let demo = start().await;
    demo.knobs().set(Fault::everywhere(Service::User).status(500)).unwrap();
    demo.knobs().set(Fault::everywhere(Service::User).status(503).times(2)).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(get(demo.addr(Service::User), "/health").await.status);
    }
    assert_eq!(statuses, [503, 503, 500]);
}

#[tokio::test]
async fn a_cleared_fault_is_over() {
    let demo = start().await;
    let knobs = demo.knobs();
    let first = knobs.set(Fault::everywhere(Service::User).status(500)).unwrap();
    knobs.set(Fault::everywhere(Service::User).status(503)).unwrap();
    assert!(knobs.clear(first));
    assert!(!knobs.clear(first));
    assert_eq!(knobs.faults().len(), 1);
    knobs.clear_all();
    assert_eq!(get(demo.addr(Service::User), "/health").await.status, 200);
}

#[tokio::test]
async fn a_fault_that_http_does_not_allow_is_refused() {
    let demo = start().await;
    let fault = || Fault::everywhere(Service::User);
    assert_eq!(demo.knobs().set(fault().status(101)), Err(BadFault::Status));
    assert_eq!(demo.knobs().set(fault().status(600)), Err(BadFault::Status));
    assert_eq!(demo.knobs().set(fault().times(0)), Err(BadFault::Times));
    assert_eq!(demo.knobs().set(fault().header("a b", "c")), Err(BadFault::Header("a b".into())));
    assert_eq!(demo.knobs().set(fault().header("a", "b\r\nc: d")), Err(BadFault::Header("a".into())));
    assert!(demo.knobs().faults().is_empty());
}

#[tokio::test]
async fn a_delayed_answer_is_the_services_own_and_not_early() {
    let demo = start().await;
    let delay = Duration::from_millis(80);
    demo.knobs().set(Fault::everywhere(Service::User).delay(delay)).unwrap();
    let begin = Instant::now();
    let answer = get(demo.addr(Service::User), "/health").await;
    assert!(begin.elapsed() >= delay);
    assert_eq!(answer.json()["service"], "user-service");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_delay() {
    let demo = start().await;
    let knobs = demo.knobs();
    knobs.set(Fault::everywhere(Service::User).delay(HOUR)).unwrap();
    let stream = ask(&demo, Service::User).await;
    timeout(PATIENCE, knobs.wait_captured(Service::User, 1)).await.unwrap();
    assert_eq!(knobs.in_flight(Service::User), 1);
    drop(stream);
    timeout(PATIENCE, knobs.wait_idle(Service::User)).await.expect("the delay outlived its client");
}

#[tokio::test]
async fn a_reset_before_the_response_is_an_rst_without_a_byte() {
    let demo = start().await;
    demo.knobs().set(Fault::everywhere(Service::User).reset(Reset::BeforeResponse)).unwrap();
    let (bytes, end) = drain(&mut ask(&demo, Service::User).await).await;
    assert_eq!((bytes.as_str(), end.unwrap_err().kind()), ("", ErrorKind::ConnectionReset));
    assert_eq!(demo.captured(Service::User).len(), 1);
}

#[tokio::test]
async fn a_reset_in_mid_body_is_an_rst_after_less_than_was_promised() {
    let demo = start().await;
    let hold = Duration::from_millis(50);
    let fault = Fault::everywhere(Service::User).reset(Reset::MidBody).delay(hold);
    demo.knobs().set(fault).unwrap();
    let (bytes, end) = drain(&mut ask(&demo, Service::User).await).await;
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 1024"), "{head}");
    assert_eq!((body.len(), end.unwrap_err().kind()), (64, ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_reset_hits_its_own_connection_only() {
    let demo = start().await;
    let knobs = demo.knobs();
    let id = knobs.set(Fault::everywhere(Service::User).delay(HOUR)).unwrap();
    let mut bystander = ask(&demo, Service::User).await;
    timeout(PATIENCE, knobs.wait_captured(Service::User, 1)).await.unwrap();
    knobs.clear(id);
    knobs.set(Fault::everywhere(Service::User).reset(Reset::BeforeResponse)).unwrap();
    let (_, end) = drain(&mut ask(&demo, Service::User).await).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(knobs.in_flight(Service::User), 1);
    let unanswered = bystander.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(unanswered.kind(), ErrorKind::WouldBlock);
    bystander.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_down_refuses_closes_and_comes_back_on_its_port() {
    let demo = start().await;
    let (knobs, addr) = (demo.knobs(), demo.addr(Service::Order));
    let mut kept = ask(&demo, Service::Order).await;
    timeout(PATIENCE, knobs.wait_captured(Service::Order, 1)).await.unwrap();
    knobs.down(Service::Order).await;
    assert!(!knobs.is_up(Service::Order));
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let (_, end) = drain(&mut kept).await;
    end.expect("the kept connection ends in the ordinary way");
    assert_eq!(get(demo.addr(Service::User), "/health").await.status, 200);
    knobs.up(Service::Order).unwrap();
    knobs.up(Service::Order).expect("up twice is up");
    assert_eq!(get(addr, "/health").await.status, 200);
}

#[tokio::test]
async fn shutdown_frees_every_port_even_while_a_knob_and_a_control_connection_live() {
    let demo = start().await;
    let (addrs, knobs) = (Service::ALL.map(|service| demo.addr(service)), demo.knobs().clone());
    let _control = TcpStream::connect(demo.control_addr()).await.unwrap();
    demo.shutdown().await;
    for addr in addrs {
        TcpListener::bind(addr).await.unwrap_or_else(|error| panic!("{addr}: {error}"));
    }
    assert!(!knobs.is_up(Service::User));
}

#[tokio::test]
async fn dropping_the_services_stops_them_even_while_a_knob_lives() {
    let demo = start().await;
    let (addr, knobs) = (demo.addr(Service::User), demo.knobs().clone());
    let mut open = ask(&demo, Service::User).await;
    timeout(PATIENCE, knobs.wait_captured(Service::User, 1)).await.unwrap();
    drop(demo);
    // The listener closes before the connections do.
    drain(&mut open).await.1.unwrap();
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_service() {
    let squatter = start().await;
    let taken = squatter.addr(Service::Insights);
    let base = taken.port() - 2;
    let options = Options { ports: Ports::Fixed { base, control: 0 }, ..Options::default() };
    match DemoServices::start(options).await.err() {
        Some(StartError::PortTaken { who, addr }) => {
            assert!(addr.port() >= base && addr.port() <= taken.port(), "{who} {addr}");
            let message = StartError::PortTaken { who, addr }.to_string();
            assert_eq!(message, format!("{who}: port {} on 127.0.0.1 is already taken", addr.port()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_base_without_room_for_five_is_refused() {
    let options = Options { ports: Ports::Fixed { base: 65_534, control: 0 }, ..Options::default() };
    let error = DemoServices::start(options).await.err();
    assert!(matches!(error, Some(StartError::PortRange { base: 65_534 })), "{error:?}");
}

#[tokio::test]
async fn the_control_port_sets_lists_and_clears_faults() {
    let demo = start().await;
    let (control, user) = (demo.control_addr(), demo.addr(Service::User));
    let set = json!({ "service": "user", "path": { "exact": "/health" }, "status": 503, "times": 5 });
    let answer = call(control, "POST", "/faults", &[], &set.to_string()).await.unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(get(user, "/health").await.status, 503);
    let listed = get(control, "/faults").await.json();
    assert_eq!((&listed[0]["fault"]["times"], &listed[0]["id"]), (&json!(4), &answer.json()["id"]));
    let path = format!("/faults/{}", answer.json()["id"]);
    assert_eq!(call(control, "DELETE", &path, &[], "").await.unwrap().status, 204);
    assert_eq!(call(control, "DELETE", &path, &[], "").await.unwrap().status, 404);
    assert_eq!(get(user, "/health").await.status, 200);
}

#[tokio::test]
async fn the_control_port_says_what_is_wrong_with_a_fault() {
    let demo = start().await;
    let cases = [
        ("{", "EOF"),
        (r#"{"service":"usr","path":{"prefix":"/"}}"#, "usr"),
        (r#"{"service":"user","path":{"prefix":"/"},"stauts":503}"#, "stauts"),
        (r#"{"service":"user","path":{"prefix":"/"},"status":99}"#, "200 to 599"),
    ];
    for (body, hint) in cases {
        let answer = call(demo.control_addr(), "POST", "/faults", &[], body).await.unwrap();
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.json()["error"].as_str().unwrap().contains(hint), "{answer:?}");
    }
}

#[tokio::test]
async fn the_control_port_takes_services_down_and_up_and_shows_it() {
    let demo = start().await;
    let control = demo.control_addr();
    assert_eq!(call(control, "POST", "/services/order/down", &[], "").await.unwrap().status, 204);
    assert_eq!(get(control, "/services").await.json()["order"]["up"], false);
    assert!(TcpStream::connect(demo.addr(Service::Order)).await.is_err());
    assert_eq!(call(control, "POST", "/services/order/up", &[], "").await.unwrap().status, 204);
    assert_eq!(get(demo.addr(Service::Order), "/health").await.status, 200);
    assert_eq!(call(control, "POST", "/services/nope/down", &[], "").await.unwrap().status, 404);
}
