//! The order of the stages. It stands here, in the clear, and nowhere else.

use crate::{Event, Facts, Pipeline, Step, Worker};
use portcullis_edge_core::{Denial, Host, Reason, Verdict};
use portcullis_limits::Phase;
use portcullis_policy::{GUARDS, TOKENS};

/// The stages of a request, in the order in which they look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The gateway's own pages.
    Pages,
    /// What an earlier instance of the filter found out, where the policy takes that.
    Findings,
    /// Whether the client's network may come in, and log in.
    Network,
    /// In front of a backend: whether the request comes from the gateway.
    Source,
    /// Limits that need no token.
    EarlyLimits,
    /// How many requests are under way at once.
    Places,
    /// Answers what goes to no service: preflights, what matches no route.
    Answer,
    /// Who asks.
    Token,
    /// Whether the token is in use in too many places.
    TokenUse,
    /// Whether they may.
    Rules,
    /// Limits by user, role or claim.
    LateLimits,
    /// Limits that a service counts for the whole fleet.
    FleetLimits,
    /// Whether the service is called at all.
    Breaker,
    /// Nobody objects: on to the service.
    Forward,
}

impl Stage {
    /// As explanations call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Findings => "findings",
            Self::Network => "network",
            Self::Source => "source",
            Self::EarlyLimits => "early_limits",
            Self::Places => "places",
            Self::Answer => "answer",
            Self::Token => "token",
            Self::TokenUse => "token_use",
            Self::Rules => "rules",
            Self::LateLimits => "late_limits",
            Self::FleetLimits => "fleet_limits",
            Self::Breaker => "breaker",
            Self::Forward => "forward",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Pages => Self::Findings,
            Self::Findings => Self::Network,
            Self::Network => Self::Source,
            Self::Source => Self::EarlyLimits,
            Self::EarlyLimits => Self::Places,
            Self::Places => Self::Answer,
            Self::Answer => Self::Token,
            Self::Token => Self::TokenUse,
            Self::TokenUse => Self::Rules,
            Self::Rules => Self::LateLimits,
            Self::LateLimits => Self::FleetLimits,
            Self::FleetLimits => Self::Breaker,
            Self::Breaker | Self::Forward => Self::Forward,
        }
    }
}

impl Pipeline {
    /// Lets the stages look at a request, beginning with the one at which it stands, until one ends the matter.
    pub(crate) fn run(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Step {
        loop {
            let verdict = match facts.at {
                Stage::Pages => match self.page_step(facts) {
                    Some(step) => return step,
                    None => Verdict::Continue,
                },
                Stage::Findings => self.check_findings(facts),
                Stage::Network if GUARDS => self.check_network(facts, host, worker),
                Stage::Source => self.check_source(facts, host),
                Stage::EarlyLimits if GUARDS => self.check_limits(Phase::BeforeToken, facts, host, worker),
                Stage::Places if GUARDS => self.take_places(facts, host, worker),
                Stage::Answer => match self.answer(facts) {
                    Some(step) => return step,
                    None => Verdict::Continue,
                },
                Stage::Token if TOKENS => self.check_token(facts, host, worker),
                Stage::TokenUse if TOKENS && GUARDS => self.check_token_use(facts, host, worker),
                Stage::Rules => self.check_rules(facts),
                Stage::LateLimits if GUARDS => self.check_limits(Phase::AfterRules, facts, host, worker),
                Stage::FleetLimits if GUARDS => self.ask_fleet(facts, host, worker),
                Stage::Breaker if GUARDS => self.ask_breaker(facts, host, worker),
                Stage::Forward => return Step::Forward(self.forward(facts, host)),
                // A module for one concern is built without these; a policy that needs them is refused.
                Stage::Network
                | Stage::EarlyLimits
                | Stage::Places
                | Stage::Token
                | Stage::TokenUse
                | Stage::LateLimits
                | Stage::FleetLimits
                | Stage::Breaker => Verdict::Continue,
            };
            match verdict {
                // Nearly always; what it takes to look at a verdict closely would be paid at every stage.
                Verdict::Continue if facts.trace.is_none() => facts.at = facts.at.next(),
                verdict => {
                    if let Some(step) = self.take(facts, verdict) {
                        return step;
                    }
                }
            }
        }
    }

    /// Goes on with a request that has waited, at the stage at which it stopped: no stage before it looks again, so nothing is
    /// charged twice.
    pub fn resume(&self, facts: &mut Facts, event: Event<'_>, host: &dyn Host, worker: &mut Worker) -> Step {
        let verdict = match facts.at {
            Stage::Token if TOKENS => self.on_token_event(facts, event, host, worker),
            // No other stage waits.
            Stage::FleetLimits if GUARDS => self.on_fleet_event(facts, event, host, worker),
            _ => Denial::new(Reason::SERVICE_UNAVAILABLE).into(),
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
