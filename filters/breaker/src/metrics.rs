//! What is counted of breakers.

use crate::{Breakers, State};
use portcullis_metrics::{Condition, Vocabulary, label_values, metrics, policy_labels};
use std::borrow::Cow;

/// Where there are breakers.
pub static BREAKERS: Condition = Condition("the policy has a section `breakers`");

/// Where tokens are asked about at a service that has a breaker.
pub static AUTH_BREAKER: Condition =
    Condition("a provider has `introspection` at one of `services` that has a breaker");

policy_labels! {
    /// a service that has a breaker
    pub struct Guarded;
}

label_values! {
    State,
    "the state that it changed to",
    [(State::Closed, "closed"), (State::Open, "open"), (State::HalfOpen, "half_open")]
}

metrics! {
    /// What is counted of breakers.
    pub struct BreakerMetrics {
        /// State of the service's circuit breaker: 0 closed, 1 open, 2 half-open.
        gateway_circuit_breaker_state: Gauge { service: Guarded },
            when BREAKERS, promql "max by (service) (gateway_circuit_breaker_state) == 1";
        /// State of the auth service's circuit breaker: 0 closed, 1 open, 2 half-open; the worst of several auth services.
        auth_circuit_breaker_state: Gauge {},
            when AUTH_BREAKER, promql "max(auth_circuit_breaker_state) == 1";
        /// Changes of a circuit breaker's state.
        gateway_circuit_breaker_transitions_total: Counter { service: Guarded, to: State },
            when BREAKERS, promql "sum by (service) (increase(gateway_circuit_breaker_transitions_total{to=\"open\"}[1h]))";
        /// Requests that a circuit breaker refused.
        gateway_circuit_breaker_refused_total: Counter { service: Guarded },
            when BREAKERS, promql "sum by (service) (rate(gateway_circuit_breaker_refused_total[5m]))";
    }
}

impl Breakers {
    /// The label of a service's breaker.
    #[must_use]
    pub fn label(&self, service: usize) -> Guarded {
        let before = (0..service).filter(|other| self.has(*other)).count();
        Guarded(if self.has(service) { before } else { usize::MAX })
    }

    /// Tells which of the policy's services, by index, have breakers.
    pub fn describe<'p>(&self, services: impl Iterator<Item = &'p str>, vocabulary: &mut Vocabulary) {
        let guarded = services.enumerate().filter(|(service, _)| self.has(*service));
        vocabulary.define::<Guarded>(guarded.map(|(_, name)| vec![Cow::Owned(name.to_owned())]));
        if self.any() {
            vocabulary.allow(&BREAKERS);
        }
    }
}
