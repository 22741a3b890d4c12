//! Waiting for what another process does, where it sends no event to wait for.

use std::time::{Duration, Instant};

/// How often a condition of another process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `look` finds something, and returns it; `None` once `within` has passed.
pub fn wait_for<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let last_look = Instant::now() >= deadline;
        match look() {
            Some(found) => return Some(found),
            None if last_look => return None,
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Looks until `is_so` holds. Panics, naming `what`, when it does not hold within [`crate::PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    eventually_within(crate::PATIENCE, what, is_so);
}

/// Like [`eventually`], with another time than [`crate::PATIENCE`].
#[track_caller]
pub fn eventually_within(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let held = wait_for(within, || is_so().then_some(()));
    assert!(held.is_some(), "not within {within:?}: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_true_later_is_found() {
        let mut looks = 0;
        let found = wait_for(Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, Some(3));
    }

    #[test]
    fn what_never_comes_true_ends_at_the_deadline() {
        assert_eq!(wait_for(Duration::from_millis(20), || None::<()>), None);
    }

    #[test]
    #[should_panic(expected = "the moon is blue")]
    fn a_failed_wait_names_what_was_waited_for() {
        eventually_within(Duration::from_millis(20), "the moon is blue", || false);
    }
}
