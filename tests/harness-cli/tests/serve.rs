//! `serve`: what a client gets is what Envoy would send, byte for byte, and what is wrong with it is told.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use support::module_with_imports;

/// Puts `longer` in the place of the response's body, and leaves its headers alone.
fn module(body: &str) -> Vec<u8> {
    let length = body.len();
    module_with_imports(&format!(
        r#"(import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (if (i32.gt_u (local.get 1) (i32.const 0))
                (then (drop (call $set (i32.const 1) (i32.const 0) (i32.const 1000) (i32.const 512) (i32.const {length})))))
            (i32.const 0))
        (data (i32.const 512) "{body}")"#
    ))
}

/// A service that answers every connection once: `hello`.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").expect("the proxy reads");
        }
    });
    address
}

struct Serving {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Serving {
    fn of(wasm: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let module = folder.path().join("m.wasm");
        std::fs::write(&module, wasm).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis-harness"))
            .args(["serve", "--listen", "127.0.0.1:0", "--upstream", &service().to_string()])
            .arg(module)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command is built");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it tells where");
        let address = line.trim().trim_start_matches("listening on http://").to_owned();
        Self { child, address, _folder: folder }
    }

    /// All that comes of these bytes, once the client has said that it sends no more.
    fn ask(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(bytes.as_bytes()).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("it ends");
        all
    }

    fn told(mut self) -> String {
        self.child.kill().expect("it runs");
        let mut told = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut told).expect("it ends");
        let _ = self.child.wait();
        told
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_body_that_has_grown_beyond_its_length_is_sent_whole_and_told() {
    let serving = Serving::of(&module("good day"));
    let answer = serving.ask(GET);
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\ngood day"), "{answer}");
    let told = serving.told();
    assert!(told.contains("FLAW to the client: content-length says 5 bytes, and the body has 8"), "{told}");
}

#[test]
fn a_body_that_has_become_shorter_leaves_its_reader_waiting_and_is_told() {
    let serving = Serving::of(&module("hi"));
    let answer = serving.ask(GET);
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
    let told = serving.told();
    assert!(
        told.contains("FLAW to the client: content-length says 5 bytes, and the body has only 2"),
        "{told}"
    );
}

#[test]
fn requests_in_turn_are_answered_in_turn_and_what_envoy_refuses_is_refused() {
    let serving = Serving::of(&module("12345"));
    let chunked = "POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let answer = serving.ask(&[GET, chunked, "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", GET].concat());
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(answer.contains("HTTP/1.1 400") && answer.matches("HTTP/1.1").count() == 3, "{answer}");
    assert_eq!(serving.told(), "");
}
