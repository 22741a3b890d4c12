//! The client against a server of the same library that answers with what it was sent.

use super::*;
use std::net::TcpListener;

/// Answers each request with its method, authority, path and body as the body, and its trailers as trailers.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    RUNTIME.spawn(async move {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
        let (stream, _) = listener.accept().await.expect("the test connects");
        let mut connection = h2::server::handshake(stream).await.expect("the test speaks HTTP/2");
        while let Some(Ok((request, answer))) = connection.accept().await {
            tokio::spawn(answer_one(request, answer));
        }
    });
    address
}

async fn answer_one(
    mut request: http::Request<h2::RecvStream>,
    mut answer: h2::server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    if request.uri().path() == "/reset" {
        answer.send_reset(h2::Reason::INTERNAL_ERROR);
        return Ok(());
    }
    let mut body = format!("{} {} ", request.method(), request.uri()).into_bytes();
    while let Some(data) = request.body_mut().data().await {
        body.extend_from_slice(&data?);
    }
    let trailers = request.body_mut().trailers().await?.unwrap_or_default();
    let mut head = http::Response::new(());
    *head.headers_mut() = request.headers().clone();
    let mut stream = answer.send_response(head, false)?;
    stream.send_data(body.into(), false)?;
    stream.send_trailers(trailers)
}

#[test]
fn method_authority_path_headers_body_and_trailers_make_the_round_trip() {
    let request = Request::post("/a?b").host("h.test").body("xyz").header("k", b"\xff").header("k", "2");
    let answer = request.trailer("t", "1").trailer("t", "2").send_h2(echo());
    assert_eq!((answer.status, answer.text()), (200, "POST http://h.test/a?b xyz"));
    assert_eq!(answer.headers.all("k"), [b"\xff".as_slice(), b"2"]);
    assert_eq!(answer.trailers.all("t"), [b"1", b"2"]);
}

#[test]
fn one_connection_serves_many_requests() {
    let connection = H2Connection::open(echo());
    let first = connection.start(&Request::get("/1").host("h")).expect("it is valid");
    assert_eq!(connection.send(&Request::get("/2").host("h")).text(), "GET http://h/2 ");
    assert_eq!(first.answer().expect("it comes").text(), "GET http://h/1 ");
}

#[test]
fn connect_names_only_an_authority() {
    assert_eq!(Request::new("CONNECT", "db.test:5432").send_h2(echo()).text(), "CONNECT db.test:5432 ");
}

#[test]
fn a_reset_stream_is_told_with_its_code() {
    let outcome = H2Connection::open(echo()).try_send(&Request::get("/reset"));
    assert!(matches!(outcome, Err(ClientError::StreamReset(2))), "{outcome:?}");
}

#[test]
fn what_the_library_refuses_to_send_is_an_error_of_the_test() {
    let connection = H2Connection::open(echo());
    for request in
        [Request::get("/").header("x", b"\0"), Request::get("/ "), Request::get("/").without_host()]
    {
        let outcome = connection.try_send(&request);
        assert!(matches!(outcome, Err(ClientError::Unsendable(_))), "{outcome:?}");
    }
}
