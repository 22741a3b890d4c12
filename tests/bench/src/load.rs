//! Load: a fixed number of requests over kept-alive connections, one request in flight on each.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connections of a load.
pub const CONNECTIONS: usize = 16;

/// An answer that takes longer is a failure of the bench, not a slow answer.
const PATIENCE: Duration = Duration::from_secs(30);

const MAX_HEADERS: usize = 64;

/// A client with [`CONNECTIONS`] connections.
///
/// One thread, blocking: while it waits for the oldest request, the others keep Envoy busy. Envoy answers about in the order
/// of arrival, so there is hardly any waiting in the wrong place.
pub struct Load(Vec<Connection>);

impl Load {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn connect(to: SocketAddr) -> Result<Self> {
        (0..CONNECTIONS).map(|_| Connection::open(to)).collect::<Result<_>>().map(Self)
    }

    /// Sends `count` requests, each written by `write`, and reads their answers, each shown to `seen` (status).
    ///
    /// # Errors
    /// If a connection breaks, or what comes back is no HTTP.
    pub fn run(
        &mut self,
        count: usize,
        mut write: impl FnMut(&mut Vec<u8>),
        mut seen: impl FnMut(u16) -> Result<()>,
    ) -> Result<()> {
        let mut request = Vec::new();
        for connection in self.0.iter_mut().take(count) {
            connection.send(&mut request, &mut write)?;
        }
        for done in 0..count {
            let connection = &mut self.0[done % CONNECTIONS];
            seen(connection.receive()?)?;
            if done + CONNECTIONS < count {
                connection.send(&mut request, &mut write)?;
            }
        }
        Ok(())
    }

    /// Sends `count` requests, the `n`th of which is what `request` gives for it.
    ///
    /// # Errors
    /// If an answer is not a 200.
    pub fn in_turn<'r>(&mut self, count: usize, request: impl Fn(usize) -> &'r [u8]) -> Result<()> {
        let only_200 =
            |status| if status == 200 { Ok(()) } else { bail!("answered {status} instead of 200") };
        let mut number = 0;
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(request(number));
            number += 1;
        };
        self.run(count, write, only_200)
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).with_context(|| to.to_string())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024].into(), filled: 0 })
    }

    /// Sends the request that `write` writes into the empty `request`.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn send(&mut self, request: &mut Vec<u8>, write: &mut impl FnMut(&mut Vec<u8>)) -> Result<()> {
        request.clear();
        write(request);
        self.stream.write_all(request).context("cannot send a request")
    }

    /// Reads the next answer; its status.
    ///
    /// # Errors
    /// If none comes, or it is no HTTP.
    pub fn receive(&mut self) -> Result<u16> {
        loop {
            if let Some((status, size)) = first_answer(&self.buffer[..self.filled])? {
                self.buffer.copy_within(size..self.filled, 0);
                self.filled -= size;
                return Ok(status);
            }
            let free = &mut self.buffer[self.filled..];
            match self.stream.read(free).context("no answer")? {
                0 => bail!("the connection was closed, or the answer is larger than the buffer"),
                more => self.filled += more,
            }
        }
    }
}

/// The status and the whole size of the answer at the front of `bytes`; `None` while it is incomplete.
fn first_answer(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).context("the answer is no HTTP")? else {
        return Ok(None);
    };
    let status = answer.code.context("the answer has no status")?;
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = match length {
        Some(length) => std::str::from_utf8(length.value)?.parse::<usize>().context("content-length")?,
        None if status == 204 => 0,
        None => bail!("an answer of unknown length"),
    };
    Ok((bytes.len() - head >= body).then_some((status, head + body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    #[test]
    fn an_answer_ends_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1";
        let end = answer.len() - b"HTTP/1.1".len();
        assert_eq!(first_answer(answer).expect("it is HTTP"), Some((200, end)));
        for cut in 0..end {
            assert_eq!(first_answer(&answer[..cut]).expect("so far it is HTTP"), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_an_error() {
        first_answer(b"HTTP/1.1 200 OK\r\n\r\n").expect_err("its length is unknown");
        first_answer(b"hello\r\n\r\n").expect_err("this is no HTTP");
    }

    #[test]
    fn exactly_the_requests_asked_for_are_sent_and_answered() {
        for count in [0, 1, CONNECTIONS, 3 * CONNECTIONS + 5] {
            let upstream = Upstream::start().expect("there are ports");
            let mut load = Load::connect(upstream.address()).expect("it listens");
            load.in_turn(count, |_| b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("it answers");
            assert_eq!(upstream.requests(), count);
        }
    }

    #[test]
    fn an_answer_that_is_no_200_stops_the_measurement() {
        let upstream = Upstream::start().expect("there are ports");
        let mut load = Load::connect(upstream.address()).expect("it listens");
        let error = load.in_turn(1, |_| b"GET /404 HTTP/1.1\r\nhost: a\r\n\r\n").expect_err("it answers 404");
        assert!(error.to_string().contains("404"), "{error}");
    }
}
