//! The section `breakers`, checked.

use crate::section::{RawBreaker, RawShare};
use crate::state::{PARTS, Part};
use core::hash::{Hash, Hasher};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Mode, Named, Node};
use siphasher::sip::SipHasher13;

use crate::Why;

/// One service's breaker, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub service: String,
    /// Of everything below but the mode: if it changes, the breaker begins anew.
    pub hash: u64,
    pub consecutive: u32,
    pub failures: Option<Share>,
    pub slow: Option<Share>,
    /// From where on a call is slow.
    pub slow_from: Option<Duration>,
    /// Nanoseconds of a part of the window.
    pub part: u64,
    pub open_for: Duration,
    pub jitter_percent: u32,
    pub trials: usize,
    pub successes: u32,
    pub trial_timeout: Duration,
    pub mode: Mode,
}

/// A share of a window's calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub percent: u32,
    pub min_calls: u32,
}

impl Share {
    fn is_reached(self, of: u32, calls: u32) -> bool {
        let percent = u64::from(of).saturating_mul(100);
        calls >= self.min_calls && percent >= u64::from(calls).saturating_mul(u64::from(self.percent))
    }
}

impl From<RawShare> for Share {
    fn from(raw: RawShare) -> Self {
        Self { percent: raw.percent, min_calls: raw.min_calls }
    }
}

/// The name that stands for every service without a breaker of its own.
pub(crate) const OTHERS: &str = "*";

/// Checks the section, which stands at `at`: a breaker by the name of its service, or `*` for the others. Returns one entry a service.
///
/// # Errors
/// Every mistake.
pub(crate) fn compile(
    raw: &Named<RawBreaker>,
    at: &Node,
    services: &[&str],
) -> Result<Vec<Option<Definition>>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    for (name, breaker) in raw.iter() {
        let at = at.key(name);
        errors.extend(breaker.check(&at).err().unwrap_or_default());
        if name != OTHERS && !services.contains(&name.as_str()) {
            let found = format!("`{}`", name.escape_debug());
            let error = at.error(found, "the name of a service, or `*`");
            errors.push(error.near(name, services.iter().copied()));
        }
    }
    let of = |service: &str| raw.get(service).or_else(|| raw.get(OTHERS));
    let on = |breaker: &&RawBreaker| breaker.mode != Mode::Off;
    let one = |service: &&str| of(service).filter(on).map(|breaker| Definition::new(service, breaker));
    if errors.is_empty() { Ok(services.iter().map(one).collect()) } else { Err(errors) }
}

impl Definition {
    fn new(service: &str, raw: &RawBreaker) -> Self {
        let window =
            raw.failures.or_else(|| raw.slow_calls.map(|slow| slow.share())).map(|share| share.window.0);
        let nanos = window.map_or(1, |window| u64::try_from(window.as_nanos()).unwrap_or(u64::MAX));
        let mut hasher = SipHasher13::new();
        // All of it, as it is written, without its mode.
        format!("{service} {:?}", RawBreaker { mode: Mode::Enforce, ..raw.clone() }).hash(&mut hasher);
        Self {
            service: service.to_owned(),
            hash: hasher.finish(),
            consecutive: raw.consecutive_failures,
            failures: raw.failures.map(Share::from),
            slow: raw.slow_calls.map(|slow| slow.share().into()),
            slow_from: raw.slow_calls.map(|slow| slow.threshold.0),
            part: nanos.div_ceil(PARTS as u64).max(1),
            open_for: raw.open_for.0,
            jitter_percent: raw.jitter_percent,
            trials: usize::try_from(raw.trials).unwrap_or(usize::MAX),
            successes: raw.successes,
            trial_timeout: raw.trial_timeout.0,
            mode: raw.mode,
        }
    }

    /// Whether successes have to be counted.
    pub fn has_window(&self) -> bool {
        self.failures.is_some() || self.slow.is_some()
    }

    /// Whether a call that took so long is slow.
    pub fn is_slow(&self, took: Duration) -> bool {
        self.slow_from.is_some_and(|from| took >= from)
    }

    /// Whether a closed breaker opens, with so many failures in a row and these parts of its window at `now`.
    pub fn opens(&self, failures: u32, parts: &[Part; PARTS], now: u64) -> Option<Why> {
        if self.consecutive > 0 && failures >= self.consecutive {
            return Some(Why::ConsecutiveFailures);
        }
        let recent = || parts.iter().filter(|part| self.is_recent(part, now));
        let sum = |of: fn(&Part) -> u32| recent().map(of).fold(0, u32::saturating_add);
        let calls = sum(|part| part.calls);
        let reached = |share: Option<Share>, of| share.is_some_and(|share| share.is_reached(of, calls));
        if reached(self.failures, sum(|part| part.failures)) {
            return Some(Why::FailureRate);
        }
        reached(self.slow, sum(|part| part.slow)).then_some(Why::SlowCalls)
    }

    /// None is just as old as the window is long: it has been overwritten by the part at `now`.
    fn is_recent(&self, part: &Part, now: u64) -> bool {
        let age = self.number(now).checked_sub(part.number);
        age.is_some_and(|age| age < PARTS as u64)
    }

    fn number(&self, now: u64) -> u64 {
        now.checked_div(self.part).unwrap_or(0)
    }

    /// The part of the window at `now`.
    pub fn part_at<'p>(&self, parts: &'p mut [Part; PARTS], now: u64) -> Option<&'p mut Part> {
        let number = self.number(now);
        let index = usize::try_from(number.checked_rem(PARTS as u64)?).ok()?;
        let part = parts.get_mut(index)?;
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        Some(part)
    }
}
