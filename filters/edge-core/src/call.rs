//! Calls to other servers, as values: who makes them and who hears their answers is the host's business.

use core::fmt;
use core::time::Duration;

/// An HTTP request that the host should make.
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

/// A unary gRPC request that the host should make.
#[derive(Clone, PartialEq, Eq)]
pub struct GrpcCall {
    /// The Envoy cluster.
    pub cluster: String,
    /// Full service name, such as `envoy.service.ratelimit.v3.RateLimitService`.
    pub service: &'static str,
    /// Method name.
    pub method: &'static str,
    /// The protobuf message, without gRPC's own framing.
    pub message: Vec<u8>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// A call of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Over HTTP.
    Http(HttpCall),
    /// Over gRPC.
    Grpc(GrpcCall),
}

/// How a call was answered, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered<'a> {
    /// Status and body of an HTTP response.
    Http(u16, &'a [u8]),
    /// `grpc-status` (0 is OK) and the message, empty unless the status is 0.
    Grpc(u32, &'a [u8]),
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

/// The host's number for a call that it is making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallToken(pub u32);

/// Shows where it goes and not what it carries: that may be a token or a client secret.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCall(to {}, {} bytes)", self.cluster, self.body.len())
    }
}

/// Shows where it goes and not what it carries.
impl fmt::Debug for GrpcCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GrpcCall({}/{} at {}, {} bytes)",
            self.service,
            self.method,
            self.cluster,
            self.message.len()
        )
    }
}
