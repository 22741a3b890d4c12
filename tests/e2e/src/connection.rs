//! An HTTP/1.1 client that sends any bytes at all, and reads the answer strictly.

use crate::{Answer, ClientError, Headers, PATIENCE, Request};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const MAX_HEADERS: usize = 512;

/// One TCP connection, kept alive between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Received, and not yet part of an answer.
    buffer: Vec<u8>,
    deadline: Instant,
    patience: Duration,
}

/// Ends what a connection waits for, from another thread.
#[derive(Debug)]
pub struct Interrupter(TcpStream);

impl Interrupter {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        stream.try_clone().map(Self)
    }

    /// Closes the connection, whoever waits for it.
    pub fn interrupt(&self) {
        // One that is closed already is as good.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If that fails; [`Connection::try_open`] does not.
    #[track_caller]
    pub fn open(to: SocketAddr) -> Self {
        Self::open_from(None, to)
    }

    /// Connects from the address `source`, which may be any of 127.0.0.0/8.
    ///
    /// # Panics
    /// If that fails; [`Connection::try_open`] does not.
    #[track_caller]
    pub fn open_from(source: Option<IpAddr>, to: SocketAddr) -> Self {
        Self::try_open(source, to).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// Connects, from `source` if that is given.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn try_open(source: Option<IpAddr>, to: SocketAddr) -> Result<Self, ClientError> {
        let stream = connect(source, to).map_err(ClientError::Connect)?;
        Ok(Self { stream, buffer: Vec::new(), deadline: Instant::now() + PATIENCE, patience: PATIENCE })
    }

    /// Waits no longer than `patience` for an answer.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What closes it from another thread.
    ///
    /// # Errors
    /// If the system has no handles left.
    pub fn interrupter(&self) -> io::Result<Interrupter> {
        Interrupter::of(&self.stream)
    }

    /// Whether a read would not wait: something has come, or the peer has closed.
    pub fn has_something_to_read(&self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let peeked = self.stream.peek(&mut [0]);
        let _ = self.stream.set_nonblocking(false);
        !self.buffer.is_empty() || !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// The address that the peer sees.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connection has an address")
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// If there is no answer; [`Connection::try_send`] does not.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Answer {
        let answer = self.try_send(request);
        answer.unwrap_or_else(|error| panic!("{} {:?}: {error}", request.method, lossy(&request.target)))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub fn try_send(&mut self, request: &Request) -> Result<Answer, ClientError> {
        self.exchange(&request.to_bytes(), &request.method)
    }

    /// Sends raw bytes, and reads the answer to the request that they are.
    ///
    /// # Errors
    /// Why there is none.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<Answer, ClientError> {
        let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.exchange(bytes, &lossy(method))
    }

    fn exchange(&mut self, bytes: &[u8], method: &str) -> Result<Answer, ClientError> {
        // A server may answer and close before it has read everything: the answer counts, not the failed write.
        let written = self.write(bytes);
        match (self.read_answer(method), written) {
            (Err(ClientError::Closed { .. }), Err(error)) => Err(error.into()),
            (answer, _) => answer,
        }
    }

    /// Sends raw bytes and reads nothing.
    ///
    /// # Errors
    /// If the peer is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.patience))?;
        self.stream.write_all(bytes)
    }

    /// Reads one answer to a request with `method` (an answer to HEAD has no body, whatever its headers say).
    ///
    /// # Errors
    /// Why there is none.
    pub fn read_answer(&mut self, method: &str) -> Result<Answer, ClientError> {
        let mut answer = self.read_head()?;
        let is_tunnel = answer.status == 101 || (method == "CONNECT" && answer.status / 100 == 2);
        if method != "HEAD" && !is_tunnel && ![204, 304].contains(&answer.status) {
            self.read_body(&mut answer)?;
        }
        Ok(answer)
    }

    /// Reads the status line and headers of an answer and leaves its body to be read: for streams and upgraded
    /// connections. Interim answers (1xx but 101) are skipped.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read_head(&mut self) -> Result<Answer, ClientError> {
        self.deadline = Instant::now() + self.patience;
        loop {
            match parse_head(&self.buffer)? {
                None => self.fill()?,
                Some((answer, length)) => {
                    self.buffer.drain(..length);
                    if answer.status == 101 || answer.status >= 200 {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Reads the body of an answer whose head has been read; what came until a failure is in `answer`.
    ///
    /// # Errors
    /// Why it is not complete.
    pub fn read_body(&mut self, answer: &mut Answer) -> Result<(), ClientError> {
        if answer.headers.all("transfer-encoding").iter().any(|value| value.ends_with(b"chunked")) {
            return self.read_chunks(answer);
        }
        answer.body = match answer.headers.all("content-length").as_slice() {
            [] => self.read_to_end()?,
            [length] => self.read_exactly(number(length, 10)?)?,
            several => return Err(ClientError::Malformed(format!("{} content lengths", several.len()))),
        };
        Ok(())
    }

    fn read_chunks(&mut self, answer: &mut Answer) -> Result<(), ClientError> {
        loop {
            let line = self.read_until(b"\r\n")?;
            let size = line.split(|byte| *byte == b';' || *byte == b'\r').next().unwrap_or_default();
            match number(size, 16)? {
                0 => return self.read_trailers(answer),
                size => answer.body.extend(self.read_exactly(size)?),
            }
            if self.read_exactly(2)? != b"\r\n" {
                return Err(ClientError::Malformed("a chunk is longer than it says".into()));
            }
        }
    }

    fn read_trailers(&mut self, answer: &mut Answer) -> Result<(), ClientError> {
        let mut block = Vec::new();
        while !block.ends_with(b"\r\n\r\n") && block != b"\r\n" {
            block.extend(self.read_until(b"\r\n")?);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        httparse::parse_headers(&block, &mut fields).map_err(malformed)?;
        answer.trailers = collect(&fields);
        Ok(())
    }

    /// Reads `count` bytes of a body or tunnel.
    ///
    /// # Errors
    /// If they do not come.
    pub fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>, ClientError> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads up to and including `end`.
    ///
    /// # Errors
    /// If it does not come.
    pub fn read_until(&mut self, end: &[u8]) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Some(place) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(self.buffer.drain(..place + end.len()).collect());
            }
            self.fill()?;
        }
    }

    fn read_to_end(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(ClientError::Closed { reset: false, received }) => {
                    self.buffer.clear();
                    return Ok(received);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives something.
    fn fill(&mut self) -> Result<(), ClientError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Timeout(self.patience));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(ClientError::Closed { reset: false, received: self.buffer.clone() }),
            Ok(length) => {
                self.buffer.extend_from_slice(&piece[..length]);
                Ok(())
            }
            Err(error) => self.read_failed(error),
        }
    }

    fn read_failed(&self, error: io::Error) -> Result<(), ClientError> {
        match error.kind() {
            ErrorKind::Interrupted => Ok(()),
            ErrorKind::ConnectionReset => {
                Err(ClientError::Closed { reset: true, received: self.buffer.clone() })
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(ClientError::Timeout(self.patience)),
            _ => Err(error.into()),
        }
    }

    /// Waits until the peer closes; false if it sends something instead, or does neither in time.
    pub fn is_closed_by_peer(&mut self) -> bool {
        self.deadline = Instant::now() + self.patience;
        self.buffer.is_empty() && matches!(self.fill(), Err(ClientError::Closed { .. }))
    }

    /// Says that no more will be sent, and stays to read.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Leaves with a TCP reset, as a client that crashes does. (Dropping the connection closes it in good order.)
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn reset(self) -> io::Result<()> {
        Socket::from(self.stream).set_linger(Some(Duration::ZERO))
    }
}

pub(crate) fn connect(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The head at the start of `bytes` and its length, once it is complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Answer, usize)>, ClientError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(malformed)? else { return Ok(None) };
    let status = head.code.unwrap_or_default();
    Ok(Some((Answer { status, headers: collect(head.headers), ..Answer::default() }, length)))
}

fn collect(fields: &[httparse::Header<'_>]) -> Headers {
    let mut headers = Headers::default();
    let given = fields.iter().filter(|field| !field.name.is_empty());
    given.for_each(|field| headers.push(field.name, field.value));
    headers
}

fn number(digits: &[u8], radix: u32) -> Result<usize, ClientError> {
    let number = usize::from_str_radix(lossy(digits).trim(), radix);
    number.map_err(|error| ClientError::Malformed(format!("{error}: {:?}", lossy(digits))))
}

fn malformed(error: httparse::Error) -> ClientError {
    ClientError::Malformed(error.to_string())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
