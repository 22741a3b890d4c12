//! What the recording rules say of the last five minutes of the hour. Rules that need what others have recorded over days (objectives'
//! windows, bands) have tests of their own, over series of such a length; here Prometheus must take them.

use crate::compare::{Asker, Tally};
use crate::expected::{Ledger, last_minutes};
use crate::script::Hour;
use portcullis_monitoring::{Group, Rule};
use std::collections::BTreeMap;

/// How other rules name what one records: objectives' by their label.
fn selector(rule: &Rule) -> String {
    match rule.labels.get("slo") {
        Some(slo) => format!("{}{{slo=\"{slo}\"}}", rule.record),
        None => rule.record.clone(),
    }
}

/// Asks every recording rule.
pub fn ask(groups: &[Group], asker: &Asker<'_>, hour: &Hour) -> Tally {
    let mut tally = Tally::default();
    let recent = hour.last(10);
    let expected = last_minutes(&Ledger(&recent));
    let rules = groups.iter().flat_map(|group| &group.rules).filter(|rule| !rule.record.is_empty());
    let rules: Vec<_> = rules.collect();
    let of: BTreeMap<String, &str> = rules.iter().map(|rule| (selector(rule), &*rule.expr)).collect();
    for rule in rules {
        tally.queries += 1;
        // Nothing is recorded yet: what a rule takes from another is written out, but for those over days.
        let is_written_out = |name: &str| {
            name.starts_with("gateway") == rule.record.starts_with("gateway") && !name.contains("anomaly")
        };
        let expr = of
            .iter()
            .filter(|(name, _)| is_written_out(name))
            .fold(rule.expr.clone(), |expr, (name, inner)| expr.replace(name, &format!("({inner})")));
        let slo = rule.labels.get("slo").map(String::as_str).unwrap_or_default();
        let key = format!("{}{slo}", rule.record);
        match (asker.prometheus.query(&expr, asker.end), expected.get(&*key)) {
            (Err(error), _) => tally.differences.push(format!("{key}: {error}")),
            (Ok(answer), Some(expected)) => {
                tally.panels += 1;
                let without_job = answer.into_iter().map(|(mut labels, value)| {
                    labels.remove("job");
                    (labels, value)
                });
                let found = asker.compare(&without_job.collect(), expected);
                tally.differences.extend(found.into_iter().map(|found| format!("{key}: {found}")));
            }
            (Ok(_), None) => {}
        }
    }
    let unknown = expected.keys().filter(|key| {
        !groups
            .iter()
            .flat_map(|group| &group.rules)
            .any(|rule| key.starts_with(&*rule.record) && !rule.record.is_empty())
    });
    tally.differences.extend(unknown.map(|key| format!("there is no rule {key}")));
    tally
}
