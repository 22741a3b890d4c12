//! The handshake of a WebSocket (RFC 6455 section 4), where gateway and proxy change it.

use crate::done::SWITCHING_PROTOCOLS;
use crate::{Facts, HeaderOps, Pipeline, Stream};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis_edge_core::{Headers, Host, StreamFact};

const KEY: &str = "sec-websocket-key";
const ACCEPT: &str = "sec-websocket-accept";
const VERSION: &str = "sec-websocket-version";
const PROTOCOL: &str = "sec-websocket-protocol";

impl Pipeline {
    /// Over HTTP/2 a handshake has no key (RFC 8441 section 5), and Envoy sends it to services of HTTP/1.1 without one, who refuse it.
    pub(crate) fn complete_handshake(&self, facts: &mut Facts, host: &dyn Host, ops: &mut HeaderOps) {
        let upgrades = self.route_of(facts).is_some_and(|route| !route.upgrades.is_empty());
        let headers = &facts.head.headers;
        let is_handshake =
            || headers.first("upgrade").is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"));
        if !upgrades || headers.first(KEY).is_some() || !is_handshake() {
            return;
        }
        let has_no_keys =
            |protocol: Vec<u8>| protocol.starts_with(b"HTTP/2") || protocol.starts_with(b"HTTP/3");
        if !host.stream(StreamFact::Protocol).is_some_and(has_no_keys) {
            return;
        }
        ops.set(KEY, BASE64_STANDARD.encode(host.random_16()).as_bytes());
        if headers.first(VERSION).is_none() {
            ops.set(VERSION, b"13");
        }
        facts.keyed = true;
    }
}

/// Whether a request asks for another protocol and announces a body. The proxy hands on what follows the head as part of the new protocol;
/// a service that reads the body first (RFC 9110 section 7.8) finds other boundaries. (`Transfer-Encoding` the proxy removes before.)
pub(crate) fn is_handshake_with_body(headers: &Headers) -> bool {
    let announces = || {
        headers.all("content-length").any(|length| length != b"0")
            || headers.first("transfer-encoding").is_some()
    };
    headers.first("upgrade").is_some() && announces()
}

/// The answer to a handshake: to a key that its client has not sent there is no answer. And a browser ends a connection whose server
/// takes none of the subprotocols that it offered, of which the service has not seen the one before the token.
pub(crate) fn answer_handshake(facts: &mut Facts, status: u16, stream: &mut dyn Stream, ops: &mut HeaderOps) {
    let protocol = facts.token.protocol.take();
    if status != SWITCHING_PROTOCOLS {
        return;
    }
    if facts.keyed {
        ops.remove.push(ACCEPT.as_bytes().to_vec());
    }
    if let Some(protocol) = protocol.filter(|_| stream.response_headers().first(PROTOCOL).is_none()) {
        ops.set(PROTOCOL, protocol.as_bytes());
    }
}
