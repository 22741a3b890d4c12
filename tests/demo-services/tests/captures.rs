//! What a service remembers of the requests it received.

mod common;

use std::net::SocketAddr;

use common::{call, get, send, start};
use portcullis_demo_services::{Captured, DemoServices, Options, Service};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn lines(request: &Captured) -> Vec<(&str, &[u8])> {
    request.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

/// Reads one answer with a `content-length` off a connection that stays open.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    text + &String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn a_request_is_kept_byte_for_byte() {
    let demo = start().await;
    let request = b"GET /a%2Fb//c?x=1&x=%ff#part HTTP/1.1\r\nHost: demo\r\nX-B: 1\r\nx-a: \xff\x80\r\n\
        X-b: 2\r\nX_User_Role: admin\r\nConnection: close\r\n\r\n";
    assert_eq!(send(demo.addr(Service::User), request).await.unwrap().status, 404);
    let [captured] = &demo.captured(Service::User)[..] else { panic!() };
    assert_eq!(captured.target, "/a%2Fb//c?x=1&x=%ff#part");
    assert_eq!((captured.path(), captured.method.as_str()), ("/a%2Fb//c", "GET"));
    let expected: [(&str, &[u8]); 6] = [
        ("Host", b"demo"),
        ("X-B", b"1"),
        ("x-a", b"\xff\x80"),
        ("X-b", b"2"),
        ("X_User_Role", b"admin"),
        ("Connection", b"close"),
    ];
    assert_eq!(lines(captured), expected);
    assert_eq!(captured.header_values("x-b"), [b"1", b"2"]);
    assert_eq!((captured.header("x-b"), captured.header("HOST")), (None, Some("demo")));
}

#[tokio::test]
async fn a_chunked_body_is_kept_whole_with_its_trailers() {
    let demo = start().await;
    let request = b"POST /x HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
        trailer: x-user-role\r\n\r\n3\r\nab\xff\r\n2\r\ncd\r\n0\r\nx-user-role: admin\r\n\r\n";
    assert_eq!(send(demo.addr(Service::User), request).await.unwrap().status, 404);
    let captured = demo.captured(Service::User).remove(0);
    assert_eq!(&captured.body[..], b"ab\xffcd");
    assert_eq!(captured.trailers, [("x-user-role".to_owned(), b"admin".to_vec())]);
}

#[tokio::test]
async fn requests_on_one_connection_are_kept_apart() {
    let demo = start().await;
    let mut stream = TcpStream::connect(demo.addr(Service::User)).await.unwrap();
    for number in 1..=3 {
        let request = format!(
            "POST /n{number} HTTP/1.1\r\nhost: demo\r\nX-N: {number}\r\ncontent-length: 5\r\n\r\nbody{number}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 404"));
    }
    let all = demo.captured(Service::User);
    let seen: Vec<_> =
        all.iter().map(|request| (request.target.as_str(), lines(request)[1], &request.body[..])).collect();
    for (number, (target, header, body)) in (1..).zip(seen) {
        assert_eq!(target, format!("/n{number}"));
        assert_eq!(header, ("X-N", number.to_string().as_bytes()));
        assert_eq!(body, format!("body{number}").as_bytes());
    }
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn a_body_that_comes_later_than_its_head_does_not_leak_into_the_next_head() {
    let demo = start().await;
    let mut stream = TcpStream::connect(demo.addr(Service::User)).await.unwrap();
    let head = b"POST /first HTTP/1.1\r\nhost: demo\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"A: 1\r\n\r\n").await.unwrap();
    read_answer(&mut stream).await;
    stream.write_all(b"GET /second HTTP/1.1\r\nHost: demo\r\n\r\n").await.unwrap();
    read_answer(&mut stream).await;
    let all = demo.captured(Service::User);
    assert_eq!((&all[0].body[..], all[1].target.as_str()), (&b"A: 1\r\n\r\n"[..], "/second"));
    assert_eq!(lines(&all[1]), [("Host", &b"demo"[..])]);
}

#[tokio::test]
async fn pipelined_requests_are_all_kept_if_only_with_lower_case_names() {
    let demo = start().await;
    let mut stream = TcpStream::connect(demo.addr(Service::User)).await.unwrap();
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: demo\r\n\r\nGET /2 HTTP/1.1\r\nHost: demo\r\nX-Two: 2\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..2 {
        read_answer(&mut stream).await;
    }
    let all = demo.captured(Service::User);
    assert_eq!(all.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), ["/1", "/2"]);
    assert_eq!((all[0].header_values("x-two").len(), all[1].header("x-two")), (0, Some("2")));
}

#[tokio::test]
async fn only_the_last_requests_are_kept_but_all_are_counted() {
    let demo = DemoServices::start(Options { capture_limit: 2, ..Options::default() }).await.unwrap();
    for number in 1..=5 {
        get(demo.addr(Service::User), &format!("/{number}")).await;
    }
    let knobs = demo.knobs();
    let kept: Vec<_> = demo.captured(Service::User).into_iter().map(|one| (one.number, one.target)).collect();
    assert_eq!(kept, [(4, "/4".to_owned()), (5, "/5".to_owned())]);
    assert_eq!((knobs.captured_count(Service::User), knobs.captured_count(Service::Order)), (5, 0));
    knobs.clear_captured(Service::User);
    assert_eq!((demo.captured(Service::User).len(), knobs.captured_count(Service::User)), (0, 0));
}

#[tokio::test]
async fn echo_answers_what_it_saw_on_every_service() {
    let demo = start().await;
    for service in Service::ALL {
        let headers = [("X-Dup", "1"), ("X-Dup", "2")];
        let answer = call(demo.addr(service), "PUT", "/__echo/deep?q", &headers, "hi").await.unwrap();
        let seen = answer.json();
        assert_eq!((answer.status, &seen["service"]), (200, &json!(service.name())));
        let request = &seen["request"];
        assert_eq!((&request["method"], &request["target"]), (&json!("PUT"), &json!("/__echo/deep?q")));
        assert_eq!(request["headers"][2], json!(["X-Dup", "1"]));
        assert_eq!(request["headers"][3], json!(["X-Dup", "2"]));
        assert_eq!(request["body"], "hi");
    }
}

#[tokio::test]
async fn the_control_port_shows_captures_by_path_with_odd_bytes_escaped() {
    let demo = start().await;
    let (user, control) = (demo.addr(Service::User), demo.control_addr());
    send(user, b"GET /odd?q HTTP/1.1\r\nhost: demo\r\nx: a\xffb\r\nconnection: close\r\n\r\n").await.unwrap();
    get(user, "/other").await;
    let shown = get(control, "/captures/user?path=/odd").await.json();
    assert_eq!((&shown["received"], &shown["shown"]), (&json!(2), &json!(1)));
    assert_eq!(shown["requests"][0]["headers"][1], json!(["x", "a\\xffb"]));
    assert_eq!(call(control, "DELETE", "/captures", &[], "").await.unwrap().status, 204);
    assert_eq!(get(control, "/captures/user").await.json()["received"], 0);
}

async fn still_serves(addr: SocketAddr) {
    assert_eq!(get(addr, "/health").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_400_and_harms_nobody_else() {
    let demo = start().await;
    let addr = demo.addr(Service::User);
    for garbage in [&b"\x16\x03\x01\x02\x00\r\n\r\n"[..], b"GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
        assert_eq!(send(addr, garbage).await.unwrap().status, 400);
    }
    still_serves(addr).await;
}

#[tokio::test]
async fn large_headers_many_headers_and_large_bodies_are_taken_and_huge_bodies_413() {
    let demo = start().await;
    let addr = demo.addr(Service::User);
    let long = "v".repeat(64 * 1024);
    assert_eq!(call(addr, "GET", "/health", &[("x-long", &long)], "").await.unwrap().status, 200);
    assert_eq!(call(addr, "GET", "/health", &[("x-many", "1"); 500], "").await.unwrap().status, 200);
    let all = demo.captured(Service::User);
    assert_eq!(all[0].header("x-long").map(str::len), Some(long.len()));
    assert_eq!(all[1].header_values("x-many").len(), 500);
    let body = "b".repeat(4 * 1024 * 1024);
    assert_eq!(call(addr, "GET", "/health", &[], &body).await.unwrap().status, 200);
    let head = b"POST /x HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: 16777217\r\n\r\n";
    assert_eq!(send(addr, head).await.unwrap().status, 413);
    still_serves(addr).await;
}
