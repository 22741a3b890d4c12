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
    /// What the client has sent before there was a connection to the upstream: until then nobody reads.
    pub unread: Pipe,
    /// The client has broken off meanwhile.
    pub gone: bool,
    /// So many filters have been told of the connection.
    pub started: usize,
    /// The TCP proxy has its connection to the upstream.
    pub connected: bool,
    pub client: Got,
    /// `None` if there is no connection to it.
    pub upstream: Option<Got>,
    pub over: bool,
}

impl Tcp {
    /// Both halves have been ended, of the client's connection or of the upstream's: what is left is to close.
    pub fn is_through(&self) -> bool {
        let of_client = self.from_client.end && self.client.end;
        let of_upstream =
            self.from_upstream.end && self.upstream.as_ref().is_some_and(|upstream| upstream.end);
        of_client || of_upstream
    }
}
