//! Handshakes of WebSockets over HTTP/2, which have no key.

use crate::lab::{Gateway, StreamInfo, forwarded, set};
use portcullis_edge_core::StreamFact;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn gateway(protocol: &[u8]) -> Gateway {
    let gateway = Gateway::new(json!({ "routes": [
        { "path": "/feed", "methods": ["GET"], "service": "order", "upgrades": ["websocket"] },
        { "path": "/orders", "methods": ["GET"], "service": "order" }] }));
    gateway.host.set_stream(StreamFact::Protocol, protocol);
    gateway
}

const UPGRADE: (&str, &[u8]) = ("upgrade", b"WebSocket");
const KEY: (&str, &[u8]) = ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==");
const VERSION: (&str, &[u8]) = ("sec-websocket-version", b"8");
const ACCEPT: &[u8] = b"sec-websocket-accept";

#[test]
fn a_handshake_without_a_key_is_given_one_where_its_protocol_has_none() {
    for (protocol, path, headers, is_given) in [
        (&b"HTTP/2"[..], "/feed", &[UPGRADE][..], true),
        (b"HTTP/3", "/feed", &[UPGRADE], true),
        (b"HTTP/1.1", "/feed", &[UPGRADE], false),
        (b"HTTP/2", "/feed", &[UPGRADE, KEY], false),
        (b"HTTP/2", "/feed", &[("upgrade", b"h2c")], false),
        (b"HTTP/2", "/feed", &[], false),
        (b"HTTP/2", "/orders", &[UPGRADE], false),
    ] {
        let mut gateway = gateway(protocol);
        let (mut facts, step) = gateway.ask("GET", path, headers);
        let ops = forwarded(step);
        let case = format!("{} {path} {headers:?}", protocol.escape_ascii());
        let (key, version) = (set(&ops.set, KEY.0), set(&ops.set, VERSION.0));
        assert_eq!(key.map(str::len), is_given.then_some(24), "{case}");
        assert_eq!(version, is_given.then_some("13"), "{case}");
        // To a key that its client has not sent there is no answer.
        let answer = gateway.answer(&mut facts, 101, &mut StreamInfo::by_service());
        assert_eq!(answer.ops.remove.iter().any(|name| name == ACCEPT), is_given, "{case}");
    }
}

#[test]
fn each_handshake_has_a_key_of_its_own_and_the_version_that_its_client_named() {
    let mut gateway = gateway(b"HTTP/2");
    let mut sent = || forwarded(gateway.ask("GET", "/feed", &[UPGRADE, VERSION]).1);
    let (one, two) = (sent(), sent());
    assert!(set(&one.set, KEY.0).is_some() && set(&one.set, KEY.0) != set(&two.set, KEY.0));
    assert_eq!(set(&one.set, VERSION.0), None, "it stands already");
}

#[test]
fn an_answer_that_opens_no_web_socket_is_left_as_it_is() {
    let mut gateway = gateway(b"HTTP/2");
    let (mut facts, _) = gateway.ask("GET", "/feed", &[UPGRADE]);
    let answer = gateway.answer(&mut facts, 200, &mut StreamInfo::by_service());
    assert!(!answer.ops.remove.iter().any(|name| name == ACCEPT));
}
