//! Addresses that the proxy listens on: each once.

use crate::raw::RawGateway;
use core::net::SocketAddr;
use portcullis_edge_core::{ConfigError, Node};

/// Every address that takes what an earlier one has already. Port 0 is any that is free.
pub(crate) fn check(gateway: &RawGateway, metrics: &str) -> Vec<ConfigError> {
    let at = Node::top().key("gateway");
    let redirect = gateway.tls.as_ref().and_then(|tls| tls.redirect_from.as_deref());
    let own = [(at.key("listen"), gateway.listen.as_str()), (at.key("admin"), gateway.admin.as_str())];
    let redirect = redirect.map(|from| (at.key("tls").key("redirect_from"), from));
    let metrics = [(Node::top().key("metrics").key("listen"), metrics)];
    let all: Vec<_> = own.into_iter().chain(redirect).chain(metrics).collect();
    let taken = |(place, (at, address)): (usize, &(Node, &str))| {
        let (other, _) = all.iter().take(place).find(|(_, earlier)| is_one(earlier, address))?;
        let found = format!("`{address}`, which is `{other}` too");
        Some(at.error(found, "an address or a port of its own"))
    };
    all.iter().enumerate().filter_map(taken).collect()
}

/// Whether both cannot be listened on. What is no address is a mistake of its own.
fn is_one(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (one.parse::<SocketAddr>(), other.parse::<SocketAddr>()) else { return false };
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same_host = one.ip() == other.ip() || is_any && one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && is_same_host
}
