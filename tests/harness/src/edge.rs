//! What Envoy's connection manager does to a request before any filter sees it.

use crate::HeaderMap;

/// Headers of one hop; they end here.
const HOP_BY_HOP: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding"];

/// Takes off what belongs to the connection, and adds what Envoy tells filters and upstreams of the client. An upgrade keeps
/// its `connection`.
pub(crate) fn receive(headers: &mut HeaderMap, peer: &str, own_address: Option<&str>) {
    let upgrades = headers.contains("upgrade");
    for name in HOP_BY_HOP.iter().filter(|name| !(upgrades && **name == "connection")) {
        headers.remove(name.as_bytes());
    }
    if headers.contains("te") {
        let trailers =
            headers.text("te").is_some_and(|te| te.split(',').any(|coding| coding.trim() == "trailers"));
        match trailers {
            true => headers.change(b"te", b"trailers"),
            false => headers.remove(b"te"),
        }
    }
    let address = peer.rsplit_once(':').map_or(peer, |(address, _)| address);
    if let Some(own_address) = own_address {
        let told = if address == "127.0.0.1" { own_address } else { address };
        headers.add(b"x-forwarded-for", told.as_bytes());
        headers.remove(b"x-forwarded-proto");
        headers.remove(b"x-request-id");
        headers.remove(b"x-envoy-internal");
    }
    if !headers.contains("x-forwarded-proto") {
        headers.add(b"x-forwarded-proto", b"http");
    }
    if own_address.is_some() {
        headers.set(b"x-envoy-external-address", address.as_bytes());
    }
}
