//! The end of a request, for what it held: its places, its breaker's call; and what its answer says of a login.

use crate::facts::{Answerer, Facts};
use crate::{Pipeline, Worker};
use core::time::Duration;
use portcullis_breaker::Outcome;
use portcullis_edge_core::Host;

impl Pipeline {
    /// Gives back what a request held. `failed` is whether the service failed it; `status` what the client got.
    pub(crate) fn give_back(
        &self,
        facts: &mut Facts,
        (status, failed): (u16, bool),
        host: &dyn Host,
        worker: &mut Worker,
    ) {
        self.leave_places(facts, host, worker);
        self.close_call(facts, failed, host, worker);
        self.note_login(facts, status, host, worker);
    }

    fn leave_places(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) {
        let held = core::mem::take(&mut facts.guard.held);
        if let (false, Some(state)) = (held.is_empty(), worker.guards.places_mut()) {
            self.policy.concurrency.leave(held, state, host);
        }
    }

    fn close_call(&self, facts: &mut Facts, failed: bool, host: &dyn Host, worker: &mut Worker) {
        let Some((call, state)) = facts.guard.call.take().zip(worker.guards.breakers_mut()) else { return };
        let outcome = match facts.answerer {
            _ if failed => Outcome::Failed,
            Answerer::Service => {
                Outcome::Answered(facts.answered_at.map_or(Duration::ZERO, |at| at.since(call.begun())))
            }
            Answerer::Proxy | Answerer::Gateway | Answerer::Nobody => Outcome::Abandoned,
        };
        match self.policy.breakers.record(call, outcome, state, host) {
            Ok(transition) => facts.guard.transitions.extend(transition),
            Err(error) => facts.guard.failures.push(error.into()),
        }
    }

    fn note_login(&self, facts: &mut Facts, status: u16, host: &dyn Host, worker: &mut Worker) {
        // Only what the service says is a login's outcome: a 401 of ours, or a request that was never sent, is none.
        let is_answer = facts.answerer == Answerer::Service;
        let rule = self.policy.abuse.logins.as_ref();
        let rule = rule.filter(|rule| is_answer && rule.is_login(facts.route()) && rule.is_failure(status));
        let Some((rule, state)) = rule.zip(worker.guards.logins_mut()) else { return };
        let network = self.policy.client_ip.network(facts.client).address();
        if self.policy.abuse.trusts(network) {
            return;
        }
        match rule.note(network, status, state, host) {
            Ok(noted) => facts.guard.login = Some(noted),
            Err(error) => facts.guard.failures.push(error),
        }
    }
}
