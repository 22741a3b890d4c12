//! Prometheus' text format 0.0.4, and OpenMetrics 1.0.

use crate::block::{Block, Spelt};
use crate::stat::{le, le_float, seconds};
use crate::{Exemplar, Family, Kind, Registry, StatId};
use core::fmt::Write as _;

/// A format that metrics are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0: with units, exemplars, and an end by which a reader knows that nothing is missing.
    OpenMetrics,
}

impl Format {
    /// The format that a client prefers, by the values of its `Accept` (RFC 9110 section 12.5.1): OpenMetrics where it is named and not
    /// liked less than the text format, which is given to all others.
    pub fn negotiate<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut open, mut text) = (0_u32, 0_u32);
        for range in accept.flat_map(|line| line.split(|b| *b == b',')) {
            let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let kind = parts.next().unwrap_or_default();
            let parameters: Vec<&[u8]> = parts.collect();
            let weight = weight(&parameters);
            match kind {
                b"application/openmetrics-text" if is_version(&parameters) => open = open.max(weight),
                b"text/plain" | b"text/*" | b"*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// What it is called in `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The value of a parameter, if it has this name (RFC 9110 section 5.6.6).
fn value_of<'p>(parameter: &'p [u8], name: &[u8]) -> Option<&'p [u8]> {
    let at = parameter.iter().position(|b| *b == b'=')?;
    let (own, value) = (parameter.get(..at)?, parameter.get(at.saturating_add(1)..)?);
    own.trim_ascii().eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// Versions that can be read as 1.0.0 is written.
fn is_version(parameters: &[&[u8]]) -> bool {
    let version = parameters.iter().find_map(|parameter| value_of(parameter, b"version"));
    version.is_none_or(|version| matches!(version, b"1.0.0" | b"0.0.1" | b"\"1.0.0\""))
}

/// A range's weight in thousandths: 1 without one; 0 for one that is none.
fn weight(parameters: &[&[u8]]) -> u32 {
    let Some(text) = parameters.iter().find_map(|parameter| value_of(parameter, b"q")) else { return 1_000 };
    let weight = core::str::from_utf8(text).ok().and_then(|text| text.parse::<f32>().ok());
    // Between 0 and 1,000: nothing is cut but what is less than a thousandth.
    weight.filter(|q| (0.0..=1.0).contains(q)).map_or(0, |q| (q * 1_000.0) as u32)
}

/// Writes every family with its series; `total` tells a stat's total.
#[must_use]
pub fn exposition(registry: &Registry, format: Format, total: impl Fn(StatId) -> u64) -> String {
    let mut out = String::with_capacity(registry.stat_count().saturating_mul(96));
    let writer = Writer { registry, format, total: &total };
    for (index, block) in registry.blocks() {
        writer.write_block(&mut out, index, block);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

struct Writer<'a, T> {
    registry: &'a Registry,
    format: Format,
    total: &'a T,
}

impl<T: Fn(StatId) -> u64> Writer<'_, T> {
    fn write_block(&self, out: &mut String, index: usize, block: &Block) {
        // The series of each name, which need not lie side by side.
        let mut by_name: Vec<String> = vec![String::new(); block.names().len()];
        for offset in 0..block.series {
            let (parts, name) = block.spelt(offset);
            let first = block.first_stat.saturating_add(offset.saturating_mul(block.width()));
            self.write_to(&mut by_name, block, name, &joined(&parts), first);
        }
        for born in self.registry.born_in(index) {
            self.write_to(&mut by_name, block, born.name, &born.spelt.labels, born.first_stat);
        }
        for (at, (name, text)) in block.names().iter().zip(&by_name).enumerate() {
            self.write_head(out, block.family, name, &block.help(at));
            out.push_str(text);
        }
    }

    /// Writing to a String cannot fail, here and below.
    fn write_head(&self, out: &mut String, family: &Family, name: &str, help: &str) {
        let kind = family.kind.as_str();
        if self.format == Format::Text {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            return;
        }
        // A counter is called what its samples are without their suffix.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let _ = write!(out, "# TYPE {name} {kind}\n# HELP {name} {help}\n");
        if let Some(unit) = family.unit() {
            let _ = writeln!(out, "# UNIT {name} {unit}");
        }
    }

    fn write_to(&self, by_name: &mut [String], block: &Block, name: usize, labels: &str, first: usize) {
        let (Some(out), Some(name)) = (by_name.get_mut(name), block.names().get(name)) else { return };
        let at = |offset: usize| (self.total)(StatId(first.saturating_add(offset)));
        let labels_in_braces = braced(labels);
        match block.family.kind {
            Kind::Counter => {
                let _ = writeln!(out, "{name}{labels_in_braces} {}", at(0));
            }
            // Hosts keep a gauge below zero in two's complement.
            Kind::Gauge => {
                let _ = writeln!(out, "{name}{labels_in_braces} {}", at(0).cast_signed());
            }
            Kind::Histogram(bounds) => self.write_histogram(out, name, labels, bounds, first),
        }
    }

    fn write_histogram(&self, out: &mut String, name: &str, labels: &str, bounds: &[u64], first: usize) {
        let at = |offset: usize| (self.total)(StatId(first.saturating_add(offset)));
        let comma = if labels.is_empty() { "" } else { "," };
        for bucket in 0..=bounds.len() {
            let le = if self.format == Format::Text { le(bounds, bucket) } else { le_float(bounds, bucket) };
            let _ = write!(out, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {}", at(bucket));
            if self.format == Format::OpenMetrics
                && let Some(exemplar) = self.registry.exemplar(first.saturating_add(bucket))
            {
                write_exemplar(out, exemplar);
            }
            out.push('\n');
        }
        let braced = braced(labels);
        let (count, sum) = (bounds.len().saturating_add(1), bounds.len().saturating_add(2));
        let _ = writeln!(out, "{name}_sum{braced} {}\n{name}_count{braced} {}", seconds(at(sum)), at(count));
    }
}

fn write_exemplar(out: &mut String, (exemplar, micros): &(Exemplar, u64)) {
    let (value, at) = (seconds(*micros), seconds(exemplar.at_millis.saturating_mul(1_000)));
    let _ = write!(out, " # {{trace_id=\"{}\"}} {value} {at}", exemplar.trace_id());
}

fn joined(parts: &[&Spelt]) -> String {
    let labels = parts.iter().map(|part| part.labels.as_str()).filter(|labels| !labels.is_empty());
    labels.collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Vocabulary, metrics};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_client_gets_the_format_that_it_prefers() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            // Prometheus 2.49 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text; version = 2.0.0, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=0.3, text/plain", Format::Text),
            ("application/openmetrics-text;q=nonsense, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=-1", Format::Text),
        ] {
            assert_eq!(Format::negotiate([accept.as_bytes()].into_iter()), format, "{accept}");
        }
        let lines = [&b"text/plain;q=0.2"[..], b"\xff", b"application/openmetrics-text"];
        assert_eq!(Format::negotiate(lines.into_iter()), Format::OpenMetrics);
    }
    #[test]
    fn an_answer_says_which_format_it_has() {
        let said = |accept: &[u8]| Format::negotiate([accept].into_iter()).content_type();
        assert_eq!(said(b"*/*"), "text/plain; version=0.0.4; charset=utf-8");
        let open = said(b"application/openmetrics-text;version=1.0.0");
        assert_eq!(open, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    }

    #[test]
    fn whole_bounds_are_written_as_each_format_has_them() {
        metrics! {
            /// A histogram.
            struct Times {
                /// Times.
                times_seconds: Histogram(&[500_000, 1_000_000]) {}, promql "";
            }
        }
        let mut registry = Registry::new();
        let times = Times::build(&mut registry, &Vocabulary::default());
        times.times_seconds.observe(&mut registry, (), 1);
        let bounds = |format| {
            let text = exposition(&registry, format, |_| 0);
            let bounds = text.split("le=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
            bounds.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(bounds(Format::Text), ["0.5", "1", "+Inf"]);
        assert_eq!(bounds(Format::OpenMetrics), ["0.5", "1.0", "+Inf"]);
    }
}
