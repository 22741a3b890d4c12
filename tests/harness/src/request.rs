//! Requests as tests write them.

use std::sync::Arc;

use crate::headers::Kind;
use crate::{HeaderMap, Tls};

/// A field as the client sends it; pseudo-header fields are among them.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// The protocol of requests, as Envoy's properties and access logs name it.
pub(crate) const HTTP1: &str = "HTTP/1.1";
pub(crate) const HTTP2: &str = "HTTP/2";

/// A request that a client sends through the proxy.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) fields: Vec<Field>,
    /// The bytes of an HTTP/1 connection, in the place of everything else that is sent.
    pub(crate) wire: Option<Vec<u8>>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) worker: Option<usize>,
    pub(crate) peer: String,
    pub(crate) ends_with_data: bool,
    pub(crate) protocol: &'static str,
    pub(crate) raw: bool,
    pub(crate) unfinished: bool,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Request {
    /// A request to `http://gateway.test<path>`.
    pub fn new(method: &str, path: impl AsRef<[u8]>) -> Self {
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":authority", b"gateway.test"),
            (b":path", path.as_ref()),
            (b":method", method.as_bytes()),
            (b":scheme", b"http"),
        ];
        pseudo.into_iter().fold(Self::raw(), |request, (name, value)| request.field(name, value))
    }

    /// A request without any header, not even those that Envoy adds itself.
    pub fn raw() -> Self {
        Self {
            fields: Vec::new(),
            wire: None,
            chunks: Vec::new(),
            trailers: None,
            worker: None,
            peer: "127.0.0.1:50000".into(),
            ends_with_data: false,
            protocol: HTTP1,
            raw: false,
            unfinished: false,
            tls: None,
        }
    }

    /// What a client sends on an HTTP/1 connection, byte for byte: a request line, fields, a body. Envoy's codec reads it, and
    /// may refuse it. Bytes behind the first request are not looked at.
    pub fn wire(bytes: impl AsRef<[u8]>) -> Self {
        Self { wire: Some(bytes.as_ref().to_vec()), ..Self::raw() }
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
        let name = match name.as_ref() {
            b"host" => b":authority",
            name => name,
        };
        let known = self.fields.iter_mut().find(|(own, _)| name.first() == Some(&b':') && own == name);
        match known {
            Some((_, old)) => *old = value.as_ref().to_vec(),
            None => self.fields.push((name.to_vec(), value.as_ref().to_vec())),
        }
        self
    }

    /// Adds exactly this field, behind those that are there: another `:path`, another `host`, a name in capitals.
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Removes a header, a pseudo-header too.
    pub fn without(mut self, name: impl AsRef<[u8]>) -> Self {
        self.fields.retain(|(own, _)| !own.eq_ignore_ascii_case(name.as_ref()));
        self
    }

    /// Sets `content-length` and a body of one chunk.
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        self.without("content-length").field("content-length", length).chunk(body)
    }

    /// Adds a chunk to the body. What `content-length` says of it is the test's business: Envoy's codec holds the client to it.
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

    /// Sets the client's address, as `1.2.3.4:5678` or `[2001:db8::1]:5678`.
    pub fn from(mut self, peer: &str) -> Self {
        self.peer = peer.to_owned();
        self
    }

    /// Sent over HTTP/2: the last chunk carries the end of the stream, where HTTP/1 sends it separately.
    pub fn http2(mut self) -> Self {
        const ORDER: [&[u8]; 4] = [b":method", b":scheme", b":authority", b":path"];
        self.ends_with_data = true;
        self.protocol = HTTP2;
        self.fields.sort_by_key(|(name, _)| ORDER.iter().position(|own| own == name).unwrap_or(ORDER.len()));
        self
    }

    /// Leaves the end open: the test sends the rest with `Proxy::send_chunk`.
    pub fn unfinished(mut self) -> Self {
        self.unfinished = true;
        self
    }

    /// Sent over TLS: plugins are told what the handshake has shown.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Keeps Envoy's codec and its own additions (`x-forwarded-proto`, `x-request-id`) away: filters see exactly these headers.
    pub fn bare(mut self) -> Self {
        self.raw = true;
        self
    }

    /// The fields as they are, in a map.
    pub(crate) fn map(&self) -> HeaderMap {
        HeaderMap::from_pairs(self.fields.iter().map(|(name, value)| (name, value)))
    }
}
