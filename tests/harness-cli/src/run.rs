//! Running scenarios: on the sides that were asked for, several at a time, each against what it expects, and the sides
//! against each other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{self, Ran};
use crate::model::{Expect, Side};
use crate::plan::{self, Plan, Unusable};
use crate::seen::Seen;
use crate::verdict::{Mismatch, mismatches, mismatches_of_each, missing_lines};

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
    /// Metrics of the plugins that moved, by name, on any side.
    pub moved: BTreeSet<String>,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome {
    /// It holds no scenario.
    Unusable(Unusable),
    /// It ran, on these sides.
    Ran(Vec<OnSide>, Vec<Difference>),
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

/// A step whose outcome differs between the sides.
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
                difference.is_empty() && sides.iter().all(|side| side.failures.is_empty())
            }
        }
    }
}

/// Runs the scenarios of files, and tells of each as soon as it is done. The reports come in the order of the files.
pub fn run(
    files: &[PathBuf],
    options: &Options,
    modules: &backend::Modules,
    tell: &(dyn Fn(&Report) + Sync),
) -> Vec<Report> {
    let loaded = each(files, options.jobs, &|file: &PathBuf| {
        let started = Instant::now();
        let plans = plan::load(file, &options.modules, options.colour);
        (plans, started.elapsed())
    });
    let mut jobs = Vec::new();
    for (file, (plans, took)) in files.iter().zip(loaded) {
        match plans {
            Ok(plans) => jobs.extend(
                plans.into_iter().filter(|plan| options.wants(plan)).map(|plan| Job::Run(Box::new(plan))),
            ),
            Err(unusable) => jobs.push(Job::Told(file.clone(), took, unusable)),
        }
    }
    each(&jobs, options.jobs, &|job| {
        let report = report(job, options, modules);
        tell(&report);
        report
    })
}

/// What to do.
enum Job {
    Run(Box<Plan>),
    Told(PathBuf, Duration, Unusable),
}

/// Does this with each, several at a time; the results come in order.
fn each<T: Sync, R: Send>(all: &[T], jobs: usize, run: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, all.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(number) else { break };
                    let result = run(one);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut results = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

impl Options {
    fn wants(&self, plan: &Plan) -> bool {
        let within = |text: &str| self.filter.as_ref().is_none_or(|part| text.contains(part));
        within(&plan.name) || within(&plan.file.display().to_string())
    }
}

fn report(job: &Job, options: &Options, modules: &backend::Modules) -> Report {
    let started = Instant::now();
    match job {
        Job::Told(file, took, unusable) => Report {
            file: file.clone(),
            name: file.display().to_string(),
            took: *took,
            result: Outcome::Unusable(unusable.clone()),
            moved: BTreeSet::new(),
        },
        Job::Run(plan) => {
            let (result, moved) = on_sides(plan, options, modules);
            Report {
                file: plan.file.clone(),
                name: plan.name.clone(),
                took: started.elapsed(),
                result,
                moved,
            }
        }
    }
}

fn on_sides(plan: &Plan, options: &Options, modules: &backend::Modules) -> (Outcome, BTreeSet<String>) {
    let may = |side: &Side| plan.only.as_ref().is_none_or(|(only, _)| only == side);
    let sides: Vec<_> = options.sides.iter().copied().filter(may).collect();
    if let (true, Some((only, because))) = (sides.is_empty(), &plan.only) {
        return (Outcome::Skipped { only: *only, because: because.clone() }, BTreeSet::new());
    }
    let ran: Vec<_> = sides.iter().map(|side| (*side, on_side(plan, *side, modules))).collect();
    let judged = ran.iter().map(|(side, ran)| OnSide {
        side: *side,
        only: plan.only.is_some(),
        failures: failures(plan, ran),
    });
    let differences = match ran.as_slice() {
        [(Side::Harness, harness), (Side::Envoy, envoy)] => differences(plan, harness, envoy),
        _ => Vec::new(),
    };
    let moved = ran.iter().flat_map(|(_, ran)| &ran.steps).flat_map(|step| step.metrics.keys());
    let moved = moved.filter_map(|series| series.split('{').next()).map(str::to_owned).collect();
    (Outcome::Ran(judged.collect(), differences), moved)
}

/// A mistake of ours ends this scenario, and no other.
fn on_side(plan: &Plan, side: Side, modules: &backend::Modules) -> Ran {
    let run = || match side {
        Side::Harness => backend::harness(plan, modules),
        Side::Envoy => backend::envoy(plan),
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Ran::never(format!("this is a bug of the harness: {text}"))
    })
}

fn failures(plan: &Plan, ran: &Ran) -> Vec<Failure> {
    let mut failures: Vec<_> = start_failures(plan, ran);
    for (index, (step, seen)) in plan.steps.iter().zip(&ran.steps).enumerate() {
        let nothing = Expect::default();
        let found = mismatches(step.expect.as_ref().unwrap_or(&nothing), seen, &plan.tokens).into_iter();
        let found = found.chain(mismatches_of_each(&step.each, seen, &plan.tokens));
        failures.extend(found.map(|mismatch| Failure::Step(index + 1, step.title.clone(), mismatch)));
    }
    failures.extend(ran.stopped.clone().map(Failure::Broken));
    failures
}

fn start_failures(plan: &Plan, ran: &Ran) -> Vec<Failure> {
    if ran.stopped.is_some() && ran.steps.is_empty() && ran.start == Seen::default() {
        return Vec::new();
    }
    let lines: Vec<_> = ran.start.logs.iter().map(|log| log.text.clone()).collect();
    let unexpected = match (&plan.refused, ran.is_refused()) {
        (None, true) => {
            let why = [&ran.start.refusal[..], &lines[..]].concat();
            Some(format!("the configuration was refused:\n{}", why.join("\n")))
        }
        (Some(_), false) => Some("the configuration was to be refused, and was taken".to_owned()),
        _ => None,
    };
    let missing = plan.refused.iter().flat_map(|patterns| missing_lines(patterns, &lines));
    let missing = missing.filter(|_| ran.is_refused());
    let found = missing.chain(mismatches(&plan.start, &ran.start, &plan.tokens));
    let found = found.map(|mismatch| Failure::Step(0, "start".to_owned(), mismatch));
    unexpected.map(Failure::Broken).into_iter().chain(found).collect()
}

/// Every step that came to an end on both sides, and whose outcome differs.
fn differences(plan: &Plan, harness: &Ran, envoy: &Ran) -> Vec<Difference> {
    let start = Difference {
        step: 0,
        title: "start".to_owned(),
        harness: harness.start.start_text(&plan.volatile),
        envoy: envoy.start.start_text(&plan.volatile),
    };
    let steps = plan.steps.iter().zip(harness.steps.iter().zip(&envoy.steps)).enumerate();
    let steps = steps.map(|(index, (step, (harness, envoy)))| Difference {
        step: index + 1,
        title: step.title.clone(),
        harness: harness.text(&plan.volatile),
        envoy: envoy.text(&plan.volatile),
    });
    // What did not start has been told already.
    let started = [harness, envoy].iter().all(|ran| ran.start.refused.is_some());
    let all = std::iter::once(start).filter(|_| started).chain(steps);
    all.filter(|difference| difference.harness != difference.envoy).collect()
}
