//! The client against servers that answer exact bytes.

use super::*;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// A server for one connection: sends `answer` in `pieces`-byte writes once it has received something, closes, and
/// reports what it received.
fn server(answer: &'static [u8], pieces: usize) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let (report, received) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the test connects");
        let mut piece = [0; 128 * 1024];
        let length = stream.read(&mut piece).expect("the test sends");
        let _ = report.send(piece[..length].to_vec());
        answer.chunks(pieces).for_each(|piece| stream.write_all(piece).expect("the test reads"));
    });
    (address, received)
}

fn answer_to_get(answer: &'static [u8]) -> Result<Answer, ClientError> {
    Connection::open(server(answer, 7).0).try_send(&Request::get("/"))
}

#[test]
fn an_answer_with_a_length_keeps_duplicate_headers_and_any_bytes() {
    let answer = answer_to_get(b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 3\r\nA: \xff\r\n\r\na\0\xff");
    let answer = answer.expect("it is HTTP");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"a\0\xff".as_slice()));
    assert_eq!(answer.headers.all("a"), [b"1", b"\xff"]);
}

#[test]
fn chunks_and_trailers_are_put_together() {
    let answer = answer_to_get(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nGrpc-Status: 7\r\n\r\n",
    );
    let answer = answer.expect("it is HTTP");
    assert_eq!(answer.text(), "abc");
    assert_eq!(answer.trailers.get("grpc-status").as_deref(), Some("7"));
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    assert_eq!(answer_to_get(b"HTTP/1.1 200 OK\r\n\r\nall of it").expect("it is HTTP").text(), "all of it");
}

#[test]
fn a_truncated_answer_is_an_error_that_shows_what_came() {
    let error = answer_to_get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").expect_err("it is cut");
    assert!(
        matches!(&error, ClientError::Closed { reset: false, received } if received == b"abc"),
        "{error}"
    );
}

#[test]
fn what_is_not_http_is_an_error() {
    let error = answer_to_get(b"SSH-2.0-OpenSSH\r\n").expect_err("it is SSH");
    assert!(matches!(error, ClientError::Malformed(_)), "{error}");
}

#[test]
fn interim_answers_are_skipped() {
    let answer = answer_to_get(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer.expect("it is HTTP").status, 204);
}

#[test]
fn an_answer_to_head_has_no_body() {
    let (address, _) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 7);
    assert_eq!(Connection::open(address).send(&Request::new("HEAD", "/")).body, b"");
}

#[test]
fn two_answers_on_one_connection_are_two() {
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nb";
    let mut connection = Connection::open(server(two, 1000).0);
    assert_eq!(connection.send(&Request::get("/")).text(), "a");
    assert_eq!(connection.read_answer("GET").expect("it is there").status, 404);
    assert!(connection.is_closed_by_peer());
}

#[test]
fn raw_bytes_arrive_as_they_are() {
    let (address, received) = server(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", 1000);
    let bytes = b"G\0T \xff HTTP/9\r\n\r\n";
    assert_eq!(Connection::open(address).send_raw(bytes).expect("it answers").status, 400);
    assert_eq!(received.recv().expect("it received"), bytes);
}

#[test]
fn a_client_may_come_from_any_loopback_address() {
    let source = IpAddr::from([127, 9, 8, 7]);
    let connection = Connection::open_from(Some(source), server(b"", 1).0);
    assert_eq!(connection.local_address().ip(), source);
}

#[test]
fn a_silent_server_is_given_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let error = Connection::open(address).within(Duration::from_millis(30)).try_send(&Request::get("/"));
    assert!(matches!(error, Err(ClientError::Timeout(_))), "{error:?}");
}

#[test]
fn a_reset_is_told_from_a_close() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut client = Connection::open(listener.local_addr().expect("it listens"));
    let (stream, _) = listener.accept().expect("the client connected");
    Socket::from(stream).set_linger(Some(Duration::ZERO)).expect("it is open");
    let error = client.read_answer("GET").expect_err("there is none");
    assert!(matches!(error, ClientError::Closed { reset: true, .. }), "{error}");
}
