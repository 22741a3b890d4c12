//! The crate through its public face, with real keys of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::type_complexity)]

mod claims;
mod matrix;
mod policy;
mod sources;
mod support;
mod vectors;
