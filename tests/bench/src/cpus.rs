//! Envoy on one core, everything else of ours on another: they would take caches and time from each other.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Envoy's.
    pub envoy: usize,
    /// The load generator's and the upstream's.
    pub load: usize,
}

impl Cores {
    /// Two of the cores that we may use; `None` if there is but one.
    ///
    /// # Errors
    /// If the system does not say which.
    pub fn choose() -> Result<Option<Self>> {
        let ours = sched_getaffinity(Pid::from_raw(0)).context("which cores may we use?")?;
        let mut usable = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu).unwrap_or(false));
        let (envoy, load) = (usable.next(), usable.next());
        Ok(envoy.zip(load).map(|(envoy, load)| Self { envoy, load }))
    }

    /// Moves this thread, and those that it starts from now on, to the load's core.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn pin_load(self) -> Result<()> {
        pin(Pid::from_raw(0), self.load)
    }

    /// Moves all threads of a process to Envoy's core; those that they start later are born there.
    ///
    /// # Errors
    /// If the process has ended, or the system refuses.
    pub fn pin_envoy(self, pid: u32) -> Result<()> {
        threads_of(pid)?.into_iter().try_for_each(|thread| pin(thread, self.envoy))
    }
}

fn pin(thread: Pid, cpu: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(thread, &only).with_context(|| format!("cannot move thread {thread} to core {cpu}"))
}

fn threads_of(pid: u32) -> Result<Vec<Pid>> {
    let tasks = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&tasks).with_context(|| tasks.clone())?;
    entries
        .map(|entry| {
            let name = entry?.file_name();
            let id = name.to_string_lossy().parse().with_context(|| format!("{name:?} in {tasks}"))?;
            Ok(Pid::from_raw(id))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_of_a_process_is_found() {
        let alone = threads_of(std::process::id()).expect("we run").len();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        // Other tests start and end threads as well, so only our own is sure to be there.
        let own = nix::unistd::gettid();
        assert!(threads_of(std::process::id()).expect("we run").contains(&own), "{alone}");
        drop(go);
        thread.join().expect("it ended").expect_err("nothing was sent");
    }

    #[test]
    fn a_pinned_thread_may_use_one_core_only() {
        let Some(cores) = Cores::choose().expect("the system says which") else { return };
        let pinned = std::thread::spawn(move || {
            cores.pin_load().expect("it is one of ours");
            let set = sched_getaffinity(Pid::from_raw(0)).expect("we run");
            (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect::<Vec<_>>()
        });
        assert_eq!(pinned.join().expect("it ended"), [cores.load]);
    }
}
