//! Whether a service is called, and what its answers make of that.

use crate::definition::{self, Definition};
use crate::judge::{Asked, Judge, SOON, nanos};
use crate::section::RawBreaker;
use crate::state::{Phase, Shared};
use core::time::Duration;
use portcullis_edge_core::{
    Class, ConfigError, Denial, Host, HostError, Mode, Mono, Named, Namespace, Node, Reason, update,
};

/// The service's breaker is open, or all its trials are under way.
pub const BREAKER_OPEN: Reason =
    Reason::new("breaker_open", Class::Unavailable, "The service is unavailable");

/// What a breaker shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass.
    Closed,
    /// None passes.
    Open,
    /// Trials pass.
    HalfOpen,
}

impl State {
    /// As the gauge `gateway_circuit_breaker_state` shows it.
    #[must_use]
    pub const fn level(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }

    /// As log lines show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Index of the service.
    pub service: usize,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub why: Why,
}

/// Why a breaker changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// Too large a share of failures.
    FailureRate,
    /// Too large a share of slow calls.
    SlowCalls,
    /// It was open as long as it should be.
    TimeForTrials,
    /// A trial failed.
    TrialFailed,
    /// Enough trials succeeded.
    TrialsSucceeded,
}

impl Why {
    /// As log lines show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCalls => "slow_calls",
            Self::TimeForTrials => "time_for_trials",
            Self::TrialFailed => "trial_failed",
            Self::TrialsSucceeded => "trials_succeeded",
        }
    }
}

/// A call that was let through, to be given back with its outcome, whatever becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub(crate) service: usize,
    pub(crate) generation: u32,
    pub(crate) trial: Option<u32>,
    begun: Mono,
}

impl Call {
    /// Index of its service.
    #[must_use]
    pub const fn service(&self) -> usize {
        self.service
    }

    /// Whether it is a trial.
    #[must_use]
    pub const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// When it was let through.
    #[must_use]
    pub const fn begun(&self) -> Mono {
        self.begun
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and the answer began after so long.
    Answered(Duration),
    /// It was answered with 5xx, or the answer broke off, or there was none.
    Failed,
    /// The client left before it was answered, or it was never sent: that says nothing of the service.
    Abandoned,
}

/// What a breaker says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The call; nothing where it is refused, where there is no breaker, or where one in shadow mode would refuse it.
    pub call: Option<Call>,
    /// Why it is refused.
    pub denial: Option<Denial>,
    /// Whether a breaker in shadow mode would refuse it.
    pub shadow: bool,
    /// What it changed.
    pub transition: Option<Transition>,
    /// Whether the shared state could not be had; calls pass then.
    pub failed: bool,
}

/// The breakers of a policy's services.
#[derive(Clone, Debug, Default)]
pub struct Breakers(Vec<Option<Definition>>);

/// What a worker knows of breakers.
pub struct BreakerState(Vec<Known>);

struct Known {
    /// Where the state stands in shared data. Never removed there: as many keys as services that policies have ever named.
    key: String,
    /// The shared state, and when it was read.
    seen: Option<(u64, Shared)>,
    /// Calls that succeeded and are not in the shared state yet.
    successes: u32,
    /// When some were last written there.
    written: u64,
}

/// How long a worker believes that a breaker is closed: within it, a breaker opened by another worker is not seen.
pub const STALE: Duration = Duration::from_millis(1);

/// How long successes may wait to be written to the shared state. Failures never wait.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

impl Admitted {
    fn passes(call: Option<Call>, transition: Option<Transition>) -> Self {
        Self { call, denial: None, shadow: false, transition, failed: false }
    }

    fn refused(definition: &Definition, retry: Duration) -> Self {
        let shadow = definition.mode == Mode::Shadow;
        let denial = (!shadow).then(|| Denial::new(BREAKER_OPEN).retry_after(retry));
        Self { call: None, denial, shadow, transition: None, failed: false }
    }
}

impl Breakers {
    /// Checks the section, which stands at `at`; `services` are the policy's, by index.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(raw: &Named<RawBreaker>, at: &Node, services: &[&str]) -> Result<Self, Vec<ConfigError>> {
        definition::compile(raw, at, services).map(Self)
    }

    /// What a worker begins with.
    #[must_use]
    pub fn state(&self, namespace: &Namespace) -> BreakerState {
        let key = |definition: &Definition| namespace.key(&format!("breakers/{}", definition.service));
        let known = |definition: &Option<Definition>| Known {
            key: definition.as_ref().map(key).unwrap_or_default(),
            seen: None,
            successes: 0,
            written: 0,
        };
        BreakerState(self.0.iter().map(known).collect())
    }

    /// Whether any service has a breaker.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// Whether a service has a breaker.
    #[must_use]
    pub fn has(&self, service: usize) -> bool {
        self.0.get(service).is_some_and(Option::is_some)
    }

    /// The mode of a service's breaker.
    #[must_use]
    pub fn mode(&self, service: usize) -> Mode {
        self.0.get(service).and_then(Option::as_ref).map_or(Mode::Off, |definition| definition.mode)
    }

    /// Asks whether a service may be called.
    pub fn admit(&self, service: usize, state: &mut BreakerState, host: &dyn Host) -> Admitted {
        let (Some(Some(definition)), Some(known)) = (self.0.get(service), state.0.get_mut(service)) else {
            return Admitted::passes(None, None);
        };
        let now = host.mono();
        match known.glance(definition, now.0) {
            Glance::Closed(generation) => {
                Admitted::passes(Some(Call { service, generation, trial: None, begun: now }), None)
            }
            Glance::Open(retry) => Admitted::refused(definition, retry),
            Glance::Unknown => ask(service, definition, known, now, host),
        }
    }

    /// Gives a call back with what became of it. What was admitted in another phase of the breaker says nothing about this one.
    ///
    /// # Errors
    /// When the shared state could not be changed; nothing is counted then, and a trial counts as lost after its timeout.
    pub fn record(
        &self,
        call: Call,
        outcome: Outcome,
        state: &mut BreakerState,
        host: &dyn Host,
    ) -> Result<Option<Transition>, HostError> {
        let (Some(Some(definition)), Some(known)) = (self.0.get(call.service), state.0.get_mut(call.service))
        else {
            return Ok(None);
        };
        let now = host.mono().0;
        if call.trial.is_none() && !known.must_write(definition, outcome, now) {
            return Ok(None);
        }
        let successes = core::mem::take(&mut known.successes);
        known.written = now;
        let changed = change(definition, known, now, host, |state| {
            let mut judge = Judge { definition, state, now, host };
            judge.record(call, outcome, successes)
        })?;
        Ok(changed.map(|(from, to, why)| Transition { service: call.service, from, to, why }))
    }

    /// What each service's breaker shows, for its gauge; nothing where it has none, or where the host cannot say.
    pub fn levels<'s>(
        &'s self,
        state: &'s BreakerState,
        host: &'s dyn Host,
    ) -> impl Iterator<Item = Option<State>> + 's {
        self.0.iter().zip(&state.0).map(|(definition, known)| {
            let definition = definition.as_ref()?;
            let bytes = host.shared(&known.key).ok()?.map(|shared| shared.value).unwrap_or_default();
            Some(shown(&Shared::read(&bytes, definition.hash).phase))
        })
    }
}

fn shown(phase: &Phase) -> State {
    match phase {
        Phase::Closed { .. } => State::Closed,
        Phase::Open { .. } => State::Open,
        Phase::HalfOpen { .. } => State::HalfOpen,
    }
}

/// What a worker can say without asking.
enum Glance {
    Closed(u32),
    Open(Duration),
    Unknown,
}

impl Known {
    fn glance(&self, definition: &Definition, now: u64) -> Glance {
        match &self.seen {
            Some((read, state)) if state.definition == definition.hash => match state.phase {
                Phase::Closed { .. } if now.saturating_sub(*read) < nanos(STALE) && now >= *read => {
                    Glance::Closed(state.generation)
                }
                Phase::Open { until } if now < until && now >= *read => {
                    Glance::Open(Duration::from_nanos(until.saturating_sub(now)))
                }
                _ => Glance::Unknown,
            },
            _ => Glance::Unknown,
        }
    }

    /// Whether an outcome of a call that is no trial has to be written to the shared state at once. A success that need not be is kept.
    fn must_write(&mut self, definition: &Definition, outcome: Outcome, now: u64) -> bool {
        match outcome {
            Outcome::Abandoned => false,
            Outcome::Failed => true,
            Outcome::Answered(took) if definition.is_slow(took) => true,
            Outcome::Answered(_) => {
                let ends_a_row = self.seen.as_ref().is_some_and(|(_, state)| has_row(&state.phase));
                let waits = definition.has_window();
                if !ends_a_row && waits && now.saturating_sub(self.written) < nanos(WRITE_INTERVAL) {
                    self.successes = self.successes.saturating_add(1);
                    return false;
                }
                ends_a_row || waits
            }
        }
    }
}

fn has_row(phase: &Phase) -> bool {
    !matches!(phase, Phase::Closed { failures: 0, .. })
}

/// Asks the shared state, which may make the call a trial.
fn ask(service: usize, definition: &Definition, known: &mut Known, now: Mono, host: &dyn Host) -> Admitted {
    let asked = change(definition, known, now.0, host, |state| {
        let mut judge = Judge { definition, state, now: now.0, host };
        judge.admit()
    });
    let call = |generation, trial| Some(Call { service, generation, trial, begun: now });
    match asked {
        Ok(Asked::Passes(generation)) => Admitted::passes(call(generation, None), None),
        Ok(Asked::Trial { generation, id, begins }) => {
            let transition =
                Transition { service, from: State::Open, to: State::HalfOpen, why: Why::TimeForTrials };
            Admitted::passes(call(generation, Some(id)), begins.then_some(transition))
        }
        Ok(Asked::Refused(retry)) => Admitted::refused(definition, retry),
        // A swap that others always win happens where trials are given out: there are enough then.
        Err(HostError::CAS_MISMATCH) => Admitted { failed: true, ..Admitted::refused(definition, SOON) },
        Err(_) => Admitted { failed: true, ..Admitted::passes(None, None) },
    }
}

/// Reads the shared state, changes it, and writes it if it changed; remembers what it has become.
fn change<R>(
    definition: &Definition,
    known: &mut Known,
    now: u64,
    host: &dyn Host,
    mut with: impl FnMut(&mut Shared) -> R,
) -> Result<R, HostError> {
    let changed = update(host, &known.key, |bytes| {
        let before = Shared::read(bytes, definition.hash);
        let mut state = before.clone();
        let result = with(&mut state);
        let changed = state != before;
        if changed {
            *bytes = state.write();
        }
        ((result, state), changed)
    });
    known.seen = None;
    let (result, state) = changed?;
    known.seen = Some((now, state));
    Ok(result)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
