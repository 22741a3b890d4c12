//! What the gateway refuses, as values. One exhaustive match turns each reason into its answer.

/// Why a request does not reach a service.
///
/// A denial is not an error: it is the outcome a policy asked for, or the only safe one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// The path cannot be normalised without two readers disagreeing about it.
    MalformedPath,
    /// The request is not one that this gateway can route at all (no `:path`, CONNECT, an unreadable header map).
    MalformedRequest,
    /// No route has this method and path.
    NoRoute,
    /// A browser asks, for a page of an origin that the policy does not name, whether it may call.
    OriginNotAllowed,
    /// The service behind the route did not take the request.
    ServiceUnavailable,
    /// The service took the request and did not answer in time.
    ServiceTimeout,
    /// The request, or a part of it, is larger than the gateway takes.
    TooLarge,
    /// The token is missing or bad.
    BadToken(Because),
    /// The token may be good: what tells so cannot be had now.
    TokenUnknown(Because),
    /// The bearer of the token, or the client, may not do this.
    Forbidden(Because),
}

/// A stage's own reason for a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Because {
    /// As a label and log value.
    pub reason: &'static str,
    /// The sentence for the client. Never internals.
    pub message: &'static str,
}

/// How a reason is told to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The machine-readable code of the error body.
    pub code: &'static str,
    /// The sentence for people. Never internals.
    pub message: &'static str,
    /// `grpc-status` for gRPC clients (google.rpc.Code).
    pub grpc_status: i32,
}

const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

impl DenyReason {
    /// The answer for this reason.
    #[must_use]
    pub const fn answer(self) -> Answer {
        let (status, code, message, grpc_status) = match self {
            Self::MalformedPath => (400, "REQ_001", "The request path is not acceptable", INVALID_ARGUMENT),
            Self::MalformedRequest => (400, "REQ_001", "The request is malformed", INVALID_ARGUMENT),
            Self::TooLarge => (413, "REQ_002", "The request is too large", RESOURCE_EXHAUSTED),
            Self::OriginNotAllowed => {
                (403, "CORS_001", "This origin may not call the gateway", PERMISSION_DENIED)
            }
            Self::NoRoute => (404, "SVC_001", "No such route", UNIMPLEMENTED),
            Self::ServiceUnavailable => (503, "SVC_001", "The service is unavailable", UNAVAILABLE),
            Self::ServiceTimeout => (504, "SVC_001", "The service did not answer in time", DEADLINE_EXCEEDED),
            Self::BadToken(because) => (401, "AUTH_001", because.message, UNAUTHENTICATED),
            Self::TokenUnknown(because) => (503, "SVC_001", because.message, UNAVAILABLE),
            Self::Forbidden(because) => (403, "PERM_001", because.message, PERMISSION_DENIED),
        };
        Answer { status, code, message, grpc_status }
    }

    /// The reason as a label and log value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedPath => "malformed_path",
            Self::MalformedRequest => "malformed_request",
            Self::NoRoute => "no_route",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::ServiceUnavailable => "service_unavailable",
            Self::ServiceTimeout => "service_timeout",
            Self::TooLarge => "too_large",
            Self::BadToken(because) | Self::TokenUnknown(because) | Self::Forbidden(because) => {
                because.reason
            }
        }
    }
}
