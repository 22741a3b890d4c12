use core::time::Duration;
use time::{OffsetDateTime, UtcOffset, format_description::FormatItem, macros::format_description};

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

const RFC_3339_MILLIS: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl Wall {
    /// RFC 3339 in UTC with milliseconds: `2026-11-24T16:04:00.123Z`.
    ///
    /// ```
    /// assert_eq!(portcullis_edge_core::Wall(1_500_000_000).rfc3339(), "1970-01-01T00:00:01.500Z");
    /// ```
    #[must_use]
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .map(|t| t.to_offset(UtcOffset::UTC))
            .ok()
            .and_then(|t| t.format(&RFC_3339_MILLIS).ok())
            .unwrap_or_default()
    }

    /// Whole seconds since the epoch (a JWT's NumericDate, RFC 7519 section 2).
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        Duration::from_nanos(self.0).as_secs()
    }
}

impl Mono {
    /// Time since `earlier`; zero if that is not earlier.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_far_end_of_the_clock_still_formats() {
        assert_eq!(Wall(u64::MAX).rfc3339(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn a_monotonic_difference_never_wraps() {
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono(9).since(Mono(5)), Duration::from_nanos(4));
    }
}
