//! What became of scenarios, for people and for programs.

mod coverage;
mod diff;
mod junit;
mod tap;

use std::fmt::Write as _;

use crate::model::Side;
use crate::run::{Failure, OnSide, Outcome, Report};

pub use coverage::{coverage, covered};
pub use junit::junit;
pub use tap::tap;

/// More one-sided scenarios than this are a mistake of whoever wrote them.
const MOST_ONE_SIDED_PER_CENT: usize = 5;

/// A side's name.
#[must_use]
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Harness => "harness",
        Side::Envoy => "envoy",
    }
}

/// A line for a report that passed, all about one that did not.
#[must_use]
pub fn told(report: &Report) -> String {
    let mut out = String::new();
    let (file, ms) = (report.file.display(), report.took.as_millis());
    let _ = match &report.result {
        Outcome::Skipped { only, because } => {
            writeln!(out, "skip  {} ({} only: {because})", report.name, side(*only))
        }
        _ if report.passed() => writeln!(out, "ok    {} ({}, {ms} ms)", report.name, sides(report)),
        _ => writeln!(out, "FAIL  {} ({file}, {ms} ms)", report.name),
    };
    out + &details(report)
}

fn sides(report: &Report) -> String {
    let Outcome::Ran(sides, _) = &report.result else { return String::new() };
    sides.iter().map(|on| side(on.side)).collect::<Vec<_>>().join(" = ")
}

/// Why a report did not pass; nothing if it did.
#[must_use]
pub fn details(report: &Report) -> String {
    match &report.result {
        Outcome::Unusable(unusable) => indented(&unusable.long),
        Outcome::Skipped { .. } => String::new(),
        Outcome::Ran(sides, differences) => {
            let failures = sides.iter().map(on_side).collect::<String>();
            failures + &diff::all(differences)
        }
    }
}

fn on_side(on: &OnSide) -> String {
    let mut out = String::new();
    let mut last = None;
    for failure in &on.failures {
        match failure {
            Failure::Broken(why) => out.push_str(&indented(&format!("on {}: {why}", side(on.side)))),
            Failure::Step(number, title, mismatch) => {
                if last != Some(*number) {
                    let _ = writeln!(out, "      on {}, step {number}: {title}", side(on.side));
                    last = Some(*number);
                }
                out.push_str(&indented(&indented(&mismatch.to_string()).replace("\n      ", "\n    ")));
            }
        }
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

/// How many of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sum {
    pub scenarios: usize,
    pub on_harness: usize,
    pub on_envoy: usize,
    pub compared: usize,
    pub differences: usize,
    pub one_sided: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Sum {
    /// Adds everything up.
    #[must_use]
    pub fn of(reports: &[Report]) -> Self {
        let mut sum = Self { scenarios: reports.len(), ..Self::default() };
        for report in reports {
            sum.failed += usize::from(!report.passed());
            match &report.result {
                Outcome::Unusable(_) => {}
                Outcome::Skipped { .. } => {
                    sum.skipped += 1;
                    sum.one_sided += 1;
                }
                Outcome::Ran(sides, differences) => {
                    let ran = |wanted: Side| sides.iter().filter(|on| on.side == wanted).count();
                    sum.on_harness += ran(Side::Harness);
                    sum.on_envoy += ran(Side::Envoy);
                    sum.compared += usize::from(sides.len() == 2);
                    sum.differences += differences.len();
                    sum.one_sided += usize::from(sides.iter().any(|on| on.only));
                }
            }
        }
        sum
    }

    /// Whether too many scenarios run on one side only. Of a few, two may: whoever runs one folder of many is told the share of that.
    #[must_use]
    pub fn is_too_one_sided(&self) -> bool {
        self.one_sided > 2 && self.one_sided * 100 > self.scenarios * MOST_ONE_SIDED_PER_CENT
    }

    /// Whether everything is as it should be.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed == 0 && !self.is_too_one_sided()
    }

    /// A few lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{} scenarios: {} on the harness", self.scenarios, self.on_harness);
        let _ = write!(out, ", {} on Envoy, {} on both", self.on_envoy, self.compared);
        let _ = write!(out, "; {} differences, {} failed", self.differences, self.failed);
        let share = (self.one_sided * 100).checked_div(self.scenarios).unwrap_or(0);
        let _ = writeln!(out, "; {} one-sided ({share} %)", self.one_sided);
        if self.is_too_one_sided() {
            let _ = writeln!(out, "error: more than {MOST_ONE_SIDED_PER_CENT} % run on one side only");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_twentieth_one_sided_is_too_much() {
        let sum = |one_sided, scenarios| Sum { one_sided, scenarios, ..Sum::default() };
        assert!(!sum(2, 40).is_too_one_sided() && sum(3, 40).is_too_one_sided());
        assert!(!sum(2, 3).is_too_one_sided() && sum(3, 14).is_too_one_sided());
    }
}
