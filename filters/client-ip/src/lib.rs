//! Who the client is.
//!
//! The address comes from the right end of `X-Forwarded-For`, as far as proxies of ours have written it, never from the left end, which
//! the client writes. One client has one key: IPv4-mapped addresses count as IPv4, IPv6 counts by prefix, ports and scopes are dropped.

mod address;
mod policy;

pub use address::ClientIp;
pub use policy::{ClientIpPolicy, RawClientIp, Sender};
