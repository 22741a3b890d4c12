//! Whether a request comes from the gateway, for the filter in front of a backend.
//!
//! A constant header (`X-Source: gateway`) keeps out what reaches a backend by mistake; anybody inside the network can write it. The
//! *signed* form cannot be written without a secret that gateway and backend share: the gateway adds a second header with the time and
//! an HMAC-SHA256 (RFC 2104) over the time and four headers. It expires, so that one that is overheard is of no
//! use for long, and it vouches for the user and the role that it came with.
//!
//! ```text
//! X-Source-Signature: t=1795000000;v1=<base64url of HMAC-SHA256(secret, message)>
//! message = "v1\n" t "\n" X-Source "\n" X-Request-ID "\n" X-User-ID "\n" X-User-Role
//! ```

pub mod metrics;
mod section;
mod sign;
mod verify;

pub use section::{RawRequire, RawRequiredSignature, RawSign, RawSourceCheck, SourceCheck};
pub use sign::{Claims, Signer};
pub use verify::{INVALID_SOURCE, Required, Wrong};
