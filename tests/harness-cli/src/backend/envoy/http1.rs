//! A scripted service of HTTP/1.1: reads requests, and writes its replies piece by piece.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::arrivals::Arrivals;
use super::peer::{LOOK_EVERY, Shared, State, lock};
use super::reading::{Reading, Starving, Waiting};
use crate::plan::{Body, Fate, Fields, Reply};
use crate::seen::Call;

/// To a request whose length is no number (RFC 9112, section 6.3).
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// Answers the requests of one connection.
pub fn serve(stream: TcpStream, state: &State, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let reading = Reading::of(&stream)?;
    let waiting = reading.waiting();
    let weak: Weak<dyn Starving> = Arc::<Waiting>::downgrade(&waiting);
    shared.watch(weak);
    let mut reader = BufReader::new(reading);
    while let Some(read) = read_request(&mut reader, &waiting)? {
        waiting.inside(false);
        let Some(call) = read else { return (&stream).write_all(BAD_REQUEST) };
        let reply = lock(&state.script).answer(&call.method, &call.path);
        lock(&state.calls).push(call);
        if !hold(&stream, &reply, shared) {
            break;
        }
        write_reply(&mut Writer::new(&stream, state, shared), &reply)?;
        if [Fate::Reset, Fate::ResetAfterBody].contains(&reply.fate) {
            return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
    Ok(())
}

/// Waits until the reply is due; false if it never goes out.
fn hold(stream: &TcpStream, reply: &Reply, shared: &Shared) -> bool {
    if reply.fate != Fate::Never && reply.delay.is_zero() {
        return true;
    }
    let due = shared.hold(reply);
    let mut goes_out = false;
    while !shared.is_over() && !has_left(stream) {
        goes_out = shared.is_due(due);
        if goes_out {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    shared.release(due);
    goes_out
}

fn has_left(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    match peeked {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// `None` if the connection has been closed between requests, or what comes is none; a request without a readable length is no
/// call.
fn read_request(reader: &mut impl BufRead, waiting: &Waiting) -> io::Result<Option<Option<Call>>> {
    let Some(line) = read_line(reader)?.filter(|line| line.windows(8).any(|word| word == b" HTTP/1.")) else {
        return Ok(None);
    };
    waiting.inside(true);
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let path = words.next().unwrap_or_default().to_vec();
    let mut headers = read_fields(reader)?;
    let value = |name: &str| crate::seen::values(&headers, name).first().map(|value| value.to_vec());
    let chunked = value("transfer-encoding").is_some_and(|value| value.ends_with(b"chunked"));
    let length = value("content-length").map(|value| String::from_utf8(value).ok()?.parse().ok());
    if length == Some(None) {
        return Ok(Some(None));
    }
    let authority = value("host").unwrap_or_default();
    headers.retain(|(name, _)| name != "host");
    let (mut body, mut trailers) = (Vec::new(), Fields::new());
    if chunked {
        trailers = read_chunks(reader, &mut body)?;
    } else {
        body.resize(length.flatten().unwrap_or(0), 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Some(Some(Call { method, path, authority, headers, body, trailers })))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        line.pop();
    }
    Ok(Some(line))
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::new();
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        fields.push((name, line.get(colon + 1..).unwrap_or_default().trim_ascii().to_vec()));
    }
    Ok(fields)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<Fields> {
    loop {
        let line = read_line(reader)?.unwrap_or_default();
        let size = String::from_utf8_lossy(&line).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        match size.map_err(io::Error::other)? {
            0 => return read_fields(reader),
            size => {
                let start = body.len();
                body.resize(start + size, 0);
                reader.read_exact(&mut body[start..])?;
                read_line(reader)?;
            }
        }
    }
}

/// Writes what shall arrive in pieces.
struct Writer<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
    arrivals: Option<&'a Arrivals>,
    /// As many bytes as Envoy will have received when all that was written has arrived.
    sent: u64,
}

impl<'a> Writer<'a> {
    fn new(stream: &'a TcpStream, state: &'a State, shared: &'a Shared) -> Self {
        let arrivals = state.arrivals.get();
        Self { stream, shared, arrivals, sent: 0 }
    }

    /// What was written until now does not count.
    fn begin(&mut self) {
        self.sent = self.arrivals.map_or(0, Arrivals::count);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent += bytes.len() as u64;
        self.stream.write_all(bytes)
    }

    /// Waits until everything written has arrived.
    fn arrive(&self) {
        let gone = || self.shared.is_over() || has_left(self.stream);
        if let Some(arrivals) = self.arrivals {
            arrivals.wait(self.sent, &gone);
        }
    }
}

fn write_reply(writer: &mut Writer<'_>, reply: &Reply) -> io::Result<()> {
    if reply.fate == Fate::Reset {
        return Ok(());
    }
    let breaks = reply.fate == Fate::ResetAfterBody;
    let in_pieces = breaks || matches!(reply.body, Body::Chunked(..));
    if in_pieces {
        writer.begin();
    }
    let mut head = head(reply, breaks);
    if let Body::Whole(body) = &reply.body {
        head.extend(body);
    }
    writer.write(&head)?;
    if let Body::Chunked(chunks, trailers) = &reply.body {
        for chunk in chunks {
            writer.arrive();
            writer.write(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())?;
        }
        if !breaks {
            writer.arrive();
            writer.write(&end_of_chunks(trailers))?;
        }
    }
    if breaks {
        // A reset overtakes what has not been read.
        writer.arrive();
    }
    Ok(())
}

fn head(reply: &Reply, breaks: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status).into_bytes();
    head.extend(lines(&reply.headers));
    match &reply.body {
        Body::None if [204, 304].contains(&reply.status) => {}
        Body::Chunked(..) => head.extend(b"transfer-encoding: chunked\r\n"),
        body => head.extend(format!("content-length: {}\r\n", body.announced(breaks)).bytes()),
    }
    head.extend(b"\r\n");
    head
}

fn end_of_chunks(trailers: &Fields) -> Vec<u8> {
    [b"0\r\n".to_vec(), lines(trailers), b"\r\n".to_vec()].concat()
}

fn lines(fields: &Fields) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat()).collect()
}
