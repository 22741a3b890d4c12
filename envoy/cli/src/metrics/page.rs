//! `docs/METRICS.md`.

use super::by_label;
use core::fmt::Write as _;
use portcullis_metrics::{CANONICAL_BUCKETS, Family, Key, Kind, Values};
use portcullis_pipeline::families;

const HEAD: &str = include_str!("head.md");
const TAIL: &str = include_str!("tail.md");

/// The titles of the stages' chapters, in order.
const STAGES: [(&str, &str); 12] = [
    ("requests", "Requests"),
    ("headers", "Headers"),
    ("tokens", "Tokens"),
    ("rules", "Rules"),
    ("limits", "Limits and abuse"),
    ("breakers", "Circuit breakers"),
    ("source", "Source validation"),
    ("findings", "Findings of another instance"),
    ("guards", "All guards"),
    ("business", "Business events"),
    ("health", "The filter itself"),
    ("engine", "Series"),
];

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    let mut stages: Vec<&str> = families().map(|(stage, _)| stage).collect();
    stages.dedup();
    for stage in stages {
        let title = STAGES.iter().find(|(name, _)| *name == stage).map_or(stage, |(_, title)| title);
        let of_stage: Vec<&Family> =
            families().filter(|(of, _)| *of == stage).map(|(_, family)| family).collect();
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n## {title}\n\n");
        chapter(&mut out, &of_stage);
    }
    out.push('\n');
    out.push_str(TAIL);
    out
}

fn chapter(out: &mut String, families: &[&Family]) {
    out.push_str("| metric | type | labels | counts | for example |\n|---|---|---|---|---|\n");
    for family in families {
        let labels: Vec<&str> = family.labels().collect();
        let name = family.name.replace('{', "<").replace('}', ">");
        let (kind, labels, help) = (kind(family.kind), labels.join(", "), help(family));
        let promql = family.promql.replace('|', "\\|");
        // What compares with a bad level is empty until it is reached.
        let empty = if promql.ends_with(" == 1") { " (empty while all is well)" } else { "" };
        let _ = writeln!(out, "| `{name}` | {kind} | {labels} | {help} | `{promql}`{empty} |");
    }
    let mut told: Vec<String> = Vec::new();
    for key in families.iter().flat_map(|family| family.keys) {
        let line = values(key);
        if !told.contains(&line) {
            told.push(line);
        }
    }
    if !told.is_empty() {
        let _ = write!(out, "\n{}\n", told.join("\n"));
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Histogram(bounds) if bounds != CANONICAL_BUCKETS => {
            let bounds: Vec<String> = bounds.iter().map(|micros| seconds(*micros)).collect();
            format!("histogram ({})", bounds.join(" "))
        }
        kind => kind.as_str().to_owned(),
    }
}

/// Microseconds as seconds, as short as Prometheus' own documents write them.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.strip_prefix('0').filter(|rest| !rest.is_empty()).unwrap_or(text).to_owned()
}

fn help(family: &Family) -> String {
    let help = family.help.trim_end_matches('.').replace('{', "`<").replace('}', ">`");
    match family.when {
        Some(condition) => format!("{help}; exists where {}", condition.0),
        None => help,
    }
}

/// What the values of a key's labels are.
fn values(key: &Key) -> String {
    let labels: Vec<String> = key.labels.iter().map(|label| format!("`{label}`")).collect();
    let (labels, what) = (labels.join(", "), key.about.what);
    match key.about.values {
        Values::Fixed(rows) => {
            let listed = by_label(key, &rows()).into_iter().map(|(label, values)| {
                let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                let values = values.join(", ");
                if key.labels.len() > 1 { format!("`{label}`: {values}") } else { values }
            });
            format!("- {labels}: {what}: {}.", listed.collect::<Vec<_>>().join("; "))
        }
        Values::Policy => format!("- {labels}: {what}."),
        Values::Open => format!("- {labels}: {what}; `other` when `metrics.max_series` leaves no room."),
        Values::Heaviest(most) => {
            format!("- {labels}: {what}; at most the {most} heaviest, the rest is `other`.")
        }
    }
}
