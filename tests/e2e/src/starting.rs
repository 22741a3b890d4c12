//! From a configuration to an Envoy that serves.

use crate::process::OwnedChild;
use crate::{Admin, EnvoyConfig, Lines, wait_for};
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

const ADMIN_ADDRESS_FILE: &str = "admin-address";

/// Why Envoy is not running.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// It ended before it was ready: a refused configuration, for one.
    #[error("Envoy ended with {status} before it was ready:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log, which says why.
        log: String,
    },
    /// It was not ready in time.
    #[error("Envoy was not ready within {within:?}; the end of its log:\n{log}")]
    NotReady {
        /// The time that it had.
        within: Duration,
        /// The end of its log.
        log: String,
    },
    /// The system failed us.
    #[error("cannot run Envoy: {0}")]
    Io(#[from] io::Error),
}

/// The command line for `config`, whose files are written into `folder`.
pub(crate) fn command_for(config: &EnvoyConfig, binary: &Path, folder: &Path) -> io::Result<Command> {
    for (name, contents) in &config.files {
        fs::write(folder.join(name), contents.replace(crate::config::FOLDER, &folder.to_string_lossy()))?;
    }
    let bootstrap = folder.join("bootstrap.json");
    fs::write(&bootstrap, config.effective_bootstrap(folder).to_string())?;
    let mut command = Command::new(binary);
    command.arg("--config-path").arg(bootstrap);
    command.arg("--admin-address-path").arg(folder.join(ADMIN_ADDRESS_FILE));
    command.args(["--concurrency", &config.workers.to_string(), "--log-level", &config.log_level]);
    // Hot restart would make parallel Envoys share a region of memory; the access log is to be seen at once.
    let flush_every = config.flush_every.as_millis().to_string();
    command.args(["--disable-hot-restart", "--file-flush-interval-msec", &flush_every]);
    command.args(&config.arguments).envs(config.environment.iter().cloned());
    Ok(command)
}

/// An Envoy that does not serve yet.
pub(crate) struct Starting {
    pub(crate) child: OwnedChild,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Starting {
    pub(crate) fn new(mut child: OwnedChild) -> io::Result<Self> {
        let (stdout, stderr) = child.take_output().ok_or_else(|| io::Error::other("no pipes"))?;
        Ok(Self { child, stdout: Lines::read("stdout", stdout), stderr: Lines::read("stderr", stderr) })
    }

    /// Waits until the workers serve, and returns the admin interface.
    pub(crate) fn wait_until_serving(
        &mut self,
        folder: &Path,
        within: Duration,
    ) -> Result<Admin, EnvoyError> {
        let outcome = wait_for(within, || match self.child.ended() {
            Ok(Some(status)) => Some(Err(self.ended(status))),
            Ok(None) => admin_in(folder).filter(Admin::is_serving).map(Ok),
            Err(error) => Some(Err(error.into())),
        });
        outcome.unwrap_or_else(|| Err(EnvoyError::NotReady { within, log: self.stderr.tail(50) }))
    }

    fn ended(&self, status: ExitStatus) -> EnvoyError {
        self.stderr.wait_for_end(Duration::from_secs(1));
        EnvoyError::Ended { status, log: self.stderr.tail(400) }
    }
}

/// Envoy writes its admin address into a file; until it has, there is none.
fn admin_in(folder: &Path) -> Option<Admin> {
    let address = fs::read_to_string(folder.join(ADMIN_ADDRESS_FILE)).ok()?;
    address.trim().parse().ok().map(Admin::at)
}
