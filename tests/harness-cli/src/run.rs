//! Running scenarios: on the sides that were asked for, several at a time, each against what it expects, and the sides
//! against each other.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{self, Ran};
use crate::model::Side;
use crate::plan::{self, Plan, Unusable};
use crate::verdict::{Mismatch, mismatches, missing_lines};

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// On which sides.
    pub sides: Vec<Side>,
    /// Where modules are.
    pub modules: plan::Modules,
    /// How many scenarios at a time.
    pub jobs: usize,
    /// Only scenarios whose name or file contains this.
    pub filter: Option<String>,
    /// Mistakes are shown in colour.
    pub colour: bool,
}

/// What became of a file.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// What it shows; the file's name if it holds no scenario.
    pub name: String,
    /// How long it took, all sides together.
    pub took: Duration,
    /// What became of it.
    pub result: Outcome,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome {
    /// It holds no scenario.
    Unusable(Unusable),
    /// It ran, on these sides.
    Ran(Vec<OnSide>, Option<Difference>),
    /// None of the sides that were asked for is one that it runs on.
    Skipped {
        /// The side it runs on.
        only: Side,
        /// Why.
        because: String,
    },
}

/// What became of a scenario on one side.
#[derive(Debug)]
pub struct OnSide {
    /// The side.
    pub side: Side,
    /// Whether it runs on this side only.
    pub only: bool,
    /// What is not as expected.
    pub failures: Vec<Failure>,
}

/// Something that is not as expected.
#[derive(Debug)]
pub enum Failure {
    /// The scenario could not be run to its end.
    Broken(String),
    /// A step, its number from 1, and what is not as expected.
    Step(usize, String, Mismatch),
}

/// The first step whose outcome differs between the sides.
#[derive(Debug)]
pub struct Difference {
    /// Its number from 1; 0 for the start.
    pub step: usize,
    /// What it does.
    pub title: String,
    /// What came of it on the harness.
    pub harness: String,
    /// What came of it on Envoy.
    pub envoy: String,
}

impl Report {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn passed(&self) -> bool {
        match &self.result {
            Outcome::Unusable(_) => false,
            Outcome::Skipped { .. } => true,
            Outcome::Ran(sides, difference) => {
                difference.is_none() && sides.iter().all(|side| side.failures.is_empty())
            }
        }
    }
}

/// Runs files, and tells of each as soon as it is done. The reports come in the order of the files.
pub fn run(files: &[PathBuf], options: &Options, tell: &(dyn Fn(&Report) + Sync)) -> Vec<Report> {
    let modules = backend::Modules::default();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, files.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(number) else { break };
                    let Some(report) = one(file, options, &modules) else { continue };
                    tell(&report);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, report));
                }
            });
        }
    });
    let mut reports = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    reports.sort_by_key(|(number, _)| *number);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// `None` if the filter leaves it out.
fn one(file: &Path, options: &Options, modules: &backend::Modules) -> Option<Report> {
    let started = Instant::now();
    let report =
        |name: String, result| Report { file: file.to_owned(), name, took: started.elapsed(), result };
    let shown = file.display().to_string();
    let plan = match plan::load(file, &options.modules, options.colour) {
        Ok(plan) => plan,
        Err(unusable) => return Some(report(shown, Outcome::Unusable(unusable))),
    };
    let wanted = options.filter.as_ref().is_none_or(|text| plan.name.contains(text) || shown.contains(text));
    wanted.then(|| {
        let result = on_sides(&plan, options, modules);
        report(plan.name, result)
    })
}

fn on_sides(plan: &Plan, options: &Options, modules: &backend::Modules) -> Outcome {
    let may = |side: &Side| plan.only.as_ref().is_none_or(|(only, _)| only == side);
    let sides: Vec<_> = options.sides.iter().copied().filter(may).collect();
    if let (true, Some((only, because))) = (sides.is_empty(), &plan.only) {
        return Outcome::Skipped { only: *only, because: because.clone() };
    }
    let ran: Vec<_> = sides.iter().map(|side| (*side, on_side(plan, *side, modules))).collect();
    let judged = ran.iter().map(|(side, ran)| OnSide {
        side: *side,
        only: plan.only.is_some(),
        failures: failures(plan, ran),
    });
    let difference = match ran.as_slice() {
        [(Side::Harness, harness), (Side::Envoy, envoy)] => difference(plan, harness, envoy),
        _ => None,
    };
    Outcome::Ran(judged.collect(), difference)
}

fn on_side(plan: &Plan, side: Side, modules: &backend::Modules) -> Ran {
    match side {
        Side::Harness => backend::harness(plan, modules),
        Side::Envoy => backend::envoy(plan),
    }
}

fn failures(plan: &Plan, ran: &Ran) -> Vec<Failure> {
    match ran {
        Ran::Failed(why) => vec![Failure::Broken(why.clone())],
        Ran::Refused(lines) if plan.refused.is_empty() => {
            vec![Failure::Broken(format!("the configuration was refused:\n{}", lines.join("\n")))]
        }
        Ran::Refused(lines) => {
            let missing = missing_lines(&plan.refused, lines).into_iter();
            missing.map(|mismatch| Failure::Step(0, "start".to_owned(), mismatch)).collect()
        }
        Ran::Steps(_) if !plan.refused.is_empty() => {
            vec![Failure::Broken("the configuration was to be refused, and was taken".to_owned())]
        }
        Ran::Steps(steps) => {
            let each = plan.steps.iter().zip(steps).enumerate().filter_map(|(index, (step, seen))| {
                let found = mismatches(step.expect.as_ref()?, seen, &plan.tokens).into_iter();
                Some(found.map(move |mismatch| Failure::Step(index + 1, step.title.clone(), mismatch)))
            });
            each.flatten().collect()
        }
    }
}

fn difference(plan: &Plan, harness: &Ran, envoy: &Ran) -> Option<Difference> {
    match (harness, envoy) {
        (Ran::Steps(harness), Ran::Steps(envoy)) => {
            let steps = plan.steps.iter().zip(harness.iter().zip(envoy)).enumerate();
            let texts = steps.map(|(index, (step, (harness, envoy)))| Difference {
                step: index + 1,
                title: step.title.clone(),
                harness: harness.text(&plan.volatile),
                envoy: envoy.text(&plan.volatile),
            });
            texts.into_iter().find(|difference| difference.harness != difference.envoy)
        }
        // What could not be run has been told already.
        (Ran::Failed(_), _) | (_, Ran::Failed(_)) => None,
        (harness, envoy) => {
            let (harness, envoy) = (start_text(harness), start_text(envoy));
            let title = "start".to_owned();
            (harness != envoy).then_some(Difference { step: 0, title, harness, envoy })
        }
    }
}

/// How the start went; a plugin's lines once each, for how many VMs say the same is no outcome.
fn start_text(ran: &Ran) -> String {
    let Ran::Refused(lines) = ran else { return "the configuration was taken\n".to_owned() };
    let mut told: Vec<String> = Vec::new();
    for line in lines.iter().map(|line| crate::normal::text(line)) {
        if !told.contains(&line) {
            told.push(line);
        }
    }
    format!("the configuration was refused\n{}\n", told.join("\n"))
}
