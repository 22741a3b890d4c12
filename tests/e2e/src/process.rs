//! Child processes that die with the test, and what they use.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

type Order = (Command, Sender<io::Result<Child>>);

/// The thread that starts all children. The system kills a child when the *thread* that started it ends, so that must
/// be a thread that lives as long as the test program, not the test's own (an Envoy may be shared by tests).
static SPAWNER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in inbox {
            let _ = answer.send(command.spawn());
        }
    });
    orders
});

/// A child that is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct OwnedChild {
    child: Child,
    pid: Pid,
}

impl OwnedChild {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The output streams, where the command piped them and nobody took them yet.
    pub(crate) fn take_output(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        Some((self.child.stdout.take()?, self.child.stderr.take()?))
    }

    /// Its input and its output, where the command piped them and nobody took them yet.
    pub(crate) fn take_pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        kill(self.pid, signal).map_err(io::Error::from)
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `command`; it is killed when this program ends, however that happens.
pub(crate) fn spawn(mut command: Command) -> io::Result<OwnedChild> {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is one plain system call.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
    let (answer, started) = channel();
    SPAWNER.send((command, answer)).map_err(io::Error::other)?;
    let child = started.recv().map_err(io::Error::other)??;
    let pid = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
    Ok(OwnedChild { child, pid })
}

/// What a process has used up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, those that have ended included; to the nanosecond, where
    /// `/proc/PID/stat` counts in 10 ms ticks.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
}

/// What the process `pid` has used up to now.
///
/// # Errors
/// If there is no such process.
pub fn usage_of(pid: u32) -> io::Result<Usage> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().map_err(io::Error::other)?))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss_bytes = rss_of(&status).ok_or_else(|| io::Error::other("no VmRSS: the process has ended"))?;
    Ok(Usage { cpu: clock_gettime(clock)?.into(), rss_bytes })
}

/// `VmRSS:      1234 kB`, in bytes.
fn rss_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Instant;

    #[test]
    fn cpu_time_is_the_time_that_the_process_computed() {
        let before = usage_of(std::process::id()).expect("we run").cpu;
        let started = Instant::now();
        while usage_of(std::process::id()).expect("we run").cpu < before + Duration::from_millis(50) {
            assert!(started.elapsed() < crate::PATIENCE, "a busy process uses CPU time");
            black_box((0..10_000u64).sum::<u64>());
        }
    }

    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = usage_of(std::process::id()).expect("we run").rss_bytes;
        let block = black_box(vec![1u8; 64 << 20]);
        let after = usage_of(std::process::id()).expect("we run").rss_bytes;
        assert!(after > before + (32 << 20), "{before} -> {after} with {} bytes more", block.len());
    }

    #[test]
    fn a_dropped_child_is_killed_and_gone() {
        let mut sleep = Command::new("sleep");
        sleep.arg("3600");
        let child = spawn(sleep).expect("sleep exists");
        let pid = child.pid();
        usage_of(pid).expect("it runs");
        drop(child);
        usage_of(pid).expect_err("it is gone");
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut sleep = Command::new("sleep");
        sleep.arg("3600");
        let spawner = std::thread::spawn(move || spawn(sleep).expect("sleep exists"));
        let mut child = spawner.join().expect("it started");
        let ended = crate::wait_for(Duration::from_millis(100), || child.ended().expect("it is our child"));
        assert_eq!(ended, None);
    }
}
