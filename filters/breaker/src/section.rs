//! The section `breakers`, as it is written.

use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Mode, Node, PolicyDuration};
use schemars::JsonSchema;

/// The circuit breaker of one service.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawBreaker {
    /// Opens after so many failures in a row (default 5; 0: never). A failure is an answer of 5xx, or none.
    #[deserr(default = five())]
    #[schemars(default = "five", range(max = 1000))]
    pub consecutive_failures: u32,
    /// Opens when too large a share of calls fails.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawShare")]
    pub failures: Option<RawShare>,
    /// Opens when too large a share of calls is slow.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawSlow")]
    pub slow_calls: Option<RawSlow>,
    /// How long it stays open, before trials (default `60s`).
    #[deserr(default = sixty_seconds())]
    #[schemars(default = "sixty_seconds")]
    pub open_for: PolicyDuration,
    /// Stays open longer by up to so many percent, at random, so that many gateways do not try at once (default 10).
    #[deserr(default = ten())]
    #[schemars(default = "ten", range(max = 100))]
    pub jitter_percent: u32,
    /// How many trials may be under way at once (default 1).
    #[deserr(default = one())]
    #[schemars(default = "one", range(min = 1, max = 100))]
    pub trials: u32,
    /// After how many successful trials it closes (default 3).
    #[deserr(default = three())]
    #[schemars(default = "three", range(min = 1, max = 1000))]
    pub successes: u32,
    /// How long a trial counts as under way, if nothing is heard of it (default `60s`).
    #[deserr(default = sixty_seconds())]
    #[schemars(default = "sixty_seconds")]
    pub trial_timeout: PolicyDuration,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// A share of the calls of a window.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawShare {
    /// So many percent or more.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u32,
    /// Of the calls of this window, from `1s` to `1h` (default `10s`).
    #[deserr(default = ten_seconds())]
    #[schemars(default = "ten_seconds")]
    pub window: PolicyDuration,
    /// If there were so many (default 20).
    #[deserr(default = twenty())]
    #[schemars(default = "twenty", range(min = 1))]
    pub min_calls: u32,
}

/// A share of slow calls.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSlow {
    /// A call is slow whose answer begins so late, or later.
    pub threshold: PolicyDuration,
    /// So many percent or more.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u32,
    /// Of the calls of this window, from `1s` to `1h` (default `10s`). One window serves both shares: where both are given, it is
    /// the same.
    #[deserr(default = ten_seconds())]
    #[schemars(default = "ten_seconds")]
    pub window: PolicyDuration,
    /// If there were so many (default 20).
    #[deserr(default = twenty())]
    #[schemars(default = "twenty", range(min = 1))]
    pub min_calls: u32,
}

fn one() -> u32 {
    1
}
fn three() -> u32 {
    3
}
fn five() -> u32 {
    5
}
fn ten() -> u32 {
    10
}
fn twenty() -> u32 {
    20
}
fn ten_seconds() -> PolicyDuration {
    PolicyDuration::secs(10)
}
fn sixty_seconds() -> PolicyDuration {
    PolicyDuration::secs(60)
}

impl RawBreaker {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// Every mistake.
    pub fn check(&self, at: &Node) -> Result<(), Vec<ConfigError>> {
        let times = [("open_for", self.open_for), ("trial_timeout", self.trial_timeout)];
        let (shortest, longest) = (PolicyDuration::millis(1), PolicyDuration::secs(86_400));
        let mut errors: Vec<_> = times
            .into_iter()
            .filter_map(|(key, time)| time.outside(shortest, longest, &at.key(key)))
            .collect();
        let numbers = [
            ("consecutive_failures", self.consecutive_failures, 0, 1000),
            ("jitter_percent", self.jitter_percent, 0, 100),
            ("trials", self.trials, 1, 100),
            ("successes", self.successes, 1, 1000),
        ];
        errors.extend(
            numbers.into_iter().filter_map(|(key, value, min, max)| within(value, min, max, &at.key(key))),
        );
        errors.extend(self.failures.iter().flat_map(|share| share.check(&at.key("failures"))));
        errors.extend(self.slow_calls.iter().flat_map(|slow| slow.check(&at.key("slow_calls"))));
        errors.extend(self.check_windows(at));
        if self.consecutive_failures == 0 && self.failures.is_none() && self.slow_calls.is_none() {
            let expected = "`consecutive_failures`, `failures` or `slow_calls`";
            errors.push(at.error("nothing that opens it", expected));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn check_windows(&self, at: &Node) -> Option<ConfigError> {
        let (failures, slow) = (self.failures?.window, self.slow_calls?.window);
        let expected = format!("the window of `failures`, `{failures}`");
        (failures != slow).then(|| at.key("slow_calls").key("window").error(format!("`{slow}`"), expected))
    }
}

impl RawShare {
    fn check(&self, at: &Node) -> Vec<ConfigError> {
        let (shortest, longest) = (PolicyDuration::secs(1), PolicyDuration::secs(3600));
        let mut errors: Vec<_> =
            self.window.outside(shortest, longest, &at.key("window")).into_iter().collect();
        errors.extend(within(self.percent, 1, 100, &at.key("percent")));
        errors.extend(within(self.min_calls, 1, 1_000_000, &at.key("min_calls")));
        errors
    }
}

impl RawSlow {
    pub(crate) fn share(&self) -> RawShare {
        RawShare { percent: self.percent, window: self.window, min_calls: self.min_calls }
    }

    fn check(&self, at: &Node) -> Vec<ConfigError> {
        let (shortest, longest) = (PolicyDuration::millis(1), PolicyDuration::secs(3600));
        let threshold = self.threshold.outside(shortest, longest, &at.key("threshold"));
        threshold.into_iter().chain(self.share().check(at)).collect()
    }
}

fn within(value: u32, min: u32, max: u32, at: &Node) -> Option<ConfigError> {
    let expected = || format!("a whole number from {min} to {max}");
    (!(min..=max).contains(&value)).then(|| at.error(format!("`{value}`"), expected()))
}
