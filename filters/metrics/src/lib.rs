//! The metric engine. It knows what a family is and none in particular.
//!
//! A stage declares its families as data ([`metrics!`]): name, kind, help, and for each label the type that its values have
//! ([`Domain`]). A policy says which values there are ([`Vocabulary`]); from both comes a [`Registry`] in which every series that can occur is
//! at 0 from the start, and in which counting is an addition to an array. [`exposition`] writes it as text from whatever totals the host has.
//!
//! A series is one or more *stats*: plain counters and gauges a host can keep. A histogram is a stat per bucket (cumulative, labelled
//! `le`), one for the count and one for the sum in microseconds, because hosts count in whole numbers.

mod block;
mod declare;
mod domain;
mod exemplar;
mod exposition;
mod family;
mod handle;
mod heaviest;
mod own;
mod policy;
mod registry;
mod shared;
mod sketch;
mod stat;
mod vocabulary;

pub use domain::{About, Axis, Domain, Domains, OTHER, Row, Spelling, Values};
pub use exemplar::Exemplar;
pub use exposition::{Format, exposition};
pub use family::{CANONICAL_BUCKETS, Family, Key, Kind, OBJECTIVE_BUCKETS, OWN_BUCKETS};
pub use handle::{Counter, Gauge, Histogram};
pub use heaviest::{Heaviest, Heavy};
pub use own::EngineMetrics;
pub use policy::{METRICS_ROUTE, MetricsPolicy, RawMetrics};
pub use registry::{Change, Registry};
pub use shared::{Endpoint, ErrorStatus, Outcome, Served, Service, Status, is_status};
pub use stat::{Stat, StatId, StatKind, instance_stat};
pub use vocabulary::{Condition, Vocabulary};
