//! Changes the code under `filters/` in one place at a time, as cargo-mutants lists the places, and says what no test notices.
//!
//! cargo-mutants builds a crate anew for each change, which takes a night for all of them. Here all changes are in one build, each behind
//! a switch that the environment sets, and only tests that pass through a change are run for it. What cannot stand behind a switch (a
//! constant's value, a function that returns `impl Trait`, a field of a struct) is left to cargo-mutants.

mod build;
mod judged;
mod mutant;
mod report;
mod run;
mod switch;

use anyhow::{Context, Result, bail};
use build::{Built, Copy};
use clap::Parser;
use mutant::Mutant;
use run::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is asked for.
#[derive(Parser)]
struct Args {
    /// Only this crate's changes, with its own tests (`jwt` for portcullis-jwt); may be given several times.
    #[arg(long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Crates outside `filters/` whose tests are run as well.
    #[arg(long = "with", value_name = "PACKAGE", default_value = "portcullis-cli")]
    with: Vec<String>,
    /// Percent of the changes that have to be noticed.
    #[arg(long, default_value_t = 90.0)]
    at_least: f64,
    /// Try what cannot stand behind a switch with cargo-mutants, too: a build for each.
    #[arg(long)]
    rest: bool,
    /// Where the copy of the workspace and the lists go.
    #[arg(long, default_value = "target/tmp/mutants")]
    output: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let root = std::env::current_dir()?;
    let output = root.join(&args.output);
    fs::create_dir_all(&output)?;
    let list = "tests/mutants/judged.txt";
    let judged = judged::read(&fs::read_to_string(root.join(list)).context(list)?)?;
    let mutants: Vec<Mutant> = mutant::list(&root)?.into_iter().filter(|m| args.has(m)).collect();
    eprintln!("mutants: {} changes; building the tests with all of them", mutants.len());
    let (tree, target) = (output.join("tree"), output.join("target"));
    let copy = Copy { root: &root, tree, target, mutants: &mutants, packages: args.tested(&mutants) };
    let built = copy.build()?;
    let rest = rest(&mutants, &built.switched, &built.refused);
    let outcomes = outcomes(&copy, built, &output)?;
    let report = report::Report::new(&mutants, &outcomes, &judged);
    report.write(&output)?;
    print!("{report}");
    println!("{} cannot stand behind a switch", rest.len());
    if args.rest {
        cargo_mutants(&root, &output, &rest)?;
    }
    if report.percent() < args.at_least {
        bail!("{:.1} % were noticed, {} at least have to be", report.percent(), args.at_least);
    }
    Ok(())
}

/// Runs each test once, then the tests that pass through a change, for each change.
fn outcomes(copy: &Copy<'_>, built: Built, output: &Path) -> Result<BTreeMap<u32, Outcome>> {
    eprintln!("mutants: running each test once");
    let tests = run::trace(&built.programs, &output.join("reached"))?;
    let suite = run::Suite { programs: built.programs, tests };
    let ids: Vec<u32> = built.switched.into_iter().collect();
    eprintln!("mutants: {} tests, {} changes to be tried", suite.tests.len(), ids.len());
    let of = |id: u32| id.checked_sub(1).and_then(|at| copy.mutants.get(usize::try_from(at).ok()?));
    let folder = |id: u32| copy.tree.join("filters").join(of(id).map(Mutant::folder).unwrap_or_default());
    Ok(suite.run(&ids, folder))
}

impl Args {
    fn has(&self, mutant: &Mutant) -> bool {
        self.packages.is_empty() || self.packages.iter().any(|name| *name == mutant.folder())
    }

    /// The crates whose tests are built.
    fn tested(&self, mutants: &[Mutant]) -> Vec<String> {
        let own: BTreeSet<String> = mutants.iter().map(|m| m.package.clone()).collect();
        let with = self.with.iter().filter(|_| self.packages.is_empty()).cloned();
        own.into_iter().chain(with).collect()
    }
}

/// The changes that have no switch but may compile: those that stand where none can be, and those that a switch alone keeps from
/// compiling, because both branches of a function that returns `impl Trait` must have one type.
fn rest<'m>(mutants: &'m [Mutant], switched: &BTreeSet<u32>, refused: &BTreeSet<u32>) -> Vec<&'m Mutant> {
    let is_left = |(id, mutant): &(u32, &Mutant)| match refused.contains(id) {
        true => mutant.name.contains("-> impl "),
        false => !switched.contains(id),
    };
    (1..).zip(mutants).filter(is_left).map(|(_, mutant)| mutant).collect()
}

fn cargo_mutants(root: &Path, output: &Path, rest: &[&Mutant]) -> Result<()> {
    let names = rest.iter().flat_map(|mutant| ["--re".to_owned(), format!("^{}$", escaped(&mutant.name))]);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["mutants", "--no-times", "--minimum-test-timeout", "60", "--output"])
        .arg(output.join("rest"));
    // Its status says whether anything was missed; its lists say what.
    cargo.args(names).current_dir(root).status().context("cargo mutants")?;
    Ok(())
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    let quoted = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || " :/_".contains(c) => c.to_string(),
        c => format!("\\x{{{:x}}}", u32::from(c)),
    });
    quoted.collect()
}
