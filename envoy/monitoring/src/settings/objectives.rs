//! What is promised.

use super::shown;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use portcullis_policy::Policy;
use schemars::JsonSchema;

/// Objectives: shares of good events, or of good time, in per cent and below 100.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Objectives {
    /// Requests that do not end in a 5xx (default 99.9).
    #[deserr(default = Objectives::default().availability_percent)]
    pub availability_percent: f64,
    /// Requests to services that are answered within 200 ms (default 95).
    #[deserr(default = Objectives::default().latency_percent)]
    pub latency_percent: f64,
    /// Requests that end in no error but those that are a client's own doing or a guard's (default 99): 401, 403, 404, 409, 422 and 429 are
    /// not counted as errors.
    #[deserr(default = Objectives::default().errors_percent)]
    pub errors_percent: f64,
    /// Time during which less than 70 % of the processors' time is used (default 99).
    #[deserr(default = Objectives::default().cpu_percent)]
    pub cpu_percent: f64,
    /// Time during which less than 70 % of the memory is used (default 99).
    #[deserr(default = Objectives::default().memory_percent)]
    pub memory_percent: f64,
    /// Tokens that are good, of those that were sent (default 98).
    #[deserr(default = Objectives::default().authentication_percent)]
    pub authentication_percent: f64,
    /// Requests with a route that a service answered (default 99.9).
    #[deserr(default = Objectives::default().routing_percent)]
    pub routing_percent: f64,
    /// Calls to the auth service that take at most 100 ms (default 99).
    #[deserr(default = Objectives::default().auth_calls_percent)]
    pub auth_calls_percent: f64,
    /// Time during which every circuit breaker is closed (default 99).
    #[deserr(default = Objectives::default().breakers_percent)]
    pub breakers_percent: f64,
    /// Orders that were created, of those that were sent (default 99).
    #[deserr(default = Objectives::default().orders_percent)]
    pub orders_percent: f64,
    /// Events in a window below which no burn-rate alert fires (default 100): three errors among ten requests of a quiet night call nobody.
    #[deserr(default = Objectives::default().least_events)]
    pub least_events: u32,
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            availability_percent: 99.9,
            latency_percent: 95.0,
            errors_percent: 99.0,
            cpu_percent: 99.0,
            memory_percent: 99.0,
            authentication_percent: 98.0,
            routing_percent: 99.9,
            auth_calls_percent: 99.0,
            breakers_percent: 99.0,
            orders_percent: 99.0,
            least_events: 100,
        }
    }
}

impl Objectives {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let all = [
            ("availability_percent", self.availability_percent),
            ("latency_percent", self.latency_percent),
            ("errors_percent", self.errors_percent),
            ("cpu_percent", self.cpu_percent),
            ("memory_percent", self.memory_percent),
            ("authentication_percent", self.authentication_percent),
            ("routing_percent", self.routing_percent),
            ("auth_calls_percent", self.auth_calls_percent),
            ("breakers_percent", self.breakers_percent),
            ("orders_percent", self.orders_percent),
        ];
        let is_good = |percent: f64| (50.0..=99.999).contains(&percent);
        let wrong = all.into_iter().filter(|(_, percent)| !is_good(*percent));
        let expected = "a share from 50 to 99.999 (100 leaves no error budget to watch)";
        wrong.map(|(name, percent)| at.key(name).error(format!("`{percent}`"), expected)).collect()
    }
}

/// Which business events of the policy say how orders went.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Orders {
    /// Events that are an order which went through.
    pub created: Vec<String>,
    /// Events that are one which did not.
    pub refused: Vec<String>,
}

impl Orders {
    pub(super) fn mistakes_with(&self, policy: &Policy, at: &Node) -> Vec<ConfigError> {
        let known: Vec<&str> = policy.business.names().collect();
        let named = [("created", &self.created), ("refused", &self.refused)];
        let all = named.iter().flat_map(|(field, names)| {
            let at = at.key(field);
            names.iter().enumerate().map(move |(index, name)| (at.index(index), name))
        });
        all.filter(|(_, name)| !known.contains(&name.as_str()))
            .map(|(at, name)| {
                at.error(shown(name), "an event under `business.events` of the policy")
                    .near(name, known.iter().copied())
            })
            .collect()
    }
}
