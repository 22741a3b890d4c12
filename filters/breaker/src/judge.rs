//! What a breaker's state makes of a call, and of its outcome.

use crate::breaker::{Call, Outcome, State, Why};
use crate::definition::Definition;
use crate::state::{Phase, Shared, Trial};
use core::time::Duration;
use portcullis_edge_core::Host;

/// When to come back while trials are under way: nobody knows how long they take.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// What the shared state says of a call.
pub(crate) enum Asked {
    Passes(u32),
    Trial { generation: u32, id: u32, begins: bool },
    Refused(Duration),
}

/// A state that is being changed.
pub(crate) struct Judge<'a> {
    pub definition: &'a Definition,
    pub state: &'a mut Shared,
    pub now: u64,
    pub host: &'a dyn Host,
}

impl Judge<'_> {
    /// Whether a call passes.
    pub fn admit(&mut self) -> Asked {
        let begins = match &self.state.phase {
            Phase::Closed { .. } => return Asked::Passes(self.state.generation),
            // No breaker stays open longer than it may: a clock that was set back does not hold it.
            Phase::Open { until }
                if self.now < *until && until.saturating_sub(self.now) <= self.longest() =>
            {
                return Asked::Refused(Duration::from_nanos(until.saturating_sub(self.now)));
            }
            Phase::Open { .. } => {
                self.state.enter(Phase::HalfOpen { successes: 0, trials: Vec::new() });
                true
            }
            Phase::HalfOpen { .. } => false,
        };
        match self.begin_trial() {
            Some(id) => Asked::Trial { generation: self.state.generation, id, begins },
            None => Asked::Refused(SOON),
        }
    }

    fn longest(&self) -> u64 {
        nanos(self.definition.open_for).saturating_mul(2)
    }

    fn begin_trial(&mut self) -> Option<u32> {
        let id = self.state.next_trial;
        let until = self.now.saturating_add(nanos(self.definition.trial_timeout));
        let Phase::HalfOpen { trials, .. } = &mut self.state.phase else { return None };
        trials.retain(|trial| trial.until > self.now);
        if trials.len() >= self.definition.trials {
            return None;
        }
        trials.push(Trial { id, until });
        self.state.next_trial = id.wrapping_add(1);
        Some(id)
    }

    /// Counts what became of a call, behind calls that succeeded; what that changes.
    pub fn record(&mut self, call: Call, outcome: Outcome, successes: u32) -> Option<(State, State, Why)> {
        if call.generation != self.state.generation {
            return None;
        }
        match (call.trial, &self.state.phase) {
            (Some(id), Phase::HalfOpen { .. }) => self.end_trial(id, outcome),
            (None, Phase::Closed { .. }) => self.count(outcome, successes),
            _ => None,
        }
    }

    fn end_trial(&mut self, id: u32, outcome: Outcome) -> Option<(State, State, Why)> {
        let Phase::HalfOpen { successes, trials } = &mut self.state.phase else { return None };
        let index = trials.iter().position(|trial| trial.id == id)?;
        trials.remove(index);
        match outcome {
            Outcome::Abandoned => None,
            Outcome::Answered(took) if !self.definition.is_slow(took) => {
                *successes = successes.saturating_add(1);
                if *successes < self.definition.successes {
                    return None;
                }
                self.state.enter(Shared::closed(0, 0).phase);
                Some((State::HalfOpen, State::Closed, Why::TrialsSucceeded))
            }
            Outcome::Answered(_) | Outcome::Failed => {
                self.open();
                Some((State::HalfOpen, State::Open, Why::TrialFailed))
            }
        }
    }

    fn count(&mut self, outcome: Outcome, successes: u32) -> Option<(State, State, Why)> {
        let slow = matches!(outcome, Outcome::Answered(took) if self.definition.is_slow(took));
        let failed = outcome == Outcome::Failed;
        let Phase::Closed { failures, parts } = &mut self.state.phase else { return None };
        *failures = match failed {
            true if successes > 0 => 1,
            true => failures.saturating_add(1),
            false => 0,
        };
        if let Some(part) = self.definition.part_at(parts, self.now).filter(|_| self.definition.has_window())
        {
            part.calls = part.calls.saturating_add(successes).saturating_add(1);
            part.failures = part.failures.saturating_add(u32::from(failed));
            part.slow = part.slow.saturating_add(u32::from(slow));
        }
        let why = self.definition.opens(*failures, parts, self.now)?;
        self.open();
        Some((State::Closed, State::Open, why))
    }

    fn open(&mut self) {
        let open_for = nanos(self.definition.open_for);
        let percent = u64::from(self.definition.jitter_percent);
        let most = open_for.checked_div(100).unwrap_or(0).saturating_mul(percent);
        let [.., a, b, c, d] = self.host.random_16();
        // A share of `most`, by a random number of 32 bits.
        let jitter = u128::from(most).saturating_mul(u128::from(u32::from_le_bytes([a, b, c, d]))) >> 32;
        let until = self.now.saturating_add(open_for).saturating_add(u64::try_from(jitter).unwrap_or(0));
        self.state.enter(Phase::Open { until });
    }
}

/// In nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
