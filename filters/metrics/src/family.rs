/// Upper bounds of the canonical latency buckets, in microseconds (.005 s to 10 s).
pub const CANONICAL_BUCKETS: &[u64] =
    &[5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];

/// Every label of every family, for the rules by which a host cuts labels out of a stat's name.
pub const LABELS: &[&str] = &[
    "document",
    "endpoint",
    "error_type",
    "le",
    "operation",
    "provider",
    "reason",
    "result",
    "source",
    "status",
    "status_code",
    "target_service",
];

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down; one value for the whole proxy. A series is either told as a level, or kept as the sum of what the
    /// workers have (see [`crate::Change`]).
    Gauge,
    /// Durations, by upper bounds in microseconds; shown in seconds.
    Histogram(&'static [u64]),
}

/// A metric: its name, its meaning and its labels.
#[derive(Clone, Debug)]
pub struct Family {
    /// Name, as Prometheus sees it. A histogram's name ends in `_seconds`.
    pub name: String,
    /// One sentence for `# HELP`.
    pub help: String,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names, in the order in which series give their values.
    pub labels: &'static [&'static str],
}
