//! Requests and replies as tests write them.

use std::time::Duration;

use crate::HeaderMap;
use crate::headers::Kind;

/// A request that a client sends through the proxy.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) worker: Option<usize>,
    pub(crate) peer: String,
    pub(crate) ends_with_data: bool,
    pub(crate) protocol: &'static str,
    pub(crate) raw: bool,
    pub(crate) unfinished: bool,
}

impl Request {
    /// A request to `http://gateway.test<path>`.
    pub fn new(method: &str, path: impl AsRef<[u8]>) -> Self {
        let headers = HeaderMap::from_pairs([
            (&b":authority"[..], &b"gateway.test"[..]),
            (b":path", path.as_ref()),
            (b":method", method.as_bytes()),
            (b":scheme", b"http"),
        ]);
        Self { headers, ..Self::raw() }
    }

    /// A request without any header, not even those that Envoy adds itself.
    pub fn raw() -> Self {
        Self {
            headers: HeaderMap::new(),
            chunks: Vec::new(),
            trailers: None,
            worker: None,
            peer: "127.0.0.1:50000".into(),
            ends_with_data: false,
            protocol: "HTTP/1.1",
            raw: false,
            unfinished: false,
        }
    }

    /// `GET`.
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::new("GET", path)
    }

    /// `POST`, without a body yet.
    pub fn post(path: impl AsRef<[u8]>) -> Self {
        Self::new("POST", path)
    }

    /// A gRPC call: `POST /service/method` with the content type of gRPC, over HTTP/2.
    pub fn grpc(service: &str, method: &str) -> Self {
        let request = Self::post(format!("/{service}/{method}")).http2();
        request.header("content-type", "application/grpc").header("te", "trailers")
    }

    /// Adds a header. The pseudo-headers `:authority`, `:path`, `:method` and `:scheme` are replaced.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        match name.as_ref().first() {
            Some(b':') => self.headers.set(name.as_ref(), value.as_ref()),
            _ => self.headers.add(name.as_ref(), value.as_ref()),
        }
        self
    }

    /// Removes a header, a pseudo-header too.
    pub fn without(mut self, name: impl AsRef<[u8]>) -> Self {
        self.headers.remove(name.as_ref());
        self
    }

    /// Sets `content-length` and a body of one chunk.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.headers.set(b"content-length", body.as_ref().len().to_string().as_bytes());
        self.chunk(body)
    }

    /// Adds a chunk to the body.
    pub fn chunk(mut self, chunk: impl AsRef<[u8]>) -> Self {
        self.chunks.push(chunk.as_ref().to_vec());
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers
            .get_or_insert_with(|| HeaderMap::of(Kind::RequestTrailers))
            .add(name.as_ref(), value.as_ref());
        self
    }

    /// Chooses the worker that accepts the connection; without it workers take turns.
    pub fn on_worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Sets the client's address, as `1.2.3.4:5678`.
    pub fn from(mut self, peer: &str) -> Self {
        self.peer = peer.to_owned();
        self
    }

    /// Sent over HTTP/2: the last chunk carries the end of the stream, where HTTP/1 sends it separately.
    pub fn http2(mut self) -> Self {
        self.ends_with_data = true;
        self.protocol = "HTTP/2";
        self.headers.pseudo_in_order(&[":method", ":scheme", ":authority", ":path"]);
        self
    }

    /// Leaves the end open: the test sends the rest with `Proxy::send_chunk`.
    pub fn unfinished(mut self) -> Self {
        self.unfinished = true;
        self
    }

    /// Keeps Envoy's own additions (`x-forwarded-proto`, `x-request-id`) away.
    pub fn bare(mut self) -> Self {
        self.raw = true;
        self
    }
}

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

/// One part of a message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Headers { headers: HeaderMap, end: bool },
    Data { bytes: Vec<u8>, end: bool },
    Trailers(HeaderMap),
    Reset,
}

/// Takes the end off a message.
pub(crate) fn open_ended(mut parts: Vec<Part>) -> Vec<Part> {
    match parts.last_mut() {
        Some(Part::Headers { end, .. }) => *end = false,
        Some(Part::Data { bytes, .. }) if bytes.is_empty() => drop(parts.pop()),
        Some(Part::Data { end, .. }) => *end = false,
        _ => {}
    }
    parts
}

/// Cuts a message into the parts that the wire would deliver.
pub(crate) fn parts(
    headers: HeaderMap,
    chunks: Vec<Vec<u8>>,
    trailers: Option<HeaderMap>,
    ends_with_data: bool,
) -> Vec<Part> {
    let last = chunks.len();
    let no_more = trailers.is_none();
    let mut parts = vec![Part::Headers { headers, end: last == 0 && no_more }];
    for (i, bytes) in chunks.into_iter().enumerate() {
        parts.push(Part::Data { bytes, end: no_more && ends_with_data && i + 1 == last });
    }
    match trailers {
        Some(trailers) => parts.push(Part::Trailers(trailers)),
        None if last > 0 && !ends_with_data => parts.push(Part::Data { bytes: Vec::new(), end: true }),
        None => {}
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ends_with_data: bool, trailers: Option<HeaderMap>) -> Vec<(usize, bool)> {
        parts(HeaderMap::new(), vec![b"ab".to_vec(), b"c".to_vec()], trailers, ends_with_data)
            .into_iter()
            .filter_map(|part| match part {
                Part::Data { bytes, end } => Some((bytes.len(), end)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn http1_ends_a_body_separately_and_http2_with_the_last_chunk() {
        assert_eq!(ends(false, None), [(2, false), (1, false), (0, true)]);
        assert_eq!(ends(true, None), [(2, false), (1, true)]);
    }

    #[test]
    fn with_trailers_no_chunk_ends_the_stream() {
        assert_eq!(ends(true, Some(HeaderMap::new())), [(2, false), (1, false)]);
    }
}
