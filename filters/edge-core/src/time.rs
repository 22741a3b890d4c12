use core::time::Duration;
use time::OffsetDateTime;

/// Nanoseconds since the Unix epoch. For `exp`, `nbf` and timestamps; may jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

/// Nanoseconds of a clock that never goes back. For durations, quotas and timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

/// The time, passed in: stages never read a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock.
    pub wall: Wall,
    /// Monotonic clock.
    pub mono: Mono,
}

impl Wall {
    /// RFC 3339 in UTC with milliseconds: `2026-11-24T16:04:00.123Z`.
    ///
    /// ```
    /// assert_eq!(portcullis_edge_core::Wall(1_500_000_000).rfc3339(), "1970-01-01T00:00:01.500Z");
    /// ```
    #[must_use]
    pub fn rfc3339(self) -> String {
        let since_epoch = Duration::from_nanos(self.0);
        let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(0);
        let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
        // By hand: every log line has one, and a format description takes four times as long.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0..4, u32::try_from(at.year()).unwrap_or(0)),
            (5..7, u32::from(u8::from(at.month()))),
            (8..10, u32::from(at.day())),
            (11..13, u32::from(at.hour())),
            (14..16, u32::from(at.minute())),
            (17..19, u32::from(at.second())),
            (20..23, since_epoch.subsec_millis()),
        ];
        for (place, value) in fields {
            put_digits(text.get_mut(place).unwrap_or_default(), value);
        }
        // Digits and punctuation are text.
        core::str::from_utf8(&text).map(str::to_owned).unwrap_or_default()
    }

    /// This moment and `more`; the end of the clock at most.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(nanos(more)))
    }

    /// Whole seconds since the epoch (a JWT's NumericDate, RFC 7519 section 2).
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        Duration::from_nanos(self.0).as_secs()
    }
}

/// Fills `place` with the last digits of `value`.
fn put_digits(place: &mut [u8], value: u32) {
    let mut rest = value;
    for digit in place.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
    }
}

impl Mono {
    /// Time since `earlier`; zero if that is not earlier.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `more`; the end of the clock at most.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(nanos(more)))
    }
}

/// Whole nanoseconds, as many as fit.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_leap_day_and_small_numbers_keep_their_zeros() {
        assert_eq!(Wall(1_709_164_802_003_000_000).rfc3339(), "2024-02-29T00:00:02.003Z");
    }

    #[test]
    fn the_far_end_of_the_clock_still_formats() {
        assert_eq!(Wall(u64::MAX).rfc3339(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn a_monotonic_difference_never_wraps() {
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono(9).since(Mono(5)), Duration::from_nanos(4));
    }

    #[test]
    fn a_moment_and_more_is_later_and_at_most_the_end_of_the_clock() {
        let (second, never) = (Duration::from_secs(1), Duration::MAX);
        assert_eq!((Mono(5).plus(second), Wall(5).plus(second)), (Mono(1_000_000_005), Wall(1_000_000_005)));
        assert_eq!((Mono(5).plus(never), Wall(5).plus(never)), (Mono(u64::MAX), Wall(u64::MAX)));
    }
}
