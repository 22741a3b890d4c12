//! What one instance of the filter found out about a request, for a later one in the same proxy.
//!
//! The earlier instance leaves its [`Findings`] as filter state of the stream: no client can write that, but every other filter of the
//! proxy can. So they are *sealed*: an HMAC-SHA256 (RFC 2104) with a secret of both policies, over the name of the instance and the
//! time at which the stream began, so that those of another instance or stream are refused.
//!
//! ```text
//! value   = "1." base64url(HMAC-SHA256(secret, message)) "." findings
//! message = "portcullis findings 1" LF instance LF length(began) began findings
//! ```
//! `findings` is JSON, `began` what the host says of the stream, its length one byte.

mod findings;
pub mod metrics;
mod seal;
mod section;

pub use findings::{Findings, HandedBearer};
pub use metrics::FindingsResult;
pub use seal::{FINDINGS_UNUSABLE, Publisher, Reader, Unusable};
pub use section::{FindingsPolicy, RawFindings};
