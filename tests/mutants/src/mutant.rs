//! A change of the code in one place, as `cargo mutants --list --json` names it.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// One change.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    /// The crate.
    pub package: String,
    /// The file, from the workspace's root.
    pub file: String,
    /// All of it in one line: `file:line:column: what becomes what in which function`.
    pub name: String,
    /// What kind of place is changed.
    pub genre: Genre,
    /// What stands there instead; empty where something is left out.
    pub replacement: String,
    /// Where it stands.
    pub span: Span,
}

/// What kind of place is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Genre {
    /// A function's whole body.
    FnValue,
    /// An operator between two operands.
    BinaryOperator,
    /// An operator before an operand.
    UnaryOperator,
    /// An arm of a `match`, left out.
    MatchArm,
    /// The condition of an arm.
    MatchArmGuard,
    /// A field of a struct that has a base (`..base`), left out.
    StructField,
}

/// Where something begins.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    /// Its first character.
    pub start: Place,
}

/// A character's place; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Mutant {
    /// The change without the line it stands in, which moves: `file: what becomes what in which function`.
    pub fn lasting_name(&self) -> String {
        let what = self.name.split_once(": ").map_or(self.name.as_str(), |(_, what)| what);
        format!("{}: {what}", self.file)
    }

    /// The crate's folder under `filters/`.
    pub fn folder(&self) -> &str {
        self.file.split('/').nth(1).unwrap_or_default()
    }
}

/// Every change of the workspace at `root`.
///
/// # Errors
/// When `cargo mutants` fails.
pub fn list(root: &Path) -> Result<Vec<Mutant>> {
    let listed = Command::new("cargo").args(["mutants", "--list", "--json"]).current_dir(root).output()?;
    if !listed.status.success() {
        bail!("cargo mutants --list: {}", String::from_utf8_lossy(&listed.stderr));
    }
    serde_json::from_slice(&listed.stdout).context("the list of cargo-mutants")
}
