//! The end of a request, for what it held: its places, its breaker's call; and what its answer says of a login.

use crate::facts::Facts;
use crate::{Pipeline, Worker};
use core::time::Duration;
use portcullis_breaker::{BreakerState, Breakers, Call, Outcome};
use portcullis_edge_core::Host;
use portcullis_policy::GUARDS;

/// What a request's end says of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// It answered, to the end.
    Answered,
    /// It failed.
    Failed,
    /// Nothing.
    Abandoned,
}

impl Pipeline {
    /// Gives back what a request held. `status` is what the client got.
    pub(crate) fn give_back(
        &self,
        facts: &mut Facts,
        status: u16,
        outcome: CallOutcome,
        host: &dyn Host,
        worker: &mut Worker,
    ) {
        if !GUARDS {
            return;
        }
        self.leave_places(facts, host, worker);
        self.drop_question(facts, host, worker);
        self.close_call(facts, outcome, host, worker);
        self.note_login(facts, status, host, worker);
    }

    fn leave_places(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) {
        let held = core::mem::take(&mut facts.guard.held);
        if let (false, Some(state)) = (held.is_empty(), worker.guards.places_mut()) {
            self.policy.concurrency.leave(held, state, host);
        }
    }

    /// A question to the auth service whose client has left: the answer says nothing to anybody.
    fn drop_question(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) {
        if let Some(call) = facts.token.call.take() {
            self.record_call(facts, call, Outcome::Abandoned, host, worker);
        }
    }

    fn close_call(&self, facts: &mut Facts, outcome: CallOutcome, host: &dyn Host, worker: &mut Worker) {
        let Some((call, state)) = facts.guard.call.take().zip(worker.guards.breakers_mut()) else { return };
        let outcome = match outcome {
            CallOutcome::Failed => Outcome::Failed,
            CallOutcome::Answered => {
                Outcome::Answered(facts.answered_at.map_or(Duration::ZERO, |at| at.since(call.begun())))
            }
            CallOutcome::Abandoned => Outcome::Abandoned,
        };
        record(&self.policy.breakers, facts, call, outcome, (state, host));
    }

    /// Gives a call back to its breaker.
    pub(crate) fn record_call(
        &self,
        facts: &mut Facts,
        call: Call,
        outcome: Outcome,
        host: &dyn Host,
        worker: &mut Worker,
    ) {
        if let Some(state) = worker.guards.breakers_mut() {
            record(&self.policy.breakers, facts, call, outcome, (state, host));
        }
    }
}

fn record(
    breakers: &Breakers,
    facts: &mut Facts,
    call: Call,
    outcome: Outcome,
    (state, host): (&mut BreakerState, &dyn Host),
) {
    match breakers.record(call, outcome, state, host) {
        Ok(transition) => facts.guard.transitions.extend(transition),
        Err(error) => facts.guard.failures.push(error.into()),
    }
}
