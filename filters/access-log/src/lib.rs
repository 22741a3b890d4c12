//! The gateway's log lines.
//!
//! One JSON object a line. What a client sent is bytes: text that is no UTF-8 is shown with replacement characters, controls
//! are escaped by JSON, over-long paths and user names are cut, and whatever looks like a token in them is struck out. Addresses
//! arrive here masked.

mod field;
mod json;
mod line;
mod path;
mod section;
mod security;
mod shown;
mod tracing;
mod user;

pub use field::{FieldSource, FieldValue, Form, LogField};
pub use line::{Level, RequestExtra, RequestLine, Trace};
pub use path::{MAX_PATH, as_text, loggable_path};
pub use section::{Logs, RawField, RawLogs, RawRouteShare, RawSampling, RawUsers, Sampling, Share};
pub use security::{ACTIONS, Fact, MAX_TEXT, SecurityExtra, SecurityLine, SecurityRequest, Verdict};
pub use shown::{Users, loggable_text};
pub use tracing::{RawTracing, TRACEPARENT, TRACESTATE, TraceContext, Tracing};
pub use user::{MAX_USER, loggable_user};
