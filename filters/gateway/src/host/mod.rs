//! The host's functions, each behind a `Result`.
//!
//! The SDK's own wrappers panic on statuses they do not expect, and one panic takes down every stream of a worker; these
//! return the status instead. Whatever a host hands over comes as bytes.

mod abi;
mod calls;
mod headers;
mod metrics;
mod misc;
mod shared;

use portcullis_edge_core::HostError;

pub use calls::{body, call, call_back, foreign, grpc_answer, http_answer, switch_to, tick_every};
pub use headers::{
    Map, add_header, close_stream, continue_request, header, headers, remove_header, replace_body,
    send_reply, set_header,
};
pub use metrics::{MetricKind, define_metric, increment, read_metric, set_gauge};
pub use misc::{configuration, log, mono, now, property, random_16, set_property};
pub use shared::{ABSENT, shared, swap_shared};

fn check(status: u32) -> Result<(), HostError> {
    if status == 0 { Ok(()) } else { Err(HostError(status)) }
}
