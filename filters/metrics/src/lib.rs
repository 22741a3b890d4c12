//! The metric set.
//!
//! Three layers, each usable without the next: a [`Registry`] holds families and series as data; an [`Accumulator`] counts
//! in the VM, where an increment is an addition to an array, and hands over what changed since the last flush; [`GatewayMetrics`]
//! knows which series a finished request and its token move. [`exposition`] writes the registry as Prometheus text from whatever totals the
//! host has.
//!
//! A series is one or more *stats*: plain counters and gauges a host can keep. A histogram is a stat per bucket (cumulative, labelled
//! `le`), one for the count and one for the sum in microseconds, because hosts count in whole numbers.

mod accumulator;
mod auth;
mod auth_series;
mod exposition;
mod family;
mod gateway;
mod policy;
mod registry;
mod stat;

pub use accumulator::{Accumulator, Change};
pub use auth::{AuthCatalogue, AuthObservation, TokenResult};
pub use exposition::exposition;
pub use family::{CANONICAL_BUCKETS, Family, Kind, LABELS};
pub use gateway::{Catalogue, Endpoint, GatewayMetrics, Observation, ProxyError};
pub use policy::{MetricsPolicy, RawMetrics};
pub use registry::{FamilyId, Registry, SeriesId};
pub use stat::{Stat, StatId, StatKind};
