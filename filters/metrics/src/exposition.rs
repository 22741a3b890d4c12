//! Prometheus text format 0.0.4.

use crate::registry::Series;
use crate::stat::{le, seconds};
use crate::{Family, Kind, Registry, StatId};
use core::fmt::Write as _;

/// Writes every family with its series; `total` tells a stat's total.
#[must_use]
pub fn exposition(registry: &Registry, total: impl Fn(StatId) -> u64) -> String {
    let mut out = String::with_capacity(registry.stat_count().saturating_mul(96));
    for (family, series) in registry.by_family() {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
        series.for_each(|one| write_series(&mut out, family, one, &total));
    }
    out
}

fn write_series(out: &mut String, family: &Family, series: &Series, total: &impl Fn(StatId) -> u64) {
    let labels = labels(family.labels, &series.values);
    let at = |offset: usize| total(StatId(series.first_stat.saturating_add(offset)));
    match family.kind {
        Kind::Counter => {
            let _ = writeln!(out, "{}{} {}", family.name, braced(&labels), at(0));
        }
        // Hosts keep a gauge below zero in two's complement.
        Kind::Gauge => {
            let _ = writeln!(out, "{}{} {}", family.name, braced(&labels), at(0).cast_signed());
        }
        Kind::Histogram(bounds) => write_histogram(out, &family.name, &labels, bounds, &at),
    }
}

fn write_histogram(out: &mut String, name: &str, labels: &str, bounds: &[u64], at: &impl Fn(usize) -> u64) {
    let comma = if labels.is_empty() { "" } else { "," };
    for bucket in 0..=bounds.len() {
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {}", le(bounds, bucket), at(bucket));
    }
    let braced = braced(labels);
    let (count, sum) = (bounds.len().saturating_add(1), bounds.len().saturating_add(2));
    let _ = writeln!(out, "{name}_sum{braced} {}\n{name}_count{braced} {}", seconds(at(sum)), at(count));
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn labels(names: &[&str], values: &[String]) -> String {
    let pairs: Vec<_> = names.iter().zip(values).map(|(n, v)| format!("{n}=\"{}\"", escaped(v))).collect();
    pairs.join(",")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn text_has_help_type_cumulative_buckets_and_a_sum_in_seconds() {
        let mut registry = Registry::new(10);
        let counter = Family {
            name: "a_total".into(),
            help: "Counts.".into(),
            kind: Kind::Counter,
            labels: &["endpoint"],
        };
        let latency = Family {
            name: "b_seconds".into(),
            help: "Times.".into(),
            kind: Kind::Histogram(&[5_000]),
            labels: &[],
        };
        let counter = registry.family(counter);
        let latency = registry.family(latency);
        registry.series(counter, &["/a\"\\"]).unwrap();
        registry.series(latency, &[]).unwrap();
        let totals = [3, 1, 2, 2, 1_500_000];
        let expected = "# HELP a_total Counts.\n# TYPE a_total counter\na_total{endpoint=\"/a\\\"\\\\\"} 3\n\
            # HELP b_seconds Times.\n# TYPE b_seconds histogram\n\
            b_seconds_bucket{le=\"0.005\"} 1\nb_seconds_bucket{le=\"+Inf\"} 2\nb_seconds_sum 1.5\nb_seconds_count 2\n";
        assert_eq!(exposition(&registry, |stat| totals[stat.0]), expected);
    }

    #[test]
    fn a_gauge_says_that_it_is_one_and_may_be_below_zero() {
        let mut registry = Registry::new(10);
        let age =
            Family { name: "age".into(), help: "An age.".into(), kind: Kind::Gauge, labels: &["document"] };
        let age = registry.family(age);
        registry.series(age, &["keys"]).unwrap();
        let expected = "# HELP age An age.\n# TYPE age gauge\nage{document=\"keys\"} -1\n";
        assert_eq!(exposition(&registry, |_| u64::MAX), expected);
    }
}
