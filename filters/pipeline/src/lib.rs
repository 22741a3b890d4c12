//! What happens to a request, in order.
//!
//! [`Pipeline::on_request`] turns a request into [`Facts`] and one [`Step`]; the stages look at it in the order of [`Stage`], and a request
//! that had to wait goes on where it stopped ([`Pipeline::resume`]). [`Pipeline::on_response`] gives every answer its headers;
//! [`Pipeline::on_done`] turns the facts into one [`Record`], from which metrics and the log line are made.
//! No proxy is known here: the `gateway` crate runs this in one, the command line and the tests run it natively.

mod answers;
mod auth_observation;
mod body;
mod business;
mod calls;
mod done;
mod ending;
mod facts;
mod findings;
mod give_back;
mod grpc;
mod guard;
mod guard_events;
mod guard_metrics;
mod health;
mod lines;
mod login;
mod metrics;
mod observation;
mod ops;
mod order;
mod own_pages;
mod pages;
mod path;
mod request;
mod request_id;
mod response;
mod rules;
mod source;
mod stream;
mod token;
mod trace;
mod waiting;
mod websocket;
mod worker;

pub use body::LocalReply;
pub use calls::Taken;
pub use done::Record;
pub use facts::{Facts, Page, Target};
pub use findings::FindingsSlot;
pub use guard::{GuardSlot, Guards};
pub use guard_metrics::{GuardObservation, ShadowRefusal, Suspicion};
pub use health::{DropReason, HealthMetrics, LineCounts, LineKind, VERSION, instance_of, rejections_stat};
pub use lines::LineState;
pub use login::LOGIN_ROOM;
pub use metrics::{GatewayMetrics, RequestMetrics, STAGES, families, labels};
pub use observation::{AuthObservation, Observation, ProxyError};
pub use ops::HeaderOps;
pub use order::Stage;
pub use pages::{Pages, Reader};
pub use portcullis_business::Side;
pub use portcullis_policy::{BUSINESS, GUARDS, TOKENS};
pub use request::{Event, Step};
pub use response::ResponseStep;
pub use rules::RulesSlot;
pub use stream::Stream;
pub use token::{Bearer, TokenSlot};
pub use trace::{Entry, Trace};
pub use waiting::{Asked, Asker, Places, Waiting};
pub use worker::Worker;

use core::cell::Cell;
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::Namespace;
use portcullis_jwt::{Jwt, Tokens};
use portcullis_policy::{ConfigError, Policy};
use std::rc::Rc;

/// How many requests of a worker may wait for the fleet's rate limit service at once.
const WAITING_FOR_FLEET: usize = 1024;

/// A compiled policy, ready to judge requests.
pub struct Pipeline {
    policy: Policy,
    /// The policy's section `jwt`.
    jwt: Option<Rc<Jwt>>,
    /// Built to see whether there is room for every series; the first who asks takes them, so that a start builds them once.
    first_metrics: Cell<Option<GatewayMetrics>>,
}

impl Pipeline {
    /// Parses and compiles a policy: all of it or nothing.
    ///
    /// # Errors
    /// Every mistake in it, each with its place.
    pub fn compile(json: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let pipeline = Policy::from_json(json).map(Self::new)?;
        pipeline.first_metrics.set(Some(pipeline.metrics().map_err(|error| vec![error])?));
        Ok(pipeline)
    }

    /// The metrics of one VM.
    ///
    /// # Errors
    /// When `metrics.max_series` is too small for this policy.
    pub fn metrics(&self) -> Result<GatewayMetrics, ConfigError> {
        self.first_metrics.take().map_or_else(|| GatewayMetrics::build(&self.policy), Ok)
    }

    /// The pipeline of a policy.
    #[must_use]
    pub fn new(mut policy: Policy) -> Self {
        let jwt = policy.jwt.take().map(Rc::new);
        Self { policy, jwt, first_metrics: Cell::new(None) }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Keeps this instance's shared data and stats apart from those of others in the same proxy.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        Namespace::new(&self.policy.gateway.instance)
    }

    /// What a worker begins with. `number` tells it from the proxy's other workers, under this policy and the next.
    #[must_use]
    pub fn worker(&self, number: u32) -> Worker {
        let namespace = self.namespace();
        let guards = Guards::new(&self.policy, &namespace, number);
        let tokens = self.jwt.clone().map(|jwt| Tokens::in_namespace(jwt, &namespace));
        Worker { tokens, guards, lines: LineState::default() }
    }

    /// How many requests of a worker may wait at once.
    #[must_use]
    pub fn places(&self) -> Places {
        let fleet = if self.policy.limits.has_fleet() { WAITING_FOR_FLEET } else { 0 };
        let of =
            |jwt: &Rc<Jwt>| Places { total: jwt.max_waiting(), per_client: jwt.max_waiting_per_client() };
        let places = self.jwt.as_ref().map_or(Places { total: 0, per_client: 0 }, of);
        Places { total: places.total.max(fleet), per_client: places.per_client.max(fleet) }
    }

    /// The network under which a client's requests wait.
    #[must_use]
    pub fn client_network(&self, facts: &Facts) -> ClientIp {
        self.policy.client_ip.network(facts.client)
    }

    /// Whether [`Pipeline::on_request`] needs the peer's address.
    #[must_use]
    pub fn needs_peer(&self) -> bool {
        !self.policy.proxy.appends_peer
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod access_tests;
#[cfg(test)]
mod business_tests;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod caller_tests;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod count_tests;
#[cfg(test)]
mod done_tests;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod findings_tests;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod guard_tests;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod hardening_tests;
#[cfg(test)]
mod lab;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod line_tests;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod response_tests;
#[cfg(test)]
mod suspicion_tests;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod token_tests;
#[cfg(test)]
mod websocket_tests;
