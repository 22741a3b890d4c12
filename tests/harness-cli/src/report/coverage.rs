//! Which functions of the modules were reached.

use std::fmt::Write as _;

use crate::backend::Covered;

/// A line a module: how many of its functions were reached.
#[must_use]
pub fn covered(covered: &Covered) -> String {
    let mut out = String::new();
    for (module, functions) in covered {
        let reached = functions.values().filter(|reached| **reached).count();
        let share = (reached * 100).checked_div(functions.len()).unwrap_or(0);
        let _ = writeln!(
            out,
            "{}: {reached} of {} functions reached ({share} %)",
            module.display(),
            functions.len()
        );
    }
    out
}

/// Every function of every module, `+` those that were reached, `-` the others.
#[must_use]
pub fn coverage(all: &Covered) -> String {
    let mut out = String::new();
    for (module, functions) in all {
        let _ = writeln!(out, "{}", module.display());
        for (name, reached) in functions {
            let _ = writeln!(out, "{} {name}", if *reached { '+' } else { '-' });
        }
    }
    out
}
