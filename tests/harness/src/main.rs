//! The harness from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_harness::{LoadError, inspect};

/// Runs proxy-wasm modules off-proxy, the way Envoy would.
#[derive(Parser)]
#[command(name = "portcullis-harness", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what a module is: ABI version, imports, exports, sections, and whether it loads.
    Inspect {
        /// The module.
        module: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Inspect { module } => inspect_file(module),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Exit status 0 if the module would load, 1 if not.
fn inspect_file(path: PathBuf) -> Result<ExitCode, LoadError> {
    let bytes = std::fs::read(&path).map_err(|source| LoadError::Unreadable { path, source })?;
    let inspection = inspect(&bytes)?;
    print!("{inspection}");
    Ok(if inspection.loads.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
