//! The gateway's log lines.
//!
//! One JSON object a line. What a client sent is bytes: text that is no UTF-8 is shown with replacement characters, controls
//! are escaped by JSON, over-long paths and user names are cut, and whatever looks like a token in them is struck out. Addresses
//! arrive here masked.

mod json;
mod line;
mod path;
mod security;
mod user;

pub use line::{Level, RequestExtra, RequestLine};
pub use path::{MAX_PATH, as_text, loggable_path};
pub use security::{Fact, MAX_TEXT, SecurityExtra, SecurityLine, SecurityRequest, Verdict};
pub use user::{MAX_USER, loggable_user};
