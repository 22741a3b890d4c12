//! The differences that are known and cannot be helped, each with its reason.

use crate::case::Case;
use crate::printed::Difference;
use serde_json::Value;

const FILE: &str = include_str!("differences.yaml");

pub struct Known(Vec<(String, Difference)>);

impl Known {
    /// # Panics
    /// If the file is not what it should be: it is part of the test.
    pub fn read() -> Self {
        let entries: Vec<Value> = serde_saphyr::from_str(FILE).expect("differences.yaml is a list");
        Self(entries.iter().map(entry_of).collect())
    }

    pub fn of(&self, case: &str) -> Vec<&Difference> {
        self.0.iter().filter(|(name, _)| name == case).map(|(_, difference)| difference).collect()
    }

    /// Names of cases that do not exist.
    pub fn cases_beside(&self, all: &[Case]) -> Vec<String> {
        let exists = |name: &str| all.iter().any(|case| case.name == name);
        self.0.iter().filter(|(name, _)| !exists(name)).map(|(name, _)| name.clone()).collect()
    }
}

fn entry_of(entry: &Value) -> (String, Difference) {
    let lines = |side: &str| -> Vec<String> {
        let lines = entry[side].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().map(|line| line.as_str().expect("a line is text").to_owned()).collect()
    };
    let reason = entry["reason"].as_str().unwrap_or_default();
    assert!(reason.len() > 10, "a difference needs a reason: {entry}");
    let case = entry["case"].as_str().expect("a difference belongs to a case").to_owned();
    (case, Difference { harness: lines("harness"), envoy: lines("envoy") })
}

/// A difference as it would stand in the file.
pub fn entry(case: &str, difference: &Difference) -> String {
    let lines = |side: &str, lines: &[String]| -> String {
        let quoted = lines.iter().map(|line| format!("\n    - '{}'", line.replace('\'', "''")));
        if lines.is_empty() { String::new() } else { format!("\n  {side}:{}", quoted.collect::<String>()) }
    };
    let (harness, envoy) = (lines("harness", &difference.harness), lines("envoy", &difference.envoy));
    format!("- case: {case}\n  reason: ?{harness}{envoy}")
}
