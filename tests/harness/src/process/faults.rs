//! Faults on demand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Status;

/// What shall go wrong, and how often. Every fault is used up as it strikes, but for those that stay until cleared.
#[derive(Debug)]
pub struct Faults {
    cas_conflicts: u32,
    statuses: Vec<ForcedStatus>,
    missing_functions: BTreeSet<String>,
    /// Shared with the VMs' allocators; `u64::MAX` is no limit.
    memory: Arc<AtomicU64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            cas_conflicts: 0,
            statuses: Vec::new(),
            missing_functions: BTreeSet::new(),
            memory: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

#[derive(Clone, Debug)]
struct ForcedStatus {
    call: String,
    status: Status,
    times: u32,
    after: u32,
}

impl Faults {
    /// The next `times` compare-and-swap writes lose against another worker that wrote just before.
    pub fn cas_conflicts(&mut self, times: u32) -> &mut Self {
        self.cas_conflicts = times;
        self
    }

    /// The next `times` calls of a host function (`proxy_...`) give this status, and do nothing.
    pub fn status(&mut self, call: &str, status: Status, times: u32) -> &mut Self {
        self.status_after(call, status, times, 0)
    }

    /// As `status`, but the first `after` calls still succeed.
    pub fn status_after(&mut self, call: &str, status: Status, times: u32, after: u32) -> &mut Self {
        self.statuses.push(ForcedStatus { call: call.to_owned(), status, times, after });
        self
    }

    /// The host does not know this foreign function, until cleared.
    pub fn missing_foreign_function(&mut self, name: &str) -> &mut Self {
        self.missing_functions.insert(name.to_owned());
        self
    }

    /// Memory cannot grow beyond so many bytes, until cleared.
    pub fn memory_limit(&mut self, bytes: u64) -> &mut Self {
        self.memory.store(bytes, Ordering::Relaxed);
        self
    }

    /// Everything works again.
    pub fn clear(&mut self) {
        self.cas_conflicts = 0;
        self.statuses.clear();
        self.missing_functions.clear();
        self.memory.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn takes_cas_conflict(&mut self) -> bool {
        let strikes = self.cas_conflicts > 0;
        self.cas_conflicts = self.cas_conflicts.saturating_sub(1);
        strikes
    }

    /// Whether everything works.
    pub(crate) fn none(&self) -> bool {
        self.cas_conflicts == 0
            && self.none_forced()
            && self.missing_functions.is_empty()
            && self.memory.load(Ordering::Relaxed) == u64::MAX
    }

    pub(crate) fn none_forced(&self) -> bool {
        self.statuses.is_empty()
    }

    pub(crate) fn forced_status(&mut self, call: &str) -> Option<Status> {
        let at = self.statuses.iter().position(|forced| forced.call == call)?;
        let forced = &mut self.statuses[at];
        if forced.after > 0 {
            forced.after -= 1;
            return None;
        }
        forced.times = forced.times.saturating_sub(1);
        let status = forced.status;
        if forced.times == 0 {
            self.statuses.remove(at);
        }
        Some(status)
    }

    pub(crate) fn lacks_function(&self, name: &str) -> bool {
        self.missing_functions.contains(name)
    }

    pub(crate) fn memory(&self) -> Arc<AtomicU64> {
        self.memory.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_status_waits_strikes_and_is_used_up() {
        let mut faults = Faults::default();
        faults.status_after("proxy_log", Status::InternalFailure, 1, 1);
        let seen: Vec<_> = (0..3).map(|_| faults.forced_status("proxy_log")).collect();
        assert_eq!(seen, [None, Some(Status::InternalFailure), None]);
    }
}
