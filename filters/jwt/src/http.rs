use core::time::Duration;

/// A request that the host should make, and answer with an id.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// The Envoy cluster.
    pub cluster: String,
    /// All headers, `:method`, `:authority` and `:path` included.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for a GET.
    pub body: Vec<u8>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// Shows where it goes and not what it carries: that may be a token or a client secret.
impl core::fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HttpCall(to {}, {} bytes)", self.cluster, self.body.len())
    }
}

/// How a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallError {
    /// It could not be sent (no such cluster).
    NotSent,
    /// The connection broke.
    Reset,
    /// No answer in time.
    Timeout,
}
