//! The host's functions, each behind a `Result`.
//!
//! The SDK's own wrappers panic on statuses they do not expect, and one panic takes down every stream of a worker; these
//! return the status instead. Whatever a host hands over comes as bytes.

mod abi;
mod headers;
mod metrics;
mod misc;
mod shared;

pub use headers::{Map, close_stream, header, headers, remove_header, replace_body, send_reply, set_header};
pub use metrics::{define_counter, increment, read_metric};
pub use misc::{configuration, log, now, property, random_16, set_property};
pub use shared::{shared, swap_shared};

/// A host call did not succeed; the host's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

impl HostError {
    /// What was asked for does not exist.
    pub const NOT_FOUND: Self = Self(1);
}

fn check(status: u32) -> Result<(), HostError> {
    if status == 0 { Ok(()) } else { Err(HostError(status)) }
}
