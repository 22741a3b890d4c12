//! What is seen of a request, for the metrics.

use portcullis_jwt::TokenError;
use portcullis_metrics::{
    About, Axis, Domain, Endpoint, Exemplar, OTHER, Served, Service, Values, Vocabulary, is_status, labels,
};
use std::borrow::Cow;

labels! {
    /// `invalid_endpoint` where no route has that host, method and path, `invalid_path` where the path cannot be read in one way only,
    /// `invalid_request` where a request is not one; `service_unavailable` and `service_timeout` where the service gave no answer, or its
    /// breaker is open
    pub enum RoutingError {
        InvalidEndpoint = "invalid_endpoint",
        InvalidPath = "invalid_path",
        InvalidRequest = "invalid_request",
        ServiceUnavailable = "service_unavailable",
        ServiceTimeout = "service_timeout",
    }
}

/// What went wrong between gateway and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The service gave no answer, or not all of it: refused, reset, timed out, no healthy host.
    RequestFailed,
    /// The service answered with this 5xx.
    Status(u16),
}

/// The place of `request_failed` among the numbers of statuses, which it is none of.
const REQUEST_FAILED: u16 = 1;

impl Domain for ProxyError {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "`request_failed` where the service gave no (whole) answer: refused, reset, timed out, no healthy host; else the \
            5xx that it answered with",
        values: Values::Open,
    };

    fn axis(vocabulary: &Vocabulary) -> Axis {
        let statuses = vocabulary.statuses().iter().copied().filter(|status| *status >= 500);
        let texts = statuses.clone().map(|status| Cow::from(status.to_string()));
        let texts = [Cow::from("request_failed")].into_iter().chain(texts).chain([Cow::from(OTHER)]);
        Axis::of(texts).with_codes([REQUEST_FAILED].into_iter().chain(statuses).chain([0]).collect())
    }

    fn place(value: &Self, axis: &Axis) -> Option<usize> {
        match value {
            Self::RequestFailed => axis.place_of(REQUEST_FAILED),
            Self::Status(status) => axis.place_of(*status),
        }
    }

    fn text<'v>(value: &'v Self) -> Option<Cow<'v, str>> {
        match value {
            Self::RequestFailed => None,
            Self::Status(status) => Some(status.to_string().into()),
        }
    }

    fn admits(text: &str) -> bool {
        is_status(text, 500)
    }
}

/// One finished request, as the metrics see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What its path is counted under.
    pub endpoint: Endpoint,
    /// Status the client got; 499 if it left before.
    pub status: u16,
    /// From the first byte of the request to the last of the answer, in microseconds.
    pub micros: u64,
    /// What of this the service took, from the first byte sent to it to the last of its answer, in microseconds; nothing where no service
    /// answered.
    pub upstream_micros: Option<u64>,
    /// The trace that it belongs to, where requests are traced.
    pub exemplar: Option<Exemplar>,
    /// The service that the request was sent to, if it was.
    pub service: Option<(Service, Served)>,
    /// What went wrong between gateway and this service, if something did; also where a breaker kept the request from it.
    pub proxy_error: Option<(Service, ProxyError)>,
    /// Why the request got no answer of a service that its route would have given it.
    pub routing_error: Option<RoutingError>,
}

/// What became of one request's token: a request to a route that looks for one, or whose answer makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthObservation {
    /// Whether the route looks for a token.
    pub looked: bool,
    /// Index of the place where the token was; `None` if there was no token.
    pub source: Option<usize>,
    /// What the check said; `None` where no token was needed and none came.
    pub token: Option<Result<(), TokenError>>,
    /// The provider (by index) whose limit on trying keys refused the token.
    pub budget_exhausted: Option<usize>,
    /// Whether the token says who its bearer is; `None` if that was not looked for. The same for the next two.
    pub user: Option<bool>,
    /// Whether it says the bearer's role.
    pub role: Option<bool>,
    /// Whether the bearer may do this.
    pub permission: Option<bool>,
    /// Whether a refusal of the token has no effect, because its check is in shadow mode.
    pub shadow: bool,
    /// Whether a refusal of the permission has none, because the rules are.
    pub shadow_permission: bool,
    /// What the check of the token took, in microseconds, without waiting for keys.
    pub validation_micros: Option<u64>,
    /// What reading user, role and permissions took, in microseconds.
    pub context_micros: Option<u64>,
    /// Whether the login route's answer made a token; `None` on other routes.
    pub created: Option<bool>,
}
