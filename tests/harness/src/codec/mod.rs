//! What stands in front of every filter: Envoy's codecs, which refuse what is no proper message, and its connection manager,
//! which refuses more, takes headers away and adds some. `docs/harness.md` has the table; each row is a scenario on both sides.

mod http1;
mod http2;
mod manager;
mod wire;

use crate::HeaderMap;
use crate::headers::Kind;
use crate::message::{Part, open_ended, parts};
use crate::request::{HTTP2, Request};

/// `DPE`: the client has broken the protocol.
pub(crate) const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
/// `DR`: the stream is reset, by the client or because it went beyond a limit.
pub(crate) const DOWNSTREAM_RESET: u64 = 1 << 28;
/// Envoy's default `max_request_headers_kb`, in bytes: of a whole head over HTTP/1, of a decoded list of fields over HTTP/2.
const MAX_HEAD: usize = 60 * 1024;
/// Envoy's default `max_headers_count`.
const MAX_FIELDS: usize = 100;

/// A request that Envoy does not let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Status and body of the answer; without one, stream or connection are just closed.
    pub answer: Option<(u16, &'static str)>,
    pub details: &'static str,
    pub flags: u64,
    /// The connection is closed, too.
    pub closes: bool,
    /// The filters hear of it, if in `on_log` only.
    pub is_told: bool,
    /// Its route was chosen before.
    pub is_routed: bool,
    /// The request's headers, as far as they are known.
    pub headers: Option<HeaderMap>,
}

impl Refusal {
    /// By the HTTP/1 codec.
    fn by_http1(status: u16, body: &'static str, details: &'static str) -> Self {
        Self {
            answer: Some((status, body)),
            details,
            flags: DOWNSTREAM_PROTOCOL_ERROR,
            closes: true,
            is_told: true,
            ..Self::default()
        }
    }

    fn bad_request(details: &'static str) -> Self {
        Self::by_http1(400, "Bad Request", details)
    }

    /// By the HTTP/2 codec: no filter hears of it.
    fn by_http2(details: &'static str) -> Self {
        Self { details, flags: DOWNSTREAM_PROTOCOL_ERROR, closes: true, ..Self::default() }
    }

    /// By the HTTP/2 codec, once filters have seen the headers.
    fn reset_by_http2() -> Self {
        Self { details: "http2.remote_reset", closes: false, is_told: true, ..Self::by_http2("") }
    }

    /// By the connection manager, which has the headers.
    fn by_manager(status: u16, details: &'static str, closes: bool) -> Self {
        Self { answer: Some((status, "")), details, closes, is_told: true, ..Self::default() }
    }
}

/// What the connection manager goes by.
pub(crate) struct Listener<'a> {
    pub peer: &'a str,
    /// Envoy's `use_remote_address`, with the machine's own address.
    pub own_address: Option<&'a str>,
    pub request_id: &'a str,
    pub is_tls: bool,
}

/// What comes of a request that a client sends: the parts that filters will see, or a refusal.
pub(crate) fn receive(request: Request, listener: &Listener<'_>) -> Vec<Part> {
    let is_http2 = request.protocol == HTTP2;
    let unfinished = request.unfinished;
    if request.raw || (request.wire.is_none() && request.fields.is_empty()) {
        let parts = parts(request.map(), request.chunks, request.trailers, request.ends_with_data);
        return if unfinished { open_ended(parts) } else { parts };
    }
    let arrived = if is_http2 { http2::receive(request) } else { http1::receive(request) };
    let (mut headers, mut rest) = match arrived {
        Ok(message) => message,
        Err(refusal) => return vec![Part::Refused(Box::new(refusal))],
    };
    if let Err(refusal) = manager::receive(&mut headers, listener) {
        let refusal = Refusal { headers: Some(headers), ..refusal };
        return vec![Part::Refused(Box::new(refusal))];
    }
    if unfinished {
        rest = open_ended(rest);
    }
    if let Some(Part::Headers { headers: place, .. }) = rest.first_mut() {
        *place = headers;
    }
    rest
}

/// Cuts a body to the length that the client has announced; behind what is missing nothing comes.
fn held_to(length: Option<u64>, chunks: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, bool) {
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else { return (chunks, true) };
    let mut left = length;
    let mut kept = Vec::new();
    for mut chunk in chunks {
        chunk.truncate(left);
        left -= chunk.len();
        if !chunk.is_empty() {
            kept.push(chunk);
        }
    }
    (kept, left == 0)
}

fn request_map(fields: &[crate::request::Field]) -> HeaderMap {
    HeaderMap::of(Kind::Request).with(fields.iter().map(|(name, value)| (name, value)))
}
