//! Gateways with a service of the test's own beside the example's.

use portcullis_e2e::{Answer, Gateway, KeyAnswer, KeyServer, Setup};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The example's gateway without tokens, with a service `extra` as `service` says, and a route `/api/v1/extra` to it, of every
/// method, with the fields of `route`.
pub fn with_extra(service: &Value, route: Value) -> Setup {
    let service = service.clone();
    Gateway::setup().policy(move |policy| {
        policy["services"]["extra"] = service;
        let mut added = json!({
            "path": "/extra", "service": "extra", "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        });
        for (key, value) in route.as_object().into_iter().flatten() {
            added[key] = value.clone();
        }
        policy["routes"].as_array_mut().expect("the example has routes").push(added);
    })
}

/// `address`, as an endpoint.
pub fn endpoint(address: SocketAddr) -> Value {
    json!({ "address": address.to_string() })
}

/// A server that answers everything with 200 and counts who asks.
pub fn well() -> KeyServer {
    KeyServer::of(&json!({ "well": true }))
}

/// A server that answers everything with `status`.
pub fn ill(status: u16) -> KeyServer {
    KeyServer::start(KeyAnswer::Status(status))
}

/// A server whose answers say what it was asked: the request's head is the body.
pub struct Echo(SocketAddr);

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("it listens");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Self(address)
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

/// Until the other side has closed the connection.
fn echo(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = reader.read_line(&mut head).ok()?;
            (read > 0).then_some(())?;
        }
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        reader.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
        let body = if head.starts_with("HEAD ") { "" } else { &head };
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", head.len()).ok()?;
    }
}

/// The target of the request that an [`Echo`] was asked.
#[track_caller]
pub fn target_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().split(' ').nth(1).unwrap_or_default().to_owned()
}
