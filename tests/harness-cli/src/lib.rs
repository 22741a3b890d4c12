//! Scenarios for proxy-wasm modules: files that say what happens to a proxy with plugins and what must come of it, run on the
//! harness and on a stock Envoy. The `portcullis-harness` command is a thin layer on top.

pub mod backend;
pub mod files;
pub mod model;
pub mod normal;
pub mod plan;
pub mod problem;
pub mod report;
pub mod run;
pub mod seen;
pub mod trap;
pub mod verdict;
