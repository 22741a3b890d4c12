//! The generic cell rate algorithm (ITU-T I.371): one number per key says how much of a limit is used.
//!
//! The *theoretical arrival time* (tat) is when all of a key's quota is there again. Each admitted unit moves it on by the *emission
//! interval*; a request is admitted while the tat stays within the *span* (burst x interval) from now. So a whole burst passes at
//! once, and then one unit per interval; there is no window whose end lets twice the limit through.

use core::num::NonZeroU64;
use core::time::Duration;

/// A limit, ready to be computed with. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    limit: u64,
    interval: NonZeroU64,
    span: u64,
}

/// What a limit says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The tat to store; nothing where the request is not admitted: it uses up no quota then.
    pub tat: Option<u64>,
    /// Whole units left, after this request if it is admitted.
    pub remaining: u64,
    /// How long until all units are there again.
    pub reset: Duration,
    /// How long until this request would be admitted; zero if it is.
    pub retry: Duration,
}

impl Judged {
    /// Whether the request is admitted.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.tat.is_some()
    }
}

impl Rate {
    /// `limit` units in each `window`, `burst` of them at once. Nothing if one of them is zero, or their times do not fit into 64
    /// bits. The interval is rounded up, so that rounding never admits more than the limit.
    #[must_use]
    pub fn new(limit: u64, window: Duration, burst: u64) -> Option<Self> {
        let window = u64::try_from(window.as_nanos()).ok()?;
        let divisor = NonZeroU64::new(limit)?;
        let interval = NonZeroU64::new(window.div_ceil(divisor.get()))?;
        let span = interval.get().checked_mul(burst).filter(|span| *span > 0)?;
        Some(Self { limit, interval, span })
    }

    /// Units of a window.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Units at once.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.span.checked_div(self.interval.get()).unwrap_or(0)
    }

    /// Nanoseconds from one unit to the next.
    #[must_use]
    pub const fn interval(&self) -> u64 {
        self.interval.get()
    }

    /// Nanoseconds until a used-up burst is there again.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.span
    }

    /// Judges a request of `cost` units at `now` of a key whose stored tat is `tat` (0 if there is none).
    ///
    /// A clock that was set back makes a stored tat look further away than it can be; it counts as a used-up burst then, so that
    /// nobody waits longer than the span.
    #[must_use]
    pub fn judge(&self, tat: u64, now: u64, cost: u64) -> Judged {
        let used = tat.saturating_sub(now).min(self.span);
        let after = used.saturating_add(self.interval.get().saturating_mul(cost));
        if after <= self.span {
            return self.judged(Some(now.saturating_add(after)), after, 0);
        }
        self.judged(None, used, after.saturating_sub(self.span))
    }

    fn judged(&self, tat: Option<u64>, used: u64, retry: u64) -> Judged {
        Judged {
            tat,
            remaining: self.span.saturating_sub(used).checked_div(self.interval.get()).unwrap_or(0),
            reset: Duration::from_nanos(used),
            retry: Duration::from_nanos(retry),
        }
    }
}

#[cfg(test)]
#[path = "gcra_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
