//! Addresses as a policy writes them.

use portcullis_edge_core::{ConfigError, Node};

/// `host:port`, apart.
pub(crate) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    let port = port.parse().ok().filter(|p| *p > 0)?;
    is_host.then(|| (host.to_owned(), port))
}

/// The same, or the mistake that stands at `at`.
pub(crate) fn read(address: &str, at: &Node) -> Result<(String, u16), ConfigError> {
    host_and_port(address).ok_or_else(|| {
        let found = format!("`{}`", address.escape_debug());
        at.error(found, "`host:port`, such as `orders.shop.svc:8002`")
    })
}
