//! What upstreams answer, as tests write it.

use std::time::Duration;

use crate::HeaderMap;
use crate::headers::Kind;

/// How an upstream ends the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answer,
    Refuse,
    Never,
    ResetBeforeHeaders,
    ResetAfterBody,
}

/// What an upstream (or the peer of a callout) answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) delay: Duration,
    pub(crate) fate: Fate,
    pub(crate) ends_with_data: bool,
}

impl Reply {
    /// An answer with this status.
    pub fn status(status: u16) -> Self {
        Self {
            headers: HeaderMap::of(Kind::Response).with([(":status", status.to_string())]),
            chunks: Vec::new(),
            trailers: None,
            delay: Duration::ZERO,
            fate: Fate::Answer,
            ends_with_data: false,
        }
    }

    fn fate(fate: Fate) -> Self {
        Self { fate, ..Self::status(200) }
    }

    /// The connection is refused: 503 by Envoy.
    pub fn refuse() -> Self {
        Self::fate(Fate::Refuse)
    }

    /// No answer ever comes: 504 by Envoy when the time is up.
    pub fn never() -> Self {
        Self::fate(Fate::Never)
    }

    /// The connection breaks before the headers: 503 by Envoy.
    pub fn reset() -> Self {
        Self::fate(Fate::ResetBeforeHeaders)
    }

    /// The connection breaks after headers and body, before the end.
    pub fn reset_after(mut self) -> Self {
        self.fate = Fate::ResetAfterBody;
        self
    }

    /// The answer of a gRPC method: one message, `grpc-status` 0.
    pub fn grpc(message: impl AsRef<[u8]>) -> Self {
        let reply = Self::status(200).header("content-type", "application/grpc").chunk(message);
        reply.trailer("grpc-status", "0")
    }

    /// The failure of a gRPC method.
    pub fn grpc_error(code: u32, message: &str) -> Self {
        let reply = Self::status(200).header("content-type", "application/grpc");
        reply.trailer("grpc-status", code.to_string()).trailer("grpc-message", message)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name.as_ref(), value.as_ref());
        self
    }

    /// Sets `content-length` and a body of one chunk.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.headers.set(b"content-length", body.as_ref().len().to_string().as_bytes());
        self.chunk(body)
    }

    /// Adds a chunk to the body; for gRPC, a message.
    pub fn chunk(mut self, chunk: impl AsRef<[u8]>) -> Self {
        self.chunks.push(chunk.as_ref().to_vec());
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers
            .get_or_insert_with(|| HeaderMap::of(Kind::ResponseTrailers))
            .add(name.as_ref(), value.as_ref());
        self
    }

    /// Answers so much later, in virtual time.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sent over HTTP/2: the last chunk carries the end of the stream.
    pub fn http2(mut self) -> Self {
        self.ends_with_data = true;
        self
    }

    /// What is left of an answer to HEAD.
    pub(crate) fn without_body(self) -> Self {
        Self { chunks: Vec::new(), trailers: None, ..self }
    }

    pub(crate) fn body_bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}
