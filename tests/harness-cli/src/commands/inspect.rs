//! `inspect`: what a module is.

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_harness::{LoadError, inspect as look};

use super::{show, unusable};

/// Exit status 0 if the module would load, 1 if not, 2 if it is none.
pub fn inspect(path: PathBuf) -> ExitCode {
    let bytes = std::fs::read(&path).map_err(|source| LoadError::Unreadable { path, source });
    match bytes.and_then(|bytes| look(&bytes)) {
        Ok(inspection) => {
            show(&inspection.to_string());
            if inspection.loads.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => unusable(&error),
    }
}
