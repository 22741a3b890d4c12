//! Prometheus text format 0.0.4.

use crate::block::{Block, Spelt};
use crate::stat::{le, seconds};
use crate::{Kind, Registry, StatId};
use core::fmt::Write as _;

/// Writes every family with its series; `total` tells a stat's total.
#[must_use]
pub fn exposition(registry: &Registry, total: impl Fn(StatId) -> u64) -> String {
    let mut out = String::with_capacity(registry.stat_count().saturating_mul(96));
    for (index, block) in registry.blocks() {
        // The series of each name, which need not lie side by side.
        let mut by_name: Vec<String> = vec![String::new(); block.names().len()];
        for offset in 0..block.series {
            let (parts, name) = block.spelt(offset);
            let first = block.first_stat.saturating_add(offset.saturating_mul(block.width()));
            write_to(&mut by_name, block, name, &joined(&parts), first, &total);
        }
        for born in registry.born_in(index) {
            write_to(&mut by_name, block, born.name, &born.spelt.labels, born.first_stat, &total);
        }
        for (at, (name, text)) in block.names().iter().zip(&by_name).enumerate() {
            let (help, kind) = (block.help(at), block.family.kind.as_str());
            // Writing to a String cannot fail, here and below.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{text}");
        }
    }
    out
}

fn write_to(
    by_name: &mut [String],
    block: &Block,
    name: usize,
    labels: &str,
    first: usize,
    total: &impl Fn(StatId) -> u64,
) {
    if let (Some(out), Some(name)) = (by_name.get_mut(name), block.names().get(name)) {
        let at = |offset: usize| total(StatId(first.saturating_add(offset)));
        write_series(out, block.family.kind, name, labels, &at);
    }
}

fn joined(parts: &[&Spelt]) -> String {
    let labels = parts.iter().map(|part| part.labels.as_str()).filter(|labels| !labels.is_empty());
    labels.collect::<Vec<_>>().join(",")
}

fn write_series(out: &mut String, kind: Kind, name: &str, labels: &str, at: &impl Fn(usize) -> u64) {
    match kind {
        Kind::Counter => {
            let _ = writeln!(out, "{name}{} {}", braced(labels), at(0));
        }
        // Hosts keep a gauge below zero in two's complement.
        Kind::Gauge => {
            let _ = writeln!(out, "{name}{} {}", braced(labels), at(0).cast_signed());
        }
        Kind::Histogram(bounds) => write_histogram(out, name, labels, bounds, at),
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
