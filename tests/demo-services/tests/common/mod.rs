//! A client that sends exactly the bytes it is given.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{io, net::SocketAddr, time::Duration};

use portcullis_demo_services::{DemoServices, Options, Service};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Long enough for anything on loopback, short enough to fail a test in reasonable time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `["body.amount", ...]` of a 422.
    pub fn complaints(&self) -> Vec<String> {
        assert_eq!(self.status, 422, "{self:?}");
        let details = self.json()["detail"].as_array().unwrap().clone();
        for detail in &details {
            assert!(detail["msg"].is_string() && detail["type"].is_string(), "{detail}");
        }
        details.iter().map(|detail| dotted(&detail["loc"])).collect()
    }
}

fn dotted(loc: &Value) -> String {
    let parts = loc.as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned());
    parts.collect::<Vec<_>>().join(".")
}

pub async fn start() -> DemoServices {
    DemoServices::start(Options::default()).await.unwrap()
}

/// Sends raw bytes on a connection of their own and reads the answer to the end of the stream.
///
/// # Errors
/// What the socket says, or a time-out: a test must fail, not hang.
pub async fn send(addr: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    tokio::time::timeout(PATIENCE, exchange(addr, request)).await?
}

async fn exchange(addr: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// One request with a body and headers.
pub async fn call(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    send(addr, request.as_bytes()).await
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    call(addr, "GET", path, &[], "").await.unwrap()
}

pub async fn post(addr: SocketAddr, path: &str, body: &Value) -> Answer {
    call(addr, "POST", path, &[], &body.to_string()).await.unwrap()
}

/// A user who is logged in.
pub struct Caller<'d> {
    demo: &'d DemoServices,
    authorization: String,
}

impl<'d> Caller<'d> {
    pub async fn login(demo: &'d DemoServices, username: &str, password: &str) -> Self {
        let credentials = json!({ "username": username, "password": password });
        let answer = post(demo.addr(Service::User), "/auth/login", &credentials).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { demo, authorization: format!("Bearer {token}") }
    }

    pub async fn get(&self, service: Service, path: &str) -> Answer {
        self.call(service, "GET", path, "").await
    }

    pub async fn post(&self, service: Service, path: &str, body: &Value) -> Answer {
        self.call(service, "POST", path, &body.to_string()).await
    }

    pub async fn call(&self, service: Service, method: &str, path: &str, body: &str) -> Answer {
        let headers = [("authorization", self.authorization.as_str())];
        call(self.demo.addr(service), method, path, &headers, body).await.unwrap()
    }
}

/// A registration that is in order.
pub fn registration(username: &str) -> Value {
    json!({
        "username": username,
        "email": format!("{username}@example.com"),
        "password": "Sup3r-Secret-1",
        "first_name": "Ada",
        "last_name": "O'Neil-Smith",
    })
}

/// A new user, registered and logged in.
pub async fn newcomer<'d>(demo: &'d DemoServices, username: &str) -> Caller<'d> {
    let answer = post(demo.addr(Service::User), "/auth/register", &registration(username)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    Caller::login(demo, username, "Sup3r-Secret-1").await
}
