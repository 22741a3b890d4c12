//! A server of one document (a JWK Set, a deny list) that rotates, fails and hangs as a test says, and counts who asks.

use crate::{PATIENCE, wait_for};
use socket2::Socket;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What a [`KeyServer`] does when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAnswer {
    /// Gives this document.
    Document(String),
    /// Gives this status and an empty body.
    Status(u16),
    /// Gives a JSON text of so many bytes.
    Large(usize),
    /// Resets the connection.
    Reset,
    /// Breaks off in the middle of the document, with a reset.
    Half(String),
    /// Says nothing until told to do something else.
    Hang,
}

/// The server; it ends with the process.
#[derive(Clone, Debug)]
pub struct KeyServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    answer: KeyAnswer,
    /// Heads of all requests.
    asked: Vec<String>,
}

impl KeyServer {
    /// Starts one that gives `answer`.
    ///
    /// # Panics
    /// If the system has no free port.
    pub fn start(answer: KeyAnswer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("it listens");
        let inner = Mutex::new(Inner { answer, asked: Vec::new() });
        let server = Self { address, state: Arc::new(State { inner, changed: Condvar::new() }) };
        let state = Arc::clone(&server.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || state.serve(stream));
            }
        });
        server
    }

    /// One that gives this JSON.
    pub fn of(document: &serde_json::Value) -> Self {
        Self::start(KeyAnswer::Document(document.to_string()))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so from here on; requests that hang are answered so too.
    pub fn answer_with(&self, answer: KeyAnswer) {
        self.state.lock().answer = answer;
        self.state.changed.notify_all();
    }

    /// How often it was asked.
    pub fn fetches(&self) -> usize {
        self.state.lock().asked.len()
    }

    /// The heads of all requests, oldest first.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().asked.clone()
    }

    /// Waits until it was asked so often.
    ///
    /// # Panics
    /// If it is not within [`PATIENCE`].
    #[track_caller]
    pub fn wait_for_fetches(&self, count: usize) {
        let enough = wait_for(PATIENCE, || (self.fetches() >= count).then_some(()));
        assert!(enough.is_some(), "asked {} times, not {count}", self.fetches());
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection; whoever leaves early is not missed.
    fn serve(&self, mut stream: TcpStream) {
        while let Some(head) = read_head(&mut stream) {
            let mut inner = self.lock();
            inner.asked.push(head);
            while inner.answer == KeyAnswer::Hang {
                inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            let answer = inner.answer.clone();
            drop(inner);
            if write_answer(stream.try_clone().ok(), &answer).is_none() {
                return;
            }
        }
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// `None` where the connection is over.
fn write_answer(stream: Option<TcpStream>, answer: &KeyAnswer) -> Option<()> {
    let mut stream = stream?;
    match answer {
        KeyAnswer::Document(text) => write_text(&mut stream, "200 OK", text),
        KeyAnswer::Status(status) => write_text(&mut stream, &format!("{status} Said So"), ""),
        KeyAnswer::Large(size) => {
            write_text(&mut stream, "200 OK", &format!("\"{}\"", "x".repeat(size.saturating_sub(2))))
        }
        KeyAnswer::Half(text) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(&text.as_bytes()[..text.len() / 2]).ok()?;
            reset(stream)
        }
        KeyAnswer::Reset | KeyAnswer::Hang => reset(stream),
    }
}

fn write_text(stream: &mut TcpStream, status: &str, text: &str) -> Option<()> {
    let length = text.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(text.as_bytes()).ok()
}

fn reset(stream: TcpStream) -> Option<()> {
    let socket = Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).ok()?;
    socket.shutdown(std::net::Shutdown::Both).ok()?;
    None
}
