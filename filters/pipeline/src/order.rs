//! The order of the stages. It stands here, in the clear, and nowhere else.

use crate::{Event, Facts, Pipeline, Step, Worker};
use portcullis_edge_core::{Denial, Host, Reason, Verdict};

/// The stages of a request, in the order in which they look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Answers what the gateway answers itself: its pages, preflights, what matches no route.
    Answer,
    /// Who asks.
    Token,
    /// Whether they may.
    Rules,
    /// Nobody objects: on to the service.
    Forward,
}

impl Stage {
    /// As explanations call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Token => "token",
            Self::Rules => "rules",
            Self::Forward => "forward",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Answer => Self::Token,
            Self::Token => Self::Rules,
            Self::Rules | Self::Forward => Self::Forward,
        }
    }
}

impl Pipeline {
    /// Lets the stages look at a request, beginning with the one at which it stands, until one ends the matter.
    pub(crate) fn run(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Step {
        loop {
            let verdict = match facts.at {
                Stage::Answer => match self.answer(facts) {
                    Some(step) => return step,
                    None => Verdict::Continue,
                },
                Stage::Token => self.check_token(facts, host, worker),
                Stage::Rules => self.check_rules(facts),
                Stage::Forward => return Step::Forward(self.forward(facts, host)),
            };
            if let Some(step) = self.take(facts, verdict) {
                return step;
            }
        }
    }

    /// Goes on with a request that has waited, at the stage at which it stopped: no stage before it looks again, so nothing is
    /// charged twice.
    pub fn resume(&self, facts: &mut Facts, event: Event<'_>, host: &dyn Host, worker: &mut Worker) -> Step {
        let verdict = match facts.at {
            Stage::Token => self.on_token_event(facts, event, host, worker),
            // No other stage waits.
            Stage::Answer | Stage::Rules | Stage::Forward => Denial::new(Reason::SERVICE_UNAVAILABLE).into(),
        };
        match self.take(facts, verdict) {
            Some(step) => step,
            None => self.run(facts, host, worker),
        }
    }

    /// Does what a stage said: the step that it led to, or nothing where the next stage is to look.
    fn take(&self, facts: &mut Facts, verdict: Verdict) -> Option<Step> {
        let at = facts.at;
        if let Some(trace) = &mut facts.trace {
            trace.verdict(at, &verdict);
        }
        match verdict {
            Verdict::Continue => {
                facts.at = at.next();
                None
            }
            Verdict::Deny(denial) => Some(self.deny(facts, denial)),
            Verdict::Wait => Some(Step::Wait),
            Verdict::Call(call) => Some(Step::Call(call)),
        }
    }
}
