//! Waiting for other processes. Machines that build and test at the same time are slow: patience costs nothing where all is well.

use std::time::{Duration, Instant};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Looks until `look` finds something.
///
/// # Errors
/// What was last found missing, once [`PATIENCE`] has passed.
pub fn wait_until<T>(mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(missing) if Instant::now() >= deadline => return Err(missing),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Looks until `look` finds something.
///
/// # Panics
/// With `what` and what was last found missing, if it never does.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    wait_until(look).unwrap_or_else(|missing| panic!("not within {PATIENCE:?}: {what}: {missing}"))
}
