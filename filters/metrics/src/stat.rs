//! The plain counters and gauges that a series is kept in.

use crate::{Family, Kind};

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

/// Microseconds as decimal seconds, exactly, without trailing zeros.
pub(crate) fn seconds(micros: u64) -> String {
    let (whole, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let text = format!("{whole}.{fraction:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What the stats of a histogram's buckets are named by: `le` in the tag convention. The same for every series of a family.
pub(crate) fn le_tags(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter | Kind::Gauge => Vec::new(),
        Kind::Histogram(bounds) => (0..=bounds.len()).map(|b| format!("le=.={};.;", le(bounds, b))).collect(),
    }
}

/// The stats of a series. Thousands of names are made at every start: each is put together in one piece.
pub(crate) fn stats_of(
    family: &Family,
    le_tags: &[String],
    values: &[String],
    first: usize,
) -> Vec<(StatId, Stat)> {
    let tags = tags(family.labels, values);
    let names = match family.kind {
        Kind::Counter | Kind::Gauge => vec![[tags.as_str(), &family.name].concat()],
        Kind::Histogram(_) => histogram_names(&family.name, &tags, le_tags),
    };
    let kind = if family.kind == Kind::Gauge { StatKind::Gauge } else { StatKind::Counter };
    (first..).zip(names).map(|(id, name)| (StatId(id), Stat { name, kind })).collect()
}

fn histogram_names(name: &str, tags: &str, le_tags: &[String]) -> Vec<String> {
    let base = name.strip_suffix("_seconds").unwrap_or(name);
    let buckets = le_tags.iter().map(|le| [le, tags, name, "_bucket"].concat());
    buckets.chain([[tags, name, "_count"].concat(), [tags, base, "_microseconds_sum"].concat()]).collect()
}

fn tags(labels: &[&str], values: &[String]) -> String {
    labels.iter().zip(values).fold(String::new(), |mut out, (label, value)| {
        [label, "=.=", value, ";.;"].into_iter().for_each(|part| out.push_str(part));
        out
    })
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
        let family = Family {
            name: "x_seconds".into(),
            help: String::new(),
            kind: Kind::Histogram(&[5_000]),
            labels: &["endpoint"],
        };
        let names: Vec<_> = stats_of(&family, &le_tags(family.kind), &["/a/{id}".into()], 7)
            .into_iter()
            .map(|(id, s)| (id.0, s.name))
            .collect();
        assert_eq!(
            names,
            [
                (7, "le=.=0.005;.;endpoint=.=/a/{id};.;x_seconds_bucket".to_owned()),
                (8, "le=.=+Inf;.;endpoint=.=/a/{id};.;x_seconds_bucket".to_owned()),
                (9, "endpoint=.=/a/{id};.;x_seconds_count".to_owned()),
                (10, "endpoint=.=/a/{id};.;x_microseconds_sum".to_owned()),
            ]
        );
        assert_eq!(names.len(), width(family.kind));
    }

    #[test]
    fn only_a_gauge_is_kept_in_a_gauge() {
        let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram(&[])].map(|kind| {
            let family = Family { name: "x".into(), help: String::new(), kind, labels: &[] };
            stats_of(&family, &le_tags(kind), &[], 0)
                .into_iter()
                .map(|(_, stat)| stat.kind)
                .collect::<Vec<_>>()
        });
        assert_eq!(kinds[0], [StatKind::Counter]);
        assert_eq!(kinds[1], [StatKind::Gauge]);
        assert_eq!(kinds[2], [StatKind::Counter; 3]);
    }
}
