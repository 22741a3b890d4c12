use crate::{About, Axis, Condition, Vocabulary};

/// Upper bounds of the canonical latency buckets, in microseconds (.005 s to 10 s).
pub const CANONICAL_BUCKETS: &[u64] =
    &[5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];

/// The same with 200 ms, an objective's bound.
pub const OBJECTIVE_BUCKETS: &[u64] = &[
    5_000, 10_000, 25_000, 50_000, 100_000, 200_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Bounds for what a gateway itself takes: mostly less than a millisecond.
pub const OWN_BUCKETS: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down; one value for the whole proxy. A series is either set, or kept as the sum of what the workers have (see
    /// [`crate::Change`]).
    Gauge,
    /// Durations, by upper bounds in microseconds; shown in seconds.
    Histogram(&'static [u64]),
}

impl Kind {
    /// As `# TYPE` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A declared metric family: everything that is known of it before there is a policy. [`crate::metrics!`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name, as Prometheus sees it. `{label}` in it stands for a label's value: one family for each value then, whose series do not
    /// have that label.
    pub name: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What tells its series apart.
    pub keys: &'static [Key],
    /// Where it exists; everywhere if nothing is said.
    pub when: Option<&'static Condition>,
    /// A query that answers what people ask of this metric.
    pub promql: &'static str,
}

/// One label, or several whose values depend on each other.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The labels' names.
    pub labels: &'static [&'static str],
    /// Where their values come from.
    pub about: &'static About,
    /// The values that a policy makes possible.
    pub axis: fn(&Vocabulary) -> Axis,
    /// Whether a text could occur that is not among them.
    pub admits: fn(&str) -> bool,
}

impl Family {
    /// The unit of its values as OpenMetrics names it, or nothing: the end of its name says it.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes", "ratio"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")))
    }

    /// The label that its name has in its place, if one.
    #[must_use]
    pub fn in_name(&self) -> Option<&'static str> {
        let (_, rest) = self.name.split_once('{')?;
        rest.split_once('}').map(|(label, _)| label)
    }

    /// The labels of its series, in order.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        let in_name = self.in_name();
        self.keys.iter().flat_map(|key| key.labels).copied().filter(move |label| Some(*label) != in_name)
    }

    /// Its name and help where the label in its name has this value.
    pub(crate) fn filled(&self, text: &'static str, value: &str) -> String {
        self.in_name().map_or_else(|| text.to_owned(), |label| text.replace(&format!("{{{label}}}"), value))
    }
}
