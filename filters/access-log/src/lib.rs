//! The gateway's log lines.
//!
//! One JSON object a line. What a client sent is bytes: text that is no UTF-8 is shown with replacement characters, controls
//! are escaped by JSON, over-long paths are cut, and a path segment that looks like a token is struck out. Addresses arrive
//! here masked.

mod json;
mod line;
mod path;

pub use line::{Level, RequestExtra, RequestLine};
pub use path::{MAX_PATH, loggable_path};
