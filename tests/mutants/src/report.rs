//! What came of the changes: a table of crates, and lists of those that no test noticed.

use crate::judged::Judged;
use crate::mutant::Mutant;
use crate::run::Outcome;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// Counts of a crate.
#[derive(Default)]
struct Counts {
    tried: usize,
    own: usize,
    other: usize,
}

/// What is said in the end.
pub struct Report<'m> {
    crates: BTreeMap<&'m str, Counts>,
    /// Not noticed, and nobody has said why.
    missed: Vec<(&'m Mutant, Outcome)>,
    /// Not noticed, with the reason why nothing has to notice.
    judged: Vec<(&'m Mutant, &'m str)>,
    /// Judged, but noticed, or no longer there.
    stale: Vec<&'m str>,
}

impl<'m> Report<'m> {
    /// Counts the outcomes of the changes, which are numbered from 1.
    pub fn new(mutants: &'m [Mutant], outcomes: &BTreeMap<u32, Outcome>, judged: &'m Judged) -> Self {
        let mut report =
            Self { crates: BTreeMap::new(), missed: Vec::new(), judged: Vec::new(), stale: Vec::new() };
        let mut alive = BTreeSet::new();
        let tried = (1..).zip(mutants).filter_map(|(id, mutant)| Some((mutant, *outcomes.get(&id)?)));
        for (mutant, outcome) in tried {
            let counts = report.crates.entry(mutant.folder()).or_default();
            counts.tried += 1;
            match outcome {
                Outcome::Own => counts.own += 1,
                Outcome::Other => counts.other += 1,
                Outcome::Missed | Outcome::Unreached => {
                    let name = mutant.lasting_name();
                    match judged.get(&name) {
                        Some(why) => report.judged.push((mutant, why)),
                        None => report.missed.push((mutant, outcome)),
                    }
                    alive.insert(name);
                }
            }
        }
        let of_tried_crates =
            |name: &&String| name.split('/').nth(1).is_some_and(|folder| report.crates.contains_key(folder));
        report.stale = judged
            .keys()
            .filter(of_tried_crates)
            .filter(|name| !alive.contains(*name))
            .map(String::as_str)
            .collect();
        report
    }

    /// Percent of the changes that were noticed; those that make no difference count as not noticed.
    pub fn percent(&self) -> f64 {
        let sum = |of: fn(&Counts) -> usize| self.crates.values().map(of).sum::<usize>();
        let (noticed, tried) = (sum(|c| c.own + c.other), sum(|c| c.tried));
        if tried == 0 { 0.0 } else { 100.0 * noticed as f64 / tried as f64 }
    }

    /// Writes `missed.txt` and `judged.txt`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let missed = self.missed.iter().map(|(mutant, outcome)| match outcome {
            Outcome::Unreached => format!("{} (no test reaches it)\n", mutant.name),
            _ => format!("{}\n", mutant.name),
        });
        fs::write(folder.join("missed.txt"), missed.collect::<String>())?;
        let judged = self.judged.iter().map(|(mutant, why)| format!("{} -- {why}\n", mutant.name));
        fs::write(folder.join("judged.txt"), judged.collect::<String>())?;
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| crate | changes | noticed by its own tests | by others' | not |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for (name, Counts { tried, own, other }) in &self.crates {
            writeln!(f, "| {name} | {tried} | {own} | {other} | {} |", tried - own - other)?;
        }
        writeln!(
            f,
            "{:.1} % noticed; {} not, for a reason; {} not (missed.txt)",
            self.percent(),
            self.judged.len(),
            self.missed.len()
        )?;
        for (mutant, _) in &self.missed {
            writeln!(f, "missed: {}", mutant.name)?;
        }
        for name in &self.stale {
            writeln!(f, "judged, but noticed or gone: {name}")?;
        }
        Ok(())
    }
}
