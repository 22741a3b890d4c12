//! The Test Anything Protocol, version 13.

use std::fmt::Write as _;

use super::details;
use crate::run::{Outcome, Report};

/// The reports in TAP.
#[must_use]
pub fn tap(reports: &[Report]) -> String {
    let mut out = format!("TAP version 13\n1..{}\n", reports.len());
    for (index, report) in reports.iter().enumerate() {
        let result = if report.passed() { "ok" } else { "not ok" };
        let name = report.name.replace('#', "\\#");
        let _ = write!(out, "{result} {} - {name}", index + 1);
        match &report.result {
            Outcome::Skipped { because, .. } => {
                let _ = writeln!(out, " # SKIP {because}");
            }
            _ => out.push('\n'),
        }
        details(report).lines().for_each(|line| {
            let _ = writeln!(out, "# {}", line.trim_end());
        });
    }
    out
}
