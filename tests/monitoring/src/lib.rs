//! A real Prometheus with the samples of a real gateway, whose time was moved.

mod prometheus;
pub mod stack;
mod timeline;

pub use prometheus::{Answer, Prometheus, tool};
pub use timeline::Timeline;
