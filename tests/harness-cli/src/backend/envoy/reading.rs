//! The bytes of a connection, read so that others can tell whether its reader waits for more of a message that has begun: an
//! upstream whose request a filter has made shorter than announced waits for ever.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::libc::{MSG_DONTWAIT, MSG_PEEK};
use socket2::SockRef;

/// Reads a connection.
pub struct Reading {
    stream: TcpStream,
    state: Arc<Waiting>,
}

/// Whether its reader waits.
pub struct Waiting {
    stream: TcpStream,
    inside: AtomicBool,
    waits: Mutex<bool>,
}

impl Reading {
    /// Reads this one.
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        let state =
            Waiting { stream: stream.try_clone()?, inside: AtomicBool::default(), waits: Mutex::default() };
        Ok(Self { stream: stream.try_clone()?, state: Arc::new(state) })
    }

    /// For others to ask.
    pub fn waiting(&self) -> Arc<Waiting> {
        self.state.clone()
    }
}

impl Read for Reading {
    /// What has come is looked at before it is taken, so that whoever asks meanwhile finds either it or a reader at work.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *self.state.lock() = true;
        let peeked = self.stream.peek(&mut [0]);
        *self.state.lock() = false;
        peeked?;
        self.stream.read(buffer)
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message has begun, or has been read to its end.
    pub fn inside(&self, inside: bool) {
        self.inside.store(inside, Ordering::SeqCst);
    }
}

/// Someone who may wait for the rest of requests.
pub trait Starving: Send + Sync {
    /// How many requests wait for their rest, of which nothing is there.
    fn starving(&self) -> usize;
}

impl Starving for Waiting {
    fn starving(&self) -> usize {
        let waits = self.lock();
        usize::from(*waits && self.inside.load(Ordering::SeqCst) && is_empty(&self.stream))
    }
}

/// Whether there is nothing to read.
pub fn is_empty(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let peeked = SockRef::from(stream).recv_with_flags(&mut byte, MSG_PEEK | MSG_DONTWAIT);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
