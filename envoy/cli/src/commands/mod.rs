//! The commands that have more to them than a function.

mod apply;
mod explain;
mod render;

pub use apply::Apply;
pub use explain::Explain;
pub use render::render;
