//! An HTTP request, byte for byte.

use crate::{Answer, Connection, H2Connection};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// A request to build, and to send over HTTP/1.1 or HTTP/2. Over HTTP/1.1 everything is sent as given, right or wrong;
/// over HTTP/2 only what its library takes for valid (any byte above 0x7f in a value is).
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) source: Option<IpAddr>,
}

impl Request {
    /// A request with any method and any target (`/path?query`, `*`, `host:port`, or nonsense).
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.into(),
            target: target.as_ref().to_vec(),
            host: Some(b"gateway.test".to_vec()),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            source: None,
        }
    }

    /// A GET request.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A POST request; [`Request::json`] or [`Request::body`] give it a body.
    pub fn post(target: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target)
    }

    /// One more header field; several of one name are sent as several.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// `Authorization: Bearer token`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Another host than `gateway.test`.
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.host = Some(host.as_ref().to_vec());
        self
    }

    /// No `Host` at all. (The HTTP/2 client refuses to omit `:authority`.)
    pub fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    /// The body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// A JSON body with its content type.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// One more trailer field. Over HTTP/1.1 the body is then sent chunked.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sends from this address: any of 127.0.0.0/8 is there, so one test can be many clients.
    pub fn from_ip(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sends it over HTTP/1.1 on a connection of its own.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Answer {
        Connection::open_from(self.source, to).send(self)
    }

    /// Sends it over HTTP/2 (prior knowledge, no TLS) on a connection of its own.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn send_h2(&self, to: SocketAddr) -> Answer {
        H2Connection::open_from(self.source, to).send(self)
    }

    /// The request as HTTP/1.1. `Content-Length` is added where there is a body, or a POST, PUT or PATCH without one,
    /// unless the headers have a framing of their own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        if let Some(host) = &self.host {
            write_field(&mut head, b"host", host);
        }
        self.headers.iter().for_each(|(name, value)| write_field(&mut head, name, value));
        let framed_by_test = self.has(b"content-length") || self.has(b"transfer-encoding");
        if !self.trailers.is_empty() {
            return self.chunked(head, framed_by_test);
        }
        let wants_length = !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&self.method.as_str());
        if wants_length && !framed_by_test {
            write_field(&mut head, b"content-length", self.body.len().to_string().as_bytes());
        }
        [&head, b"\r\n".as_slice(), &self.body].concat()
    }

    fn chunked(&self, mut bytes: Vec<u8>, framed_by_test: bool) -> Vec<u8> {
        if !framed_by_test {
            write_field(&mut bytes, b"transfer-encoding", b"chunked");
        }
        bytes.extend_from_slice(b"\r\n");
        if !self.body.is_empty() {
            bytes.extend(format!("{:x}\r\n", self.body.len()).bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        self.trailers.iter().for_each(|(name, value)| write_field(&mut bytes, name, value));
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn has(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }
}

fn write_field(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.extend([name, b": ", value, b"\r\n"].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(request: Request) -> String {
        String::from_utf8(request.to_bytes()).expect("ASCII in these tests")
    }

    #[test]
    fn a_get_is_what_one_would_type() {
        let request = Request::get("/a?b").header("X-A", "1").header("X-A", "2");
        assert_eq!(wire(request), "GET /a?b HTTP/1.1\r\nhost: gateway.test\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    }

    #[test]
    fn any_byte_goes_into_target_and_headers() {
        let bytes = Request::get(b"/\xff\0").without_host().header("x", b"\xff\0").to_bytes();
        assert_eq!(bytes, b"GET /\xff\0 HTTP/1.1\r\nx: \xff\0\r\n\r\n");
    }

    #[test]
    fn a_body_has_its_length_unless_the_test_gives_one() {
        assert!(wire(Request::post("/").body("abc")).ends_with("content-length: 3\r\n\r\nabc"));
        assert!(wire(Request::post("/")).ends_with("content-length: 0\r\n\r\n"));
        let lying = wire(Request::post("/").body("abc").header("Content-Length", "99"));
        assert!(lying.ends_with("Content-Length: 99\r\n\r\nabc"), "{lying}");
    }

    #[test]
    fn trailers_follow_a_chunked_body() {
        let request = Request::post("/").body("abc").trailer("t", "1");
        assert!(wire(request).ends_with("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n"));
    }
}
