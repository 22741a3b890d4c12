//! Envoy's connection manager, in front of the filters: what it refuses, what it takes from a request, what it adds.

use super::{Listener, Refusal};
use crate::HeaderMap;
use crate::headers::ROUTER_HEADERS;

/// Headers by which Envoys talk to each other, beside those to a router: nobody from outside may send them. (No address is inside, by
/// default.)
const INTERNAL: [&str; 7] = [
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-ip-tags",
    "x-envoy-original-url",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "proxy-connection",
];
/// What else an Envoy at the edge takes away.
const INTERNAL_AT_THE_EDGE: [&str; 5] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-original-host",
    "x-envoy-original-path",
];

/// Checks a request, and makes of its headers what filters see.
pub(super) fn receive(headers: &mut HeaderMap, listener: &Listener<'_>) -> Result<(), Refusal> {
    check(headers)?;
    let upgrades = headers.contains("upgrade");
    ["keep-alive", "transfer-encoding"].iter().for_each(|name| headers.remove(name.as_bytes()));
    if !upgrades {
        headers.remove(b"connection");
    }
    if headers.get("expect").is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue")) {
        headers.remove(b"expect");
    }
    check_te(headers);
    check_referer(headers);
    INTERNAL.iter().chain(&ROUTER_HEADERS).for_each(|name| headers.remove(name.as_bytes()));
    headers.remove(b"x-envoy-internal");
    tell_address(headers, listener);
    match upgrades {
        true => Err(Refusal { is_routed: true, ..Refusal::by_manager(403, "upgrade_failed", true) }),
        false => Ok(()),
    }
}

/// What is refused before anything is changed.
fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains(":authority") {
        return Err(Refusal::by_manager(400, "missing_host_header", true));
    }
    let method = headers.get(":method").unwrap_or_default();
    let path = headers.get(":path").unwrap_or_default();
    if method != b"CONNECT" && !path.starts_with(b"/") {
        return Err(Refusal::by_manager(404, "absolute_path_rejected", false));
    }
    if path.contains(&b'#') {
        return Err(Refusal::by_manager(400, "path_normalization_failed", true));
    }
    if method == b"QUERY" && !headers.contains("content-type") {
        return Err(Refusal::by_manager(400, "query_missing_content_type", true));
    }
    Ok(())
}

/// Of the codings that a client takes, only trailers are of use to those behind.
fn check_te(headers: &mut HeaderMap) {
    let Some(te) = headers.text("te").filter(|te| !te.is_empty()) else { return };
    match te.split(',').any(|coding| coding.trim() == "trailers") {
        true => headers.change(b"te", b"trailers"),
        false => headers.remove(b"te"),
    }
}

/// A `referer` has no fragment (RFC 9110, section 10.1.3), no space, and is one.
fn check_referer(headers: &mut HeaderMap) {
    let good = |referer: &[u8]| match referer.strip_prefix(b"http://") {
        Some(rest) => !rest.is_empty() && !rest.iter().any(|byte| b"# ,".contains(byte)),
        None => !referer.iter().any(|byte| b"# ".contains(byte)),
    };
    if headers.get("referer").is_some_and(|referer| !good(referer)) {
        headers.remove(b"referer");
    }
}

/// Who asks, by which way, and under which id.
fn tell_address(headers: &mut HeaderMap, listener: &Listener<'_>) {
    let address = address(listener.peer);
    let scheme: &[u8] = if listener.is_tls { b"https" } else { b"http" };
    if let Some(own_address) = listener.own_address {
        INTERNAL_AT_THE_EDGE.iter().for_each(|name| headers.remove(name.as_bytes()));
        // Other addresses of 127.0.0.0/8 are not taken for the machine's own.
        let loopback = ["127.0.0.1", "::1"].contains(&address);
        headers.add(b"x-forwarded-for", if loopback { own_address } else { address }.as_bytes());
        put(headers, b"x-forwarded-proto", scheme);
    } else if !headers.contains("x-forwarded-proto") {
        headers.add(b"x-forwarded-proto", scheme);
    }
    let scheme = headers.text("x-forwarded-proto").unwrap_or_default().to_ascii_lowercase();
    match (headers.contains(":scheme"), scheme.as_str()) {
        (false, "https") => headers.add(b":scheme", b"https"),
        (false, _) => headers.add(b":scheme", b"http"),
        (true, _) => {}
    }
    if listener.own_address.is_some() {
        put(headers, b"x-envoy-external-address", address.as_bytes());
        put(headers, b"x-request-id", listener.request_id.as_bytes());
    } else if !headers.contains("x-request-id") {
        headers.add(b"x-request-id", listener.request_id.as_bytes());
    }
}

/// Changes a header where it stands, or adds it.
fn put(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    match headers.contains(name) {
        true => headers.change(name, value),
        false => headers.add(name, value),
    }
}

/// An address without its port; IPv6 loses its brackets.
fn address(peer: &str) -> &str {
    let address = peer.rsplit_once(':').map_or(peer, |(address, _)| address);
    address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address)
}
