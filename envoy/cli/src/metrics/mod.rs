//! Every declared metric family, for people and for programs.

mod page;

pub use page::page;

use portcullis_metrics::{Family, Key, Kind, Row, Values};
use portcullis_pipeline::families;
use serde_json::{Value, json};

/// The families as JSON: a list, in the order of the stages.
#[must_use]
pub fn list() -> Value {
    families().map(|(stage, family)| entry(stage, family)).collect()
}

fn entry(stage: &str, family: &Family) -> Value {
    json!({
        "name": family.name,
        "type": family.kind.as_str(),
        "unit": family.unit(),
        "help": family.help,
        "stage": stage,
        "exists": family.when.map(|condition| format!("where {}", condition.0)),
        "name_has": family.in_name(),
        "keys": family.keys.iter().map(key).collect::<Vec<_>>(),
        "buckets_seconds": buckets(family.kind),
        "promql": family.promql,
    })
}

fn key(key: &Key) -> Value {
    let (source, values) = match key.about.values {
        Values::Fixed(rows) => ("fixed", Some(rows())),
        Values::Policy => ("policy", None),
        Values::Open => ("policy, and what occurs", None),
        Values::Heaviest(_) => ("heaviest", None),
    };
    let most = match key.about.values {
        Values::Heaviest(most) => Some(most),
        _ => None,
    };
    json!({ "labels": key.labels, "about": key.about.what, "source": source, "values": values, "most": most })
}

#[allow(clippy::cast_precision_loss, reason = "a bound is a few seconds")]
fn buckets(kind: Kind) -> Option<Vec<f64>> {
    match kind {
        Kind::Histogram(bounds) => Some(bounds.iter().map(|micros| *micros as f64 / 1e6).collect()),
        Kind::Counter | Kind::Gauge => None,
    }
}

/// The values of the labels of a key, label by label, without repetitions.
fn by_label(key: &Key, rows: &[Row]) -> Vec<(&'static str, Vec<String>)> {
    let column = |(index, label): (usize, &&'static str)| {
        let mut values: Vec<String> = Vec::new();
        for value in rows.iter().filter_map(|row| row.get(index)) {
            if !values.iter().any(|known| known == value) {
                values.push(value.to_string());
            }
        }
        (*label, values)
    };
    key.labels.iter().enumerate().map(column).collect()
}
