//! The gRPC peer of both sides. The request's message says what it answers.

use bytes::Bytes;
use portcullis_harness::{Received, Reply};
use std::net::{SocketAddr, TcpListener};

/// What the peer does.
enum Plan {
    /// Messages, and `grpc-status` 0.
    Messages(&'static [&'static str]),
    /// Only trailers.
    Fail(u32, &'static str),
    Reset,
}

fn plan(message: &[u8]) -> Plan {
    match message {
        b"fail" => Plan::Fail(7, "not for you"),
        b"two" => Plan::Messages(&["one", "two"]),
        b"none" => Plan::Messages(&[]),
        b"reset" => Plan::Reset,
        _ => Plan::Messages(&["pong"]),
    }
}

pub fn harness_reply(request: &Received) -> Reply {
    match plan(&request.body) {
        Plan::Fail(code, message) => Reply::grpc_error(code, message),
        Plan::Reset => Reply::reset(),
        Plan::Messages(messages) => {
            let mut reply = Reply::status(200).header("content-type", "application/grpc");
            for message in messages {
                reply = reply.chunk(message);
            }
            reply.trailer("grpc-status", "0").trailer("x-trailing", "t")
        }
    }
}

/// Serves gRPC over HTTP/2 with prior knowledge until the process ends.
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    listener.set_nonblocking(true).expect("tokio wants it so");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream));
            }
        });
    });
    address
}

async fn connection(stream: tokio::net::TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(exchange(request, respond));
    }
}

async fn exchange(request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let mut body = request.into_body();
    let mut all = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    let head = || http::Response::builder().header("content-type", "application/grpc");
    match plan(all.get(5..).unwrap_or_default()) {
        Plan::Reset => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Plan::Fail(code, message) => {
            let head = head().header("grpc-status", code).header("grpc-message", message);
            let _ = respond.send_response(head.body(()).expect("valid"), true);
        }
        Plan::Messages(messages) => {
            let Ok(mut send) = respond.send_response(head().body(()).expect("valid"), false) else { return };
            for message in messages {
                let _ = send.send_data(framed(message), false);
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", 0.into());
            trailers.insert("x-trailing", http::HeaderValue::from_static("t"));
            let _ = send.send_trailers(trailers);
        }
    }
}

/// A gRPC message: no compression, length, bytes.
fn framed(message: &str) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message.as_bytes()].concat().into()
}
