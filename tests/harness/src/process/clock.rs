//! The virtual clock: it moves when the test says so, or when the next event lies in the future.

use std::time::Duration;

/// 2025-01-01T00:00:00Z, where every run starts unless told otherwise.
const DEFAULT_WALL: u64 = 1_735_689_600_000_000_000;
/// The machine has been up for an hour: monotonic time must not look like a duration since the start.
const DEFAULT_MONO: u64 = 3_600_000_000_000;

/// Wall and monotonic time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Clock {
    pub wall: u64,
    pub mono: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { wall: DEFAULT_WALL, mono: DEFAULT_MONO }
    }
}

impl Clock {
    /// A clock that starts at this wall time.
    pub fn starting_at(unix: Duration) -> Self {
        Self { wall: nanos(unix), mono: DEFAULT_MONO }
    }

    /// The clock when its monotonic time is `mono`; time never runs backwards.
    pub fn moved_to(self, mono: u64) -> Self {
        let by = mono.saturating_sub(self.mono);
        Self { wall: self.wall.saturating_add(by), mono: self.mono + by }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
