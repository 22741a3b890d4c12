//! The commands, a file each.

pub mod bench;
pub mod inspect;
pub mod new;
pub mod profile;
pub mod run;
pub mod serve;
mod wire;

use portcullis_harness_cli::plan;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which scenarios, with which modules.
#[derive(clap::Args)]
pub struct Scenarios {
    /// Scenario files, and folders of them.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Take this module in the place of every one that the scenarios name.
    #[arg(long)]
    module: Option<PathBuf>,
    /// A folder to look for modules in, behind that of the scenario.
    #[arg(long, value_name = "DIR")]
    module_dir: Vec<PathBuf>,
}

impl Scenarios {
    /// Where their modules are.
    fn modules(&self) -> plan::Modules {
        plan::Modules { instead: self.module.clone(), folders: self.module_dir.clone() }
    }
}

/// Prints; whoever closes the pipe early has seen enough.
pub fn show(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Exit status 2, with the reason.
pub fn unusable(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}
