//! A service that does what a test says, byte by byte and when the test says so: for time-outs, resets and delays that no
//! real service shows on demand.

use crate::{PATIENCE, wait_for};
use socket2::Socket;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listening service whose connections the test accepts itself.
#[derive(Debug)]
pub struct ScriptedUpstream {
    listener: TcpListener,
}

/// One connection of a gateway's to a [`ScriptedUpstream`].
#[derive(Debug)]
pub struct UpstreamConnection {
    stream: TcpStream,
}

impl ScriptedUpstream {
    /// Listens on a free loopback port.
    ///
    /// # Panics
    /// If the system has none.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        listener.set_nonblocking(true).expect("a listener may be asked without waiting");
        Self { listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// The next connection, with the head of its first request already read.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`], or it closes before a request is there.
    #[track_caller]
    pub fn accept_request(&self) -> UpstreamConnection {
        let accepted = wait_for(PATIENCE, || self.listener.accept().ok());
        let (stream, _) = accepted.expect("the gateway connects to its service");
        stream.set_nonblocking(false).expect("a connection may wait");
        stream.set_read_timeout(Some(PATIENCE)).expect("a connection may wait so long");
        let mut connection = UpstreamConnection { stream };
        connection.read_head();
        connection
    }
}

impl UpstreamConnection {
    /// Reads the head of a request, up to its empty line.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    #[track_caller]
    pub fn read_head(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).expect("the gateway sends a request");
            head.push(byte[0]);
        }
        head
    }

    /// Sends raw bytes.
    ///
    /// # Panics
    /// If the gateway has left.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gateway listens");
    }

    /// Closes with a TCP reset, as a service that crashes does.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn reset(self) {
        Socket::from(self.stream).set_linger(Some(Duration::ZERO)).expect("a connection can be reset");
    }

    /// Waits until the gateway closes the connection; what it sent until then does not matter.
    ///
    /// # Panics
    /// If it does not within [`PATIENCE`].
    #[track_caller]
    pub fn wait_for_close(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("still open: {error}"),
            _ => {}
        }
    }
}
