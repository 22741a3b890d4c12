//! What the HTTP clients share.

use std::io;
use std::time::Duration;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the system refused.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The peer closed the connection (or reset it) before its answer was complete; what it sent until then.
    #[error("the connection was closed {}; received so far: {:?}", if *reset { "by a reset" } else { "early" },
        String::from_utf8_lossy(received))]
    Closed {
        /// Whether it was a reset, not an orderly close.
        reset: bool,
        /// What had been received of the answer.
        received: Vec<u8>,
    },
    /// The peer reset the HTTP/2 stream, with this error code (RFC 9113, section 7).
    #[error("the stream was reset with code {0}")]
    StreamReset(u32),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// What was received is not HTTP.
    #[error("not an HTTP answer: {0}")]
    Malformed(String),
    /// The request cannot be expressed in this version of HTTP by this client.
    #[error("this client cannot send such a request: {0}")]
    Unsendable(String),
    /// Any other failure of the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
}
