//! The copy of the workspace in which every change has a switch, and its tests, built once.

use crate::mutant::Mutant;
use crate::switch::{self, ASKS, FEATURES};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the copy lies, what it is of, and what is built in it.
pub struct Copy<'m> {
    /// The workspace.
    pub root: &'m Path,
    /// The copy's folder.
    pub tree: PathBuf,
    /// What cargo builds, beside the copy.
    pub target: PathBuf,
    /// Every change; its number is its place in the list, counted from 1.
    pub mutants: &'m [Mutant],
    /// Crates whose tests are built.
    pub packages: Vec<String>,
}

/// A program of tests.
#[derive(Clone, Debug)]
pub struct TestProgram {
    /// The program.
    pub path: PathBuf,
    /// Its crate's folder: where its tests run, and what decides whether they are a change's own.
    pub folder: PathBuf,
}

/// What was built.
pub struct Built {
    /// The programs.
    pub programs: Vec<TestProgram>,
    /// The changes that have a switch.
    pub switched: BTreeSet<u32>,
    /// The changes that do not compile, behind a switch or at all.
    pub refused: BTreeSet<u32>,
}

impl Copy<'_> {
    /// Builds the tests, leaving out one change after another that does not compile.
    ///
    /// # Errors
    /// When something does not compile for which no change is to blame.
    pub fn build(&self) -> Result<Built> {
        let changed = self.copy()?;
        let mut refused = BTreeSet::new();
        // Checking is fast, and finds all but what only a whole build does.
        self.compile(&["check", "--tests", "--keep-going"], &changed, &mut refused)?;
        let (switched, messages) = self.compile(&["test", "--no-run"], &changed, &mut refused)?;
        Ok(Built { programs: programs(&messages), switched, refused })
    }

    /// Lets cargo do this until nothing is left that does not compile: the changes that have a switch, and what cargo said.
    fn compile(
        &self,
        verb: &[&str],
        changed: &[String],
        refused: &mut BTreeSet<u32>,
    ) -> Result<(BTreeSet<u32>, Vec<Value>)> {
        loop {
            let switched = self.write(changed, refused)?;
            let output = self.cargo(verb)?;
            let messages = messages(&output.stdout);
            if output.status.success() {
                return Ok((switched, messages));
            }
            let found = self.culprits(&messages);
            if found.is_empty() {
                bail!("{}\n{}", rendered(&messages), String::from_utf8_lossy(&output.stderr));
            }
            refused.extend(found);
            eprintln!("mutants: {} of {} do not compile", refused.len(), self.mutants.len());
        }
    }

    /// Copies what git knows or would add, but for the files that get switches: those are returned.
    fn copy(&self) -> Result<Vec<String>> {
        let files = self.files()?;
        self.remove_others(&files)?;
        let has_changes: BTreeSet<&str> = self.mutants.iter().map(|m| m.file.as_str()).collect();
        let gets_switches =
            |file: &String| has_changes.contains(file.as_str()) || self.is_root_of_a_changed_crate(file);
        let (changed, others): (Vec<_>, Vec<_>) = files.into_iter().partition(gets_switches);
        for file in others {
            write_if_new(&self.tree.join(&file), &self.read(&file)?)?;
        }
        Ok(changed)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        fs::read(self.root.join(file)).with_context(|| file.to_owned())
    }

    /// Writes the files that get switches, with one for each change that is not refused.
    fn write(&self, changed: &[String], refused: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
        let mut by_file: BTreeMap<&str, Vec<(u32, &Mutant)>> = BTreeMap::new();
        for (id, mutant) in (1..).zip(self.mutants).filter(|(id, _)| !refused.contains(id)) {
            by_file.entry(&mutant.file).or_default().push((id, mutant));
        }
        let mut switched = BTreeSet::new();
        for file in changed {
            let mutants = by_file.get(file.as_str()).into_iter().flatten().copied();
            let text = String::from_utf8(self.read(file)?).with_context(|| file.clone())?;
            let done = switch::switch(&text, mutants).with_context(|| file.clone())?;
            switched.extend(done.ids);
            let (features, asks) =
                if self.is_root_of_a_changed_crate(file) { (FEATURES, ASKS) } else { ("", "") };
            write_if_new(&self.tree.join(file), [features, &done.text, asks].concat().as_bytes())?;
        }
        Ok(switched)
    }

    fn is_root_of_a_changed_crate(&self, file: &str) -> bool {
        file.strip_suffix("/src/lib.rs").is_some_and(|folder| {
            self.mutants.iter().any(|m| m.file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        })
    }

    fn files(&self) -> Result<Vec<String>> {
        let args = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").args(args).current_dir(self.root).output()?;
        let names = String::from_utf8(listed.stdout)?;
        Ok(names.lines().filter(|name| self.root.join(name).is_file()).map(str::to_owned).collect())
    }

    /// Removes what an earlier copy had and this one has not.
    fn remove_others(&self, files: &[String]) -> Result<()> {
        let list = self.tree.with_extension("files");
        let before = fs::read_to_string(&list).unwrap_or_default();
        for gone in before.lines().filter(|name| !files.iter().any(|file| file == name)) {
            let _ = fs::remove_file(self.tree.join(gone));
        }
        fs::create_dir_all(&self.tree)?;
        fs::write(&list, files.join("\n")).context("the list of copied files")
    }

    fn cargo(&self, verb: &[&str]) -> Result<Output> {
        let packages = self.packages.iter().flat_map(|package| ["-p", package.as_str()]);
        let mut cargo = Command::new("cargo");
        cargo.args(verb).args(["--locked", "--message-format", "json"]).args(packages);
        // The switch of a `const fn` needs what only a nightly compiler offers.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "--cap-lints=warn");
        cargo.env("CARGO_TARGET_DIR", &self.target).env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.current_dir(&self.tree).output().context("cargo")
    }

    fn culprits(&self, messages: &[Value]) -> BTreeSet<u32> {
        let errors = messages.iter().filter(|m| m["message"]["level"] == "error").map(|m| &m["message"]);
        let mut found = BTreeSet::new();
        for error in errors {
            let spans = error["spans"].as_array().into_iter().flatten();
            for span in spans.filter(|span| span["is_primary"] == true).map(|span| self.own(span)) {
                let file = self.tree.join(span["file_name"].as_str().unwrap_or_default());
                let text = fs::read_to_string(file).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                let line =
                    span["line_start"].as_u64().and_then(|line| usize::try_from(line).ok()).unwrap_or(0);
                match error["code"]["code"].as_str() {
                    Some(NOT_EXHAUSTIVE) => found.extend(switch::arms(&lines, line)),
                    _ => found.extend(switch::culprit(&lines, line)),
                }
            }
        }
        found
    }

    /// Where the compiler means the code of this workspace, and not the macro that it calls.
    fn own<'v>(&self, mut span: &'v Value) -> &'v Value {
        let is_own = |span: &Value| {
            span["file_name"].as_str().is_some_and(|f| self.tree.join(f).starts_with(&self.tree))
        };
        while !is_own(span) && span["expansion"]["span"].is_object() {
            span = &span["expansion"]["span"];
        }
        span
    }
}

/// The compiler's number for a `match` that does not cover everything: an arm cannot be left out.
const NOT_EXHAUSTIVE: &str = "E0004";

/// What has not changed keeps its time, so that cargo does not build it again.
fn write_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn messages(stdout: &[u8]) -> Vec<Value> {
    stdout.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn programs(messages: &[Value]) -> Vec<TestProgram> {
    let tests = messages.iter().filter(|m| m["profile"]["test"] == true);
    let programs = tests.filter_map(|m| {
        let folder = Path::new(m["manifest_path"].as_str()?).parent()?.to_owned();
        Some(TestProgram { path: m["executable"].as_str()?.into(), folder })
    });
    programs.collect()
}

fn rendered(messages: &[Value]) -> String {
    let errors = messages.iter().filter(|m| m["message"]["level"] == "error");
    errors.filter_map(|m| m["message"]["rendered"].as_str()).take(5).collect()
}
