//! Any header fields at all over HTTP/2: the library takes none that break a rule, so they are put in the place of what it sends.

use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client sends first (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// Of every frame (section 4.1).
const FRAME_HEAD: usize = 9;
/// The most that a frame may have, unless the peer allows more (section 4.2).
const MOST_OF_A_FRAME: usize = 16 * 1024;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection on which the first HEADERS frame that is written has these fields.
pub(crate) struct WithFields<S> {
    inner: S,
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Written, and not yet a whole frame.
    written: BytesMut,
    /// To be sent.
    out: BytesMut,
    begun: bool,
}

impl<S> WithFields<S> {
    pub fn new(inner: S, fields: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self { inner, fields: Some(fields), written: BytesMut::new(), out: BytesMut::new(), begun: false }
    }

    /// Moves whole frames on.
    fn look(&mut self) {
        if !self.begun && self.written.len() >= PREFACE {
            self.out.extend(self.written.split_to(PREFACE));
            self.begun = true;
        }
        while let (true, Some(length)) = (self.begun, frame_length(&self.written)) {
            let frame = self.written.split_to(length);
            match (frame[3], self.fields.take()) {
                (HEADERS, Some(fields)) => self.out.extend(frames(&frame, &block(&fields))),
                (_, fields) => {
                    self.fields = fields;
                    self.out.extend(frame);
                }
            }
        }
    }
}

/// The length of the first frame, once all of it is there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..FRAME_HEAD)?;
    let length =
        FRAME_HEAD + usize::from(head[0]) * 65_536 + usize::from(head[1]) * 256 + usize::from(head[2]);
    (bytes.len() >= length).then_some(length)
}

/// Fields as literals that nobody remembers (RFC 7541, section 6.2.2).
fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let text = |text: &[u8]| [integer(text.len()), text.to_vec()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// With a prefix of seven bits (RFC 7541, section 5.1).
fn integer(number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![number as u8];
    }
    let (mut bytes, mut rest) = (vec![127], number - 127);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// The block in as many frames as it takes, on the stream of `like`.
fn frames(like: &[u8], block: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = block.chunks(MOST_OF_A_FRAME).collect();
    let frame = |(place, piece): (usize, &&[u8])| {
        let length = (piece.len() as u32).to_be_bytes();
        let kind = if place == 0 { HEADERS } else { CONTINUATION };
        let ends = if place == 0 { like[4] & END_STREAM } else { 0 };
        let last = if place + 1 == pieces.len() { END_HEADERS } else { 0 };
        [&length[1..], &[kind, ends | last], &like[5..FRAME_HEAD], *piece].concat()
    };
    pieces.iter().enumerate().flat_map(frame).collect()
}

impl<S: AsyncRead + Unpin> AsyncRead for WithFields<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithFields<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        self.look();
        let _ = self.poll_flush(cx)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.out.is_empty() {
            let sent = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.out))?;
            this.out.advance(sent);
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
