//! What a connection really carried. HTTP libraries tidy up on the way in: a fragment is cut off the target, names are
//! lower-cased, the order across names is lost. A test of a gateway wants the bytes, so the socket is tapped.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};

/// A header or trailer as it came: name and value bytes.
pub type Field = (String, Vec<u8>);

/// No head of a request is longer than this; what comes after is not recorded.
const MAX_HEAD: usize = 1024 * 1024;

/// What the task of a connection and the handlers of its requests share.
pub(crate) struct Wire {
    pub(crate) peer: SocketAddr,
    heard: Mutex<Heard>,
    reset: Notify,
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// Set while a body arrives.
    paused: bool,
}

/// The request line's target and the header lines of one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<Field>,
}

impl Wire {
    pub(crate) fn new(peer: SocketAddr) -> Arc<Self> {
        Arc::new(Self { peer, heard: Mutex::default(), reset: Notify::new() })
    }

    /// Asks the connection's task to reset it. The caller must not answer afterwards.
    pub(crate) fn reset(&self) {
        self.reset.notify_one();
    }

    /// Resolves when a reset was asked for.
    pub(crate) async fn reset_wanted(&self) {
        self.reset.notified().await;
    }

    /// The head of the request that was just read; recording pauses for its body. `None` if a client that pipelines left the
    /// record out of step.
    pub(crate) fn take_head(&self) -> Option<RawHead> {
        let mut heard = self.heard();
        heard.paused = true;
        parse_head(&std::mem::take(&mut heard.bytes))
    }

    /// The body has been read; the next bytes are a head again.
    pub(crate) fn resume(&self) {
        self.heard().paused = false;
    }

    fn hear(&self, bytes: &[u8]) {
        let mut heard = self.heard();
        let room = MAX_HEAD.saturating_sub(heard.bytes.len());
        if !heard.paused {
            heard.bytes.extend(bytes.iter().take(room));
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_head(bytes: &[u8]) -> Option<RawHead> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = bytes.get(..end)?.trim_ascii_start();
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ').map(text);
    let (method, target) = (words.next()?, words.next()?);
    let headers = lines.filter_map(field).collect();
    Some(RawHead { method, target, headers })
}

fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((text(name), value.get(1..)?.trim_ascii().to_vec()))
}

/// Bytes as text, with `\xNN` for what is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    text
}

/// A stream whose incoming bytes are heard by a [`Wire`].
pub(crate) struct Tapped {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl Tapped {
    pub(crate) fn new(stream: TcpStream, wire: Arc<Wire>) -> Self {
        Self { stream, wire }
    }

    /// Closes with a TCP RST instead of a FIN; what was not sent yet is dropped.
    pub(crate) fn close_with_reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.wire.hear(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_the_fragment_the_case_the_order_and_every_byte() {
        let head = parse_head(b"GET /a?b#c HTTP/1.1\r\nX-B: 1\r\nx-a:\xff\r\nX-B:  2 \r\n\r\nbody").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a?b#c"));
        let expected: [Field; 3] =
            [("X-B".into(), b"1".into()), ("x-a".into(), b"\xff".into()), ("X-B".into(), b"2".into())];
        assert_eq!(head.headers, expected);
    }

    #[test]
    fn an_unfinished_head_is_none() {
        assert_eq!(parse_head(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
    }

    #[test]
    fn only_bytes_that_are_not_utf8_are_escaped() {
        assert_eq!(text("a\"é\\".as_bytes()), "a\"é\\");
        assert_eq!(text(b"a\xffb"), "a\\xffb");
    }
}
