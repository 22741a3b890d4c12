//! The clocks of an Envoy under test. A preloaded shim (`time-shim/shim.c`) adds the offsets in a shared file to what
//! the system's clocks say, so one write here moves time there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::event_loops::{self, Look};

static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libtimeshim.so"));

#[derive(Clone, Copy, Default)]
struct Offsets {
    wall_ns: i64,
    monotonic_ns: i64,
    /// What the clocks show as long as they stand still; 0 while they run.
    wall_shown_ns: i64,
    monotonic_shown_ns: i64,
}

pub(crate) struct Clock {
    file: File,
    path: PathBuf,
    shim: PathBuf,
    offsets: Mutex<Offsets>,
}

impl Clock {
    /// Writes the shim and its file into `folder`. The wall clock starts at `wall`, or at the system's time.
    pub(crate) fn create(folder: &Path, wall: Option<SystemTime>) -> io::Result<Self> {
        let offsets = Offsets { wall_ns: wall.map_or(0, ahead_of_now), ..Offsets::default() };
        Self::with(folder, offsets)
    }

    /// As [`Clock::create`], but the clocks stand still, and move only by travelling.
    pub(crate) fn frozen(folder: &Path, wall: SystemTime) -> io::Result<Self> {
        let since_1970 = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let monotonic = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
        let (wall_shown_ns, monotonic_shown_ns) = (nanos(since_1970), nanos(monotonic.into()));
        Self::with(folder, Offsets { wall_shown_ns, monotonic_shown_ns, ..Offsets::default() })
    }

    fn with(folder: &Path, offsets: Offsets) -> io::Result<Self> {
        // In a folder of its own: an Envoy that watches its files would wake up each time that its loops are asked something.
        let time = folder.join("time");
        fs::create_dir_all(&time)?;
        let (path, shim) = (time.join("clock"), time.join("libtimeshim.so"));
        fs::write(&shim, SHIM)?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.set_len(event_loops::FILE_SIZE)?;
        write(&file, offsets)?;
        Ok(Self { file, path, shim, offsets: Mutex::new(offsets) })
    }

    /// Puts `command` under this clock.
    pub(crate) fn govern(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("PORTCULLIS_CLOCK_FILE", &self.path);
    }

    /// Moves both clocks forward, for good.
    pub(crate) fn travel(&self, by: Duration) -> io::Result<()> {
        let ns = nanos(by);
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let Offsets { wall_ns, monotonic_ns, wall_shown_ns, monotonic_shown_ns } = &mut *offsets;
        let moved = match *monotonic_shown_ns {
            0 => [wall_ns, monotonic_ns],
            _ => [wall_shown_ns, monotonic_shown_ns],
        };
        moved.into_iter().for_each(|clock| *clock = clock.saturating_add(ns));
        write(&self.file, *offsets)
    }

    /// Whether the event loops of the process rest, while the clocks stand still.
    pub(crate) fn look(&self, until: Instant) -> io::Result<Look> {
        let shown = self.offsets.lock().unwrap_or_else(PoisonError::into_inner).monotonic_shown_ns;
        event_loops::look(&self.file, shown, until)
    }

    /// The wall clock as the process sees it.
    pub(crate) fn now(&self) -> SystemTime {
        let Offsets { wall_ns, wall_shown_ns, .. } =
            *self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        if wall_shown_ns != 0 {
            return SystemTime::UNIX_EPOCH + Duration::from_nanos(wall_shown_ns.unsigned_abs());
        }
        let distance = Duration::from_nanos(wall_ns.unsigned_abs());
        if wall_ns < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
    }
}

fn ahead_of_now(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::now()) {
        Ok(ahead) => nanos(ahead),
        Err(behind) => -nanos(behind.duration()),
    }
}

/// Saturates at 292 years.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Everything in one write, in the order of `struct offsets` in the shim.
fn write(file: &File, offsets: Offsets) -> io::Result<()> {
    let Offsets { wall_ns, monotonic_ns, wall_shown_ns, monotonic_shown_ns } = offsets;
    let fields = [wall_ns, monotonic_ns, wall_shown_ns, monotonic_shown_ns].map(i64::to_ne_bytes);
    file.write_all_at(&fields.concat(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::spawn;
    use crate::{Lines, wait_for};
    use std::process::Stdio;

    /// What `date` says under the clock, in seconds since 1970.
    fn date_under(clock: &Clock) -> u64 {
        let mut date = Command::new("date");
        clock.govern(date.arg("+%s"));
        let output = date.output().expect("date exists");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("date prints a number")
    }

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
    }

    #[test]
    fn a_process_under_the_clock_travels_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::create(folder.path(), None).expect("it can be written");
        assert!(date_under(&clock).abs_diff(seconds(SystemTime::now())) <= 2);
        clock.travel(Duration::from_secs(86_400)).expect("it can be written");
        assert!(date_under(&clock).abs_diff(seconds(SystemTime::now()) + 86_400) <= 2);
        assert!(date_under(&clock).abs_diff(seconds(clock.now())) <= 2);
    }

    #[test]
    fn the_wall_clock_starts_where_it_is_set_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_000_999_999_999);
        let clock = Clock::create(folder.path(), Some(start)).expect("it can be written");
        assert!(date_under(&clock).abs_diff(1_000_000_001) <= 2);
        assert!(seconds(clock.now()).abs_diff(1_000_000_001) <= 2);
    }

    #[test]
    fn frozen_clocks_move_only_by_travelling() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let clock = Clock::frozen(folder.path(), start).expect("it can be written");
        let mut date = Command::new("date");
        clock.govern(date.arg("+%s.%N"));
        let shown = |date: &mut Command| date.output().expect("date exists").stdout;
        assert_eq!(shown(&mut date), b"1000000000.000000000\n");
        clock.travel(Duration::from_millis(1500)).expect("it can be written");
        assert_eq!(shown(&mut date), b"1000000001.500000000\n");
        assert_eq!(clock.now(), start + Duration::from_millis(1500));
    }

    /// Runs itself under a clock: the child sleeps an hour in its event loop, and the parent lets that hour pass.
    #[test]
    fn an_event_loop_wakes_when_its_hour_has_passed() {
        if std::env::var_os("PORTCULLIS_CLOCK_FILE").is_some() {
            return sleep_an_hour();
        }
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::create(folder.path(), None).expect("it can be written");
        let mut sleeper = Command::new(std::env::current_exe().expect("a test is a program"));
        sleeper.args([
            "--nocapture",
            "--exact",
            "clock::tests::an_event_loop_wakes_when_its_hour_has_passed",
        ]);
        clock.govern(sleeper.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut sleeper = spawn(sleeper).expect("it starts");
        let (stdout, _stderr) = sleeper.take_output().expect("it is piped");
        Lines::read("stdout", stdout).wait_for_line(|line| line.contains("sleeping"));
        clock.travel(Duration::from_secs(3_601)).expect("it can be written");
        let ended = wait_for(crate::PATIENCE, || sleeper.ended().expect("it is our child"));
        assert!(ended.expect("it woke").success());
    }

    fn sleep_an_hour() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let hour = async {
            let until_then = tokio::time::sleep(Duration::from_secs(3_600));
            println!("sleeping"); // now that the end of the hour is fixed
            until_then.await;
        };
        runtime.expect("it can be built").block_on(hour);
    }

    #[test]
    fn a_process_without_its_clock_file_does_not_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::create(folder.path(), None).expect("it can be written");
        fs::remove_file(&clock.path).expect("it is there");
        let mut date = Command::new("date");
        clock.govern(&mut date);
        let output = date.output().expect("date exists");
        assert_eq!(output.status.code(), Some(127));
        assert!(String::from_utf8_lossy(&output.stderr).contains("PORTCULLIS_CLOCK_FILE"));
    }
}
