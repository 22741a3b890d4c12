//! A real Prometheus with the samples of a real gateway, whose time was moved.

mod logql;
mod prometheus;
pub mod stack;
mod timeline;

pub use logql::in_logsql;
pub use prometheus::{Answer, Prometheus, tool};
pub use timeline::Timeline;
