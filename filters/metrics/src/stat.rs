//! The plain counters and gauges that a series is kept in.

use crate::Kind;

/// A stat's place among all stats of its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatId(pub usize);

/// What a host keeps a stat in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// The host's counter: only ever added to.
    Counter,
    /// The host's gauge: added to with either sign, or set.
    Gauge,
}

/// A counter or gauge for the host to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name and labels in one string, labels in Istio's tag convention (`label=.=value;.;`) in front of the name; the
    /// host's tag rules cut them out again.
    pub name: String,
    /// What to define it as.
    pub kind: StatKind,
}

/// How many stats a series of this kind has: a histogram has one per bound, one for +Inf, the count and the sum.
pub(crate) fn width(kind: Kind) -> usize {
    match kind {
        Kind::Counter | Kind::Gauge => 1,
        Kind::Histogram(bounds) => bounds.len().saturating_add(3),
    }
}

/// A bucket's upper bound as its `le` label: seconds, shortest form.
pub(crate) fn le(bounds: &[u64], bucket: usize) -> String {
    bounds.get(bucket).map_or_else(|| "+Inf".to_owned(), |micros| seconds(*micros))
}

/// The same as OpenMetrics writes it: a floating point number always has a fraction.
pub(crate) fn le_float(bounds: &[u64], bucket: usize) -> String {
    let le = le(bounds, bucket);
    let is_whole = le.bytes().all(|b| b.is_ascii_digit());
    if is_whole { le + ".0" } else { le }
}

/// Microseconds as decimal seconds, exactly, without trailing zeros.
pub(crate) fn seconds(micros: u64) -> String {
    let (whole, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let text = format!("{whole}.{fraction:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A label and its value as a part of a stat's name.
pub(crate) fn tag(label: &str, value: &str) -> String {
    [label, "=.=", value, ";.;"].concat()
}

/// The name of a stat without labels, of one instance among several in a proxy.
#[must_use]
pub fn instance_stat(instance: &str, name: &str) -> String {
    [&tag(crate::block::INSTANCE, instance), name].concat()
}

/// The stats of a series of `name` with `tags`. Thousands of names are made at every start: each is put together in one piece.
/// `les` are the tags of the buckets, the same for every series of a family.
pub(crate) fn stats_of(kind: Kind, name: &str, tags: &[&str], les: &[String]) -> Vec<Stat> {
    let tags = tags.concat();
    let (names, kind) = match kind {
        Kind::Counter => (vec![[&tags, name].concat()], StatKind::Counter),
        Kind::Gauge => (vec![[&tags, name].concat()], StatKind::Gauge),
        Kind::Histogram(_) => (histogram_names(name, &tags, les), StatKind::Counter),
    };
    names.into_iter().map(|name| Stat { name, kind }).collect()
}

pub(crate) fn le_tags(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter | Kind::Gauge => Vec::new(),
        Kind::Histogram(bounds) => (0..=bounds.len()).map(|bucket| tag("le", &le(bounds, bucket))).collect(),
    }
}

fn histogram_names(name: &str, tags: &str, les: &[String]) -> Vec<String> {
    let base = name.strip_suffix("_seconds").unwrap_or(name);
    let buckets = les.iter().map(|le| [le, tags, name, "_bucket"].concat());
    buckets.chain([[tags, name, "_count"].concat(), [tags, base, "_microseconds_sum"].concat()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn seconds_are_exact_and_short() {
        let shown: Vec<_> = [0, 5_000, 250_000, 1_000_000, 2_500_000, 10_000_000, 1].map(seconds).into();
        assert_eq!(shown, ["0", "0.005", "0.25", "1", "2.5", "10", "0.000001"]);
    }

    #[test]
    fn a_histogram_is_kept_in_counters_whose_tags_can_be_cut_out() {
        let kind = Kind::Histogram(&[5_000]);
        let stats = stats_of(kind, "x_seconds", &[&tag("endpoint", "/a/{id}")], &le_tags(kind));
        let names: Vec<_> = stats.iter().map(|stat| stat.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "le=.=0.005;.;endpoint=.=/a/{id};.;x_seconds_bucket",
                "le=.=+Inf;.;endpoint=.=/a/{id};.;x_seconds_bucket",
                "endpoint=.=/a/{id};.;x_seconds_count",
                "endpoint=.=/a/{id};.;x_microseconds_sum",
            ]
        );
        assert_eq!(names.len(), width(kind));
        assert!(stats.iter().all(|stat| stat.kind == StatKind::Counter));
    }

    #[test]
    fn bounds_have_a_fraction_in_openmetrics() {
        let shown: Vec<_> = (0..4).map(|bucket| le_float(&[5_000, 1_000_000, 10_000_000], bucket)).collect();
        assert_eq!(shown, ["0.005", "1.0", "10.0", "+Inf"]);
    }

    #[test]
    fn only_a_gauge_is_kept_in_a_gauge() {
        let kinds = [Kind::Counter, Kind::Gauge].map(|kind| stats_of(kind, "x", &[], &[])[0].kind);
        assert_eq!(kinds, [StatKind::Counter, StatKind::Gauge]);
    }
}
