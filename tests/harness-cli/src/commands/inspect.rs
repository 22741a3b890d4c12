//! `inspect`: what a module is.

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_harness::{Inspection, LoadError, inspect as look};
use serde_json::{Value, json};

use super::{show, unusable};

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    /// The module.
    module: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Exit status 0 if the module would load, 1 if not, 2 if it is none.
pub fn inspect(arguments: Arguments) -> ExitCode {
    let path = arguments.module;
    let bytes = std::fs::read(&path).map_err(|source| LoadError::Unreadable { path, source });
    match bytes.and_then(|bytes| look(&bytes)) {
        Ok(inspection) => {
            let text =
                if arguments.json { format!("{:#}\n", as_json(&inspection)) } else { inspection.to_string() };
            show(&text);
            if inspection.loads.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => unusable(&error),
    }
}

fn as_json(inspection: &Inspection) -> Value {
    let named = |list: &[(String, String)]| -> Value {
        list.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect()
    };
    let sections: Value =
        inspection.sections.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect();
    json!({
        "bytes": inspection.size,
        "abi": inspection.abi.as_ref().ok().map(ToString::to_string),
        "loads": inspection.loads.is_ok(),
        "error": inspection.loads.as_ref().err().map(ToString::to_string),
        "imports": named(&inspection.imports),
        "exports": named(&inspection.exports),
        "never_called": inspection.never_called,
        "sections": sections,
    })
}
