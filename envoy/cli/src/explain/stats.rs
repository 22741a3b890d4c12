//! The series that a request moves.

use portcullis_metrics::Change;
use portcullis_pipeline::{GatewayMetrics, Record};

/// Counts a record and names every series that moved, with what was added, in the order of their names. Buckets of histograms are
/// left out: each observation moves many.
pub fn moved(record: &Record, metrics: &mut GatewayMetrics) -> Vec<(String, i64)> {
    let mut names: Vec<String> = metrics.registry().stats_from(0).map(|stat| series(&stat.name)).collect();
    // What a new policy sets its gauges to is no request's doing.
    metrics.flush(|_, _| {});
    record.count(metrics, true);
    names.extend(metrics.registry().stats_from(names.len()).map(|stat| series(&stat.name)));
    let mut moved = Vec::new();
    metrics.flush(|stat, change| {
        if let (Some(name), Change::Add(by)) = (names.get(stat.0), change)
            && !name.contains("_bucket{")
        {
            moved.push((name.clone(), by));
        }
    });
    moved.sort();
    moved
}

/// A stat's name with its labels as Prometheus writes them; in the stat they stand as `label=.=value;.;` in front of the name.
fn series(stat: &str) -> String {
    let mut parts: Vec<&str> = stat.split(";.;").collect();
    let name = parts.pop().unwrap_or_default();
    let labels: Vec<String> = parts
        .iter()
        .filter_map(|part| part.split_once("=.="))
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::series;

    #[test]
    fn a_stat_is_shown_as_prometheus_writes_its_series() {
        assert_eq!(
            series("endpoint=.=/a/{id};.;status_code=.=200;.;x_total"),
            r#"x_total{endpoint="/a/{id}",status_code="200"}"#
        );
        assert_eq!(series("x_total"), "x_total");
    }
}
