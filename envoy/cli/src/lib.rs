//! What the `portcullis` command does, as a library: read a policy file, say what is wrong with it and where, and render
//! the proxy configuration that goes with it.

pub mod apply;
pub mod certificates;
pub mod docs;
pub mod environment;
pub mod explain;
pub mod metrics;
pub mod render;
pub mod verify;

pub use portcullis_source::{diagnostics, source};
