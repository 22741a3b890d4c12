//! A TCP connection: what Envoy's network filters and its TCP proxy know about it, beside what every stream has.

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// What has arrived, and has not passed the filters.
    pub buffer: Vec<u8>,
    /// The sender has sent everything.
    pub end: bool,
}

/// What one end of the connection got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Got {
    pub bytes: Vec<u8>,
    /// The other side has ended its half.
    pub end: bool,
    pub reset: bool,
}

/// Who ended a connection, as `proxy_on_downstream_connection_close` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The proxy.
    Local = 1,
    /// The client.
    Remote = 2,
}

/// The connection.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    pub from_client: Pipe,
    pub from_upstream: Pipe,
    /// So many filters have been told of the connection.
    pub started: usize,
    /// The TCP proxy has its connection to the upstream.
    pub connected: bool,
    /// The end of the client's half has reached the upstream.
    pub request_ended: bool,
    pub client: Got,
    /// `None` if there is no connection to it.
    pub upstream: Option<Got>,
    pub over: bool,
}
