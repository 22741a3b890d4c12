//! `tests/mutants/judged.txt`: changes that no test notices, and why none has to.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Changes by their lasting names, each with the reason.
pub type Judged = BTreeMap<String, String>;

/// Reads the file. A line is `file: what becomes what in which function -- why`; lines that begin with `#` and empty ones are skipped.
///
/// # Errors
/// A line without a reason, or one that stands there twice.
pub fn read(text: &str) -> Result<Judged> {
    let mut judged = Judged::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, why)) = line.split_once(" -- ").filter(|(_, why)| !why.trim().is_empty()) else {
            bail!("`{line}`: expected ` -- ` and a reason");
        };
        if judged.insert(name.trim().to_owned(), why.trim().to_owned()).is_some() {
            bail!("`{name}` stands there twice");
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_has_a_name_and_a_reason() {
        let judged = read("# why\n\na.rs: replace | with ^ in f -- no bit is in both\n").unwrap();
        assert_eq!(judged["a.rs: replace | with ^ in f"], "no bit is in both");
    }

    #[test]
    fn without_a_reason_or_twice_is_a_mistake() {
        for wrong in ["a.rs: replace | with ^ in f", "a -- ", "a -- b\na -- c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
