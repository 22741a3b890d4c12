//! Gateways with a service of the test's own beside the example's.

use portcullis_e2e::{Answer, Gateway, KeyAnswer, KeyServer, Setup};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
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

/// What a [`Site`] answers to a target: lines of headers, and a body.
type Says = fn(&str) -> (String, String);

/// A server that answers as a test says, and keeps what it was asked.
pub struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub fn start(says: Says) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&asked);
        let address = serve(Arc::new(move |head: &str| {
            kept.lock().expect("no test panics with it").push(head.to_owned());
            says(head.split(' ').nth(1).unwrap_or_default())
        }));
        Self { address, asked }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all requests, oldest first.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

/// A server whose answers say what it was asked: the request's head is the body.
pub struct Echo(SocketAddr);

impl Echo {
    pub fn start() -> Self {
        Self(serve(Arc::new(|head: &str| (String::new(), head.to_owned()))))
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

type Answers = Arc<dyn Fn(&str) -> (String, String) + Send + Sync>;

fn serve(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            thread::spawn(move || converse(stream, &answers));
        }
    });
    address
}

/// Until the other side has closed the connection.
fn converse(stream: TcpStream, answers: &Answers) -> Option<()> {
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
        let (headers, text) = answers(&head);
        let body = if head.starts_with("HEAD ") { "" } else { &text };
        write!(writer, "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", text.len()).ok()?;
    }
}

/// The target of the request that an [`Echo`] was asked.
#[track_caller]
pub fn target_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().split(' ').nth(1).unwrap_or_default().to_owned()
}
