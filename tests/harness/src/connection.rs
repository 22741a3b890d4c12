//! TCP connections, as tests see them.

use crate::stream::StreamRef;
use crate::stream::tcp::{Got, Tcp};

/// A TCP connection that a client has opened: `Proxy::connect`.
pub struct ConnectionHandle(pub(crate) StreamRef);

/// What one end of a connection has got so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// All bytes, in order.
    pub bytes: Vec<u8>,
    /// The other side has ended its half of the connection.
    pub ended: bool,
    /// The connection was reset.
    pub reset: bool,
}

/// What has become of a TCP connection so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOutcome {
    /// What the client got.
    pub client: Side,
    /// What the upstream got; `None` if it never saw a connection.
    pub upstream: Option<Side>,
    /// The proxy is done with it.
    pub closed: bool,
}

impl ConnectionOutcome {
    pub(crate) fn of(tcp: &Tcp) -> Self {
        Self { client: side(&tcp.client), upstream: tcp.upstream.as_ref().map(side), closed: tcp.over }
    }
}

fn side(got: &Got) -> Side {
    Side { bytes: got.bytes.clone(), ended: got.end, reset: got.reset }
}
