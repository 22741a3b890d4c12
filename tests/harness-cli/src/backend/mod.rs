//! The sides that scenarios run on.

mod built;
mod clients;
mod connection;
mod envoy;
mod harness;
mod measure;
mod sendable;
mod shared;

pub use built::own_address;
pub use envoy::{envoy, other_version};
pub use harness::{Covered, Modules, harness};
pub use measure::{Load, bench, profiled};

use crate::seen::Seen;

/// What came of a scenario on one side.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// What came of the start; whether the configuration was refused, too.
    pub start: Seen,
    /// The steps that came to an end, in order.
    pub steps: Vec<Seen>,
    /// Why it went no further; `None` if it ran to its end.
    pub stopped: Option<String>,
}

impl Ran {
    /// It did not even start.
    #[must_use]
    pub fn never(why: impl Into<String>) -> Self {
        Self { stopped: Some(why.into()), ..Self::default() }
    }

    /// Whether the configuration was refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.start.refused == Some(true)
    }
}

/// So long a step lasts at most, by the scenario's clock: what has not come until then never comes.
pub const LONGEST: std::time::Duration = std::time::Duration::from_secs(600);
