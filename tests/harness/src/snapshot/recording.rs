//! What a start saw and did, as far as it matters outside of its VM.

use super::Moment;
use crate::MetricType;
use crate::process::Process;
use crate::process::events::WorkerId;
use crate::process::logs::LogLine;
use crate::process::metrics::MetricIds;
use crate::vm::{Timer, VmId};

/// What a host function has done to the process.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Log(LogLine),
    Define { kind: MetricType, name: Vec<u8> },
    Increment { id: u32, by: i64 },
    Record { id: u32, value: u64 },
    Tick { root: u32, timer: Timer },
}

impl Effect {
    /// Does it again, for another VM.
    pub fn again(&self, process: &Process, ids: &mut MetricIds, vm: VmId, worker: WorkerId) {
        let key = |id: &u32| ids.get(*id);
        match self {
            Effect::Log(line) => process.logs.borrow_mut().push(LogLine { worker, ..line.clone() }),
            Effect::Define { kind, name } => {
                let key = process.metrics.borrow_mut().define(*kind, name);
                ids.define(key);
            }
            Effect::Increment { id, by } => {
                // It went well the first time, and does so again.
                let _ = key(id).and_then(|key| process.metrics.borrow_mut().increment(key, *by));
            }
            Effect::Record { id, value } => {
                let _ = key(id).and_then(|key| process.metrics.borrow_mut().record(key, *value));
            }
            Effect::Tick { root, timer } => timer.schedule(process, worker, vm, *root),
        }
    }
}

/// Kept from the instantiation of a VM until its root context is configured.
#[derive(Debug)]
pub(crate) struct Recording {
    pub began: Moment,
    pub reads_clock: bool,
    pub reads_rng: bool,
    pub effects: Vec<Effect>,
    /// Something was done or read that a snapshot cannot hold.
    pub unfit: bool,
}

impl Recording {
    pub fn new(began: Moment) -> Self {
        Self { began, reads_clock: false, reads_rng: false, effects: Vec::new(), unfit: false }
    }

    /// Notes that a host function was called. What is on no list here may do or read anything.
    pub fn called(&mut self, name: &str) {
        match name {
            "proxy_get_current_time_nanoseconds" | "clock_time_get" => self.reads_clock = true,
            "random_get" => self.reads_rng = true,
            name if is_repeatable(name) => {}
            _ => self.unfit = true,
        }
    }
}

/// Whether a host function depends on nothing but module, settings and plugin, and does nothing but what is recorded.
/// (`proxy_get_property` says itself when it looks further.)
fn is_repeatable(name: &str) -> bool {
    matches!(
        name,
        "proxy_define_metric"
            | "proxy_increment_metric"
            | "proxy_record_metric"
            | "proxy_log"
            | "proxy_get_log_level"
            | "proxy_set_tick_period_milliseconds"
            | "proxy_get_buffer_bytes"
            | "proxy_get_buffer_status"
            | "proxy_get_configuration"
            | "proxy_get_property"
            | "proxy_set_effective_context"
            | "args_get"
            | "args_sizes_get"
            | "environ_get"
            | "environ_sizes_get"
            | "clock_res_get"
            | "fd_write"
            | "fd_fdstat_get"
            | "fd_prestat_get"
            | "fd_prestat_dir_name"
            | "fd_close"
            | "fd_seek"
            | "sched_yield"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: &[&str]) -> Recording {
        let mut recording = Recording::new(Moment { clock: Default::default(), rng: Rng::new(0) });
        calls.iter().for_each(|name| recording.called(name));
        recording
    }

    #[test]
    fn what_nobody_has_thought_of_leaves_no_snapshot() {
        assert!(after(&["proxy_log", "proxy_get_shared_data"]).unfit);
        assert!(after(&["proxy_of_tomorrow"]).unfit);
        assert!(!after(&["proxy_log", "clock_time_get", "random_get"]).unfit);
    }

    #[test]
    fn reading_a_clock_or_chance_is_noted() {
        let flags = |recording: Recording| (recording.reads_clock, recording.reads_rng);
        assert_eq!(flags(after(&["proxy_log"])), (false, false));
        assert_eq!(flags(after(&["proxy_get_current_time_nanoseconds"])), (true, false));
        assert_eq!(flags(after(&["random_get"])), (false, true));
    }

    use crate::process::rng::Rng;
}
