//! What the gateway refuses, as values. A stage declares its reasons; one exhaustive match turns the class of a reason into its answer.

use crate::Wall;
use core::time::Duration;

/// The kind of a denial: what a client can do about it, and so its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request is not one that can be understood safely.
    Malformed,
    /// The request, or a part of it, is larger than the gateway takes.
    TooLarge,
    /// A browser asks for a page of an origin that the policy does not name.
    OriginNotAllowed,
    /// No route has this host, method and path.
    NoRoute,
    /// A token is missing or bad (RFC 6750 section 3.1).
    Unauthenticated,
    /// The client is known, and may not do this.
    PermissionDenied,
    /// The client's address is blocked.
    Blocked,
    /// A limit was reached.
    RateLimited,
    /// The service, or what the gateway needs to decide, cannot be had now.
    Unavailable,
    /// The service did not answer in time.
    Timeout,
}

/// How a class of reasons is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The machine-readable code of the error body.
    pub code: &'static str,
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

impl Class {
    /// The answer for this class.
    #[must_use]
    pub const fn answer(self) -> Answer {
        let (status, code, grpc_status) = match self {
            Self::Malformed => (400, "REQ_001", INVALID_ARGUMENT),
            Self::TooLarge => (413, "REQ_002", RESOURCE_EXHAUSTED),
            Self::OriginNotAllowed => (403, "CORS_001", PERMISSION_DENIED),
            Self::NoRoute => (404, "SVC_001", UNIMPLEMENTED),
            Self::Unauthenticated => (401, "AUTH_001", UNAUTHENTICATED),
            Self::PermissionDenied => (403, "PERM_001", PERMISSION_DENIED),
            Self::Blocked => (403, "AUTH_004", PERMISSION_DENIED),
            Self::RateLimited => (429, "RATE_001", RESOURCE_EXHAUSTED),
            Self::Unavailable => (503, "SVC_001", UNAVAILABLE),
            Self::Timeout => (504, "SVC_001", DEADLINE_EXCEEDED),
        };
        Answer { status, code, grpc_status }
    }
}

/// Why a stage denies a request. Each stage declares its own as constants, and lists them all for docs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason {
    /// As a label and log value.
    pub name: &'static str,
    /// What kind it is.
    pub class: Class,
    /// The sentence for the client. Never internals.
    pub message: &'static str,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub const fn new(name: &'static str, class: Class, message: &'static str) -> Self {
        Self { name, class, message }
    }

    /// The answer of its class.
    #[must_use]
    pub const fn answer(self) -> Answer {
        self.class.answer()
    }

    /// The path cannot be normalised without two readers disagreeing about it.
    pub const MALFORMED_PATH: Self =
        Self::new("malformed_path", Class::Malformed, "The request path is not acceptable");
    /// The request is not one that this gateway can route at all (no `:path`, CONNECT, an unreadable header map).
    pub const MALFORMED_REQUEST: Self =
        Self::new("malformed_request", Class::Malformed, "The request is malformed");
    /// No route has this method and path.
    pub const NO_ROUTE: Self = Self::new("no_route", Class::NoRoute, "No such route");
    /// A browser asks, for a page of an origin that the policy does not name, whether it may call.
    pub const ORIGIN_NOT_ALLOWED: Self =
        Self::new("origin_not_allowed", Class::OriginNotAllowed, "This origin may not call the gateway");
    /// The service behind the route did not take the request.
    pub const SERVICE_UNAVAILABLE: Self =
        Self::new("service_unavailable", Class::Unavailable, "The service is unavailable");
    /// The service took the request and did not answer in time.
    pub const SERVICE_TIMEOUT: Self =
        Self::new("service_timeout", Class::Timeout, "The service did not answer in time");
    /// The request, or a part of it, is larger than the gateway takes.
    pub const TOO_LARGE: Self = Self::new("too_large", Class::TooLarge, "The request is too large");

    /// The reasons that belong to no stage.
    pub const GENERAL: [Self; 7] = [
        Self::MALFORMED_PATH,
        Self::MALFORMED_REQUEST,
        Self::NO_ROUTE,
        Self::ORIGIN_NOT_ALLOWED,
        Self::SERVICE_UNAVAILABLE,
        Self::SERVICE_TIMEOUT,
        Self::TOO_LARGE,
    ];
}

/// What a limit has left, for the body of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests (or cost units) of the window.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// When all of them are there again.
    pub reset: Wall,
}

/// A request that is not to reach its service: why, and what the client can do about it.
///
/// A denial is not an error: it is the outcome a policy asked for, or the only safe one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// When it is worth trying again (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// Headers of the answer, such as `www-authenticate` or `ratelimit`.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// What the limit that denies has left.
    pub quota: Option<Quota>,
}

impl Denial {
    /// A denial without a remedy.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, retry_after: None, headers: Vec::new(), quota: None }
    }

    /// The same with a header for the answer.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with the time after which to try again.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}
