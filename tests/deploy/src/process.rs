//! Other programs: those that run on, and those that answer and end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The checkout.
#[must_use]
pub fn root() -> PathBuf {
    portcullis_e2e::workspace().to_owned()
}

/// A tool that `tests/deploy/tools.sh` built, such as `kubernetes/kubectl`.
///
/// # Panics
/// If it is not there, saying how to get it.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = root().join(".tools/deploy").join(name);
    assert!(path.exists(), "{} is missing: run tests/deploy/tools.sh all", path.display());
    path
}

/// A program of this checkout or of the system, without what this process has in its environment beyond the usual.
#[must_use]
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.stdin(Stdio::null());
    command
}

/// A program that runs until this value is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it prints goes to `NAME.log` in `folder`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let again = file.try_clone().expect("a file can be opened twice");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Fails with the end of its log if it has ended.
    ///
    /// # Errors
    /// Its last lines.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => panic!("{} ended with {status}:\n{}", self.name, self.tail(30)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, so that pilot-agent ends its Envoy too; then for certain.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = crate::wait_until(|| match self.child.try_wait() {
            Ok(None) => Err("it runs".to_owned()),
            _ => Ok(()),
        });
        if ended.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("== the end of {}'s log:\n{}", self.name, self.tail(30));
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Output {
    /// What it printed.
    ///
    /// # Panics
    /// If it failed.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program to its end.
///
/// # Panics
/// If it cannot be started.
#[track_caller]
#[must_use]
pub fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
