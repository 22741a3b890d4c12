//! A running Envoy.

use crate::clock::Clock;
use crate::event_loops::Look;
use crate::process::{OwnedChild, spawn};
use crate::starting::{EnvoyError, Starting, command_for};
use crate::{
    Admin, Answer, EnvoyConfig, Lines, PATIENCE, Request, Samples, Usage, try_binary, usage_of, wait_for,
};
use nix::sys::signal::Signal;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// A running Envoy, which is killed when this value is dropped. If that happens because a test fails, the tail of its
/// output is printed with the failure.
pub struct Envoy {
    child: Mutex<OwnedChild>,
    pid: u32,
    admin: Admin,
    listeners: Vec<(String, SocketAddr)>,
    stdout: Lines,
    stderr: Lines,
    clock: Option<Clock>,
    start_up: Duration,
    folder: TempDir,
}

/// How an Envoy ended that was told to.
pub struct Ended {
    /// The exit status.
    pub status: ExitStatus,
    /// Its standard output: the access log, if that goes there.
    pub stdout: Lines,
    /// Its standard error: Envoy's own log.
    pub stderr: Lines,
}

impl Envoy {
    /// Starts an Envoy and waits until it serves.
    ///
    /// # Panics
    /// With its log, if it does not; or if there is no Envoy to start (see [`crate::binary`]).
    #[track_caller]
    pub fn start(config: EnvoyConfig) -> Self {
        Self::try_start(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts an Envoy and waits until it serves.
    ///
    /// # Errors
    /// Why it does not; there may be no Envoy to start (see [`crate::binary`]).
    pub fn try_start(config: EnvoyConfig) -> Result<Self, EnvoyError> {
        let folder = tempfile::tempdir()?;
        let binary = try_binary().map_err(io::Error::other)?;
        let mut command = command_for(&config, &binary, folder.path())?;
        let clock = match config.wall_clock {
            _ if !config.time_travel => None,
            Some(time) if config.frozen => Some(Clock::frozen(folder.path(), time)?),
            time => Some(Clock::create(folder.path(), time)?),
        };
        clock.iter().for_each(|clock| clock.govern(&mut command));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut starting = Starting::new(spawn(command)?)?;
        let admin = starting.wait_until_serving(folder.path(), config.ready_within)?;
        let start_up = started.elapsed();
        let listeners = admin.listeners().map_err(io::Error::other)?;
        let Starting { child, stdout, stderr } = starting;
        let pid = child.pid();
        let child = Mutex::new(child);
        Ok(Self { child, pid, admin, listeners, stdout, stderr, clock, start_up, folder })
    }

    /// Where the first listener of the bootstrap listens.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().expect("the bootstrap has a static TCP listener").1
    }

    /// Where the listener `name` listens.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.find_listener(name).unwrap_or_else(|| panic!("no listener {name:?} among {:?}", self.listeners))
    }

    /// Where the listener `name` listens, if there is one.
    pub fn find_listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|(own, _)| own == name).map(|(_, address)| *address)
    }

    /// Sends a GET to the first listener.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }

    /// Sends a request to the first listener, over HTTP/1.1.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        request.send(self.address())
    }

    /// The admin interface.
    pub fn admin(&self) -> Admin {
        self.admin
    }

    /// What `/stats/prometheus` of the admin interface says.
    #[track_caller]
    pub fn samples(&self) -> Samples {
        self.admin.samples()
    }

    /// Its standard output: the access log, if that goes there.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// Its standard error: Envoy's own log, what plugins log included.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Moves its clocks, wall and monotonic, forward. Requests see the new time at once; timers that are due fire within
    /// about 5 ms, when their event loop wakes. Real time goes on from there.
    ///
    /// All timers of Envoy travel too: connections idle for longer than their time-out are closed, for one.
    ///
    /// # Panics
    /// If it was started without time travel.
    #[track_caller]
    pub fn travel(&self, by: Duration) {
        let clock = self.clock.as_ref().expect("this Envoy was started without time travel");
        clock.travel(by).unwrap_or_else(|error| panic!("the clock cannot be moved: {error}"));
    }

    /// Its wall clock.
    pub fn now(&self) -> SystemTime {
        self.clock.as_ref().map_or_else(SystemTime::now, Clock::now)
    }

    /// Whether its event loops rest while its clocks stand still, and how long until the next timer of any of them. Looks no
    /// longer than `patience`.
    ///
    /// # Errors
    /// If the file that they share with us cannot be read, or this Envoy was started without time travel.
    pub fn look(&self, patience: Duration) -> io::Result<Look> {
        let clock = self.clock.as_ref().ok_or_else(|| io::Error::other("no time travel"))?;
        clock.look(Instant::now() + patience)
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).ended().ok().flatten()
    }

    /// Waits until everything that it has written so far has been read: a line of our own follows it through both pipes.
    ///
    /// # Errors
    /// If the process has ended, or nobody reads.
    pub fn read_all_output(&self) -> io::Result<()> {
        for (number, lines) in [(1, &self.stdout), (2, &self.stderr)] {
            lines.catch_up(&PathBuf::from(format!("/proc/{}/fd/{number}", self.pid)))?;
        }
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The CPU time and memory that it has used up to now.
    ///
    /// # Panics
    /// If it has ended.
    #[track_caller]
    pub fn usage(&self) -> Usage {
        usage_of(self.pid()).unwrap_or_else(|error| panic!("Envoy has ended: {error}"))
    }

    /// The time from its start until it served, to about 5 ms.
    pub fn start_up(&self) -> Duration {
        self.start_up
    }

    /// Its own folder, where the files of [`EnvoyConfig::file`] are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a file of [`EnvoyConfig::file`] at one stroke, as Envoy's file-based discovery wants it.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[track_caller]
    pub fn replace_file(&self, name: &str, contents: &str) {
        let (target, new) = (self.folder().join(name), self.folder().join(format!("{name}.new")));
        let contents = contents.replace(crate::config::FOLDER, &self.folder().to_string_lossy());
        let replaced = fs::write(&new, contents).and_then(|()| fs::rename(&new, &target));
        replaced.unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    }

    /// Tells it to end (SIGTERM), and waits until it has. What it does at shutdown can be seen in the outcome.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn shut_down(self) -> Ended {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .signal(Signal::SIGTERM)
            .unwrap_or_else(|error| panic!("Envoy has ended: {error}"));
        let status = wait_for(PATIENCE, || self.ended());
        let status = status.unwrap_or_else(|| panic!("Envoy did not end within {PATIENCE:?}"));
        assert!(self.stdout.wait_for_end(PATIENCE) && self.stderr.wait_for_end(PATIENCE), "output goes on");
        Ended { status, stdout: self.stdout.clone(), stderr: self.stderr.clone() }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.keep_folder();
            eprintln!("Envoy's last words:\n{}{}", self.stderr.tail(40), self.stdout.tail(20));
            eprintln!("its bootstrap: {}", kept.display());
        }
    }
}

impl Envoy {
    /// A failed test leaves its bootstrap for a look.
    fn keep_folder(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder().join("bootstrap.json")
    }
}
