//! `envoy --mode validate`.

use crate::starting::{EnvoyError, command_for};
use crate::{EnvoyConfig, binary};
use std::process::ExitStatus;

/// What Envoy thinks of a configuration.
#[derive(Clone, Debug)]
pub struct Validation {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, both streams.
    pub output: String,
}

impl Validation {
    /// Whether Envoy would start.
    pub fn is_ok(&self) -> bool {
        self.status.success()
    }
}

/// Lets Envoy check the configuration, plugins included, without serving.
///
/// # Panics
/// If Envoy cannot be run.
#[track_caller]
pub fn validate(config: &EnvoyConfig) -> Validation {
    try_validate(config).unwrap_or_else(|error| panic!("{error}"))
}

fn try_validate(config: &EnvoyConfig) -> Result<Validation, EnvoyError> {
    let folder = tempfile::tempdir()?;
    let mut command = command_for(config, &binary(), folder.path())?;
    let output = command.args(["--mode", "validate"]).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Validation { status: output.status, output: String::from_utf8_lossy(&text).into_owned() })
}
