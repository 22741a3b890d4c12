//! The gateway's own section, and addresses.

use crate::raw::RawGateway;
use portcullis_edge_core::{ConfigError, Node};

pub(crate) fn check(gateway: &RawGateway, at: &Node) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if gateway.name.is_empty() || gateway.name.chars().any(char::is_control) {
        errors.push(at.key("name").error(format!("`{}`", gateway.name.escape_debug()), "a name"));
    }
    for (field, address) in [("listen", &gateway.listen), ("admin", &gateway.admin)] {
        if address.parse::<core::net::SocketAddr>().is_err() {
            let found = format!("`{}`", address.escape_debug());
            errors.push(at.key(field).error(found, "an address and port such as `0.0.0.0:8080`"));
        }
    }
    if !gateway.health_path.starts_with('/') {
        let found = format!("`{}`", gateway.health_path.escape_debug());
        errors.push(at.key("health_path").error(found, "a path that begins with `/`"));
    }
    errors
}

/// `host:port`, apart.
pub(crate) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    let port = port.parse().ok().filter(|p| *p > 0)?;
    is_host.then(|| (host.to_owned(), port))
}
