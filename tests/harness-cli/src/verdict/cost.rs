//! Whether a step cost more than it may.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Verdict;
use crate::model::Cost;

/// What the callbacks of a step cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Units of fuel.
    pub fuel: u64,
    /// Calls of host functions, by name.
    pub host_calls: BTreeMap<String, u64>,
    /// Bytes by which the guest's memory grew.
    pub memory_growth: u64,
    /// Time, host calls included.
    pub time: Duration,
}

impl Verdict<'_> {
    pub(super) fn cost(&mut self, limits: Option<&Cost>, spent: Option<&Spent>) {
        let (Some(limits), Some(spent)) = (limits, spent) else { return };
        self.at_most("fuel", limits.fuel, spent.fuel);
        self.at_most("memory growth", limits.memory_growth, spent.memory_growth);
        for (name, limit) in limits.host_calls.iter() {
            let calls = match name.as_str() {
                "all" => spent.host_calls.values().sum(),
                name => spent.host_calls.get(name).copied().unwrap_or(0),
            };
            self.at_most(&format!("host calls: {name}"), Some(*limit), calls);
        }
        if let Some(limit) = limits.time.filter(|limit| spent.time > limit.0) {
            self.add("time", format!("{limit} at most"), format!("{:?}", spent.time));
        }
    }

    fn at_most(&mut self, what: &str, limit: Option<u64>, spent: u64) {
        if let Some(limit) = limit.filter(|limit| spent > *limit) {
            self.add(what, format!("{limit} at most"), spent.to_string());
        }
    }
}
