//! The way of a log line: the gateway writes it to its standard output, a collector reads, parses and ships it, Loki keeps it. A line has
//! three labels (`service`, `level`, `action`: a few dozen streams, whatever clients do); everything else of it is structured metadata, by
//! which it is found and which makes no streams.

mod collector;
mod loki;

pub use collector::config as collector;
pub use loki::{config as loki, rules};

/// The labels of a stream.
pub const LABELS: [&str; 3] = ["service", "level", "action"];
