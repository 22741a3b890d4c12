//! The sides that scenarios run on.

mod envoy;
mod harness;

pub use envoy::envoy;
pub use harness::{Modules, harness};

use crate::seen::Seen;

/// What came of a scenario on one side.
#[derive(Clone, Debug)]
pub enum Ran {
    /// Every step, in order.
    Steps(Vec<Seen>),
    /// The configuration was refused; what was logged.
    Refused(Vec<String>),
    /// It could not be run: why.
    Failed(String),
}
