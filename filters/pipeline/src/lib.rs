//! What happens to a request, in order.
//!
//! [`Pipeline::on_request`] turns a request into [`Facts`] and one [`Step`]; [`Pipeline::on_response`] dresses the answer,
//! whoever gave it; [`Pipeline::on_done`] turns the facts into one [`Record`], from which metrics and the log line are made.
//! There is no host here: the `gateway` crate runs this in a proxy, the command line and the tests run it natively.

mod body;
mod done;
mod facts;
mod grpc;
mod ops;
mod request;
mod request_id;
mod response;
mod stream;

pub use body::LocalReply;
pub use done::Record;
pub use facts::{Facts, Page, Target};
pub use ops::HeaderOps;
pub use request::Step;
pub use response::ResponseStep;
pub use stream::Stream;

use portcullis_policy::{ConfigError, Policy};

/// A compiled policy, ready to judge requests.
pub struct Pipeline {
    policy: Policy,
    /// Index of each route's endpoint among those of the metrics.
    endpoint_of_route: Vec<usize>,
    /// Index of the endpoint `unmatched`.
    unmatched: usize,
}

impl Pipeline {
    /// Parses and compiles a policy: all of it or nothing.
    ///
    /// # Errors
    /// Every mistake in it, each with its place.
    pub fn compile(json: &[u8]) -> Result<Self, Vec<ConfigError>> {
        Policy::from_json(json).map(Self::new)
    }

    /// The pipeline of a policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let endpoints = &policy.catalogue.endpoints;
        let unmatched = endpoints.len().saturating_sub(1);
        let find = |label: &str| endpoints.iter().position(|e| e.label == label).unwrap_or(unmatched);
        let endpoint_of_route = policy.routes.iter().map(|route| find(route.template.as_str())).collect();
        Self { policy, endpoint_of_route, unmatched }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether [`Pipeline::on_request`] wants to be told the peer's address.
    #[must_use]
    pub fn needs_peer(&self) -> bool {
        !self.policy.proxy.appends_peer
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
