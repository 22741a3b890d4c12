//! What becomes of one request, and why: the filter's own pipeline, run without a proxy.
//!
//! Nothing is judged here. The pipeline leaves its facts and a trace of what each stage said; this module puts them into words. Never
//! shown: signatures, secrets, full addresses. Whoever reads the output can use neither the token nor a key.

mod imagined;
mod report;
mod routes;
mod run;
mod stats;
mod text;

pub use report::Report;
pub use run::{Question, Session, explain, explain_behind};
