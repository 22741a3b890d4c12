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
