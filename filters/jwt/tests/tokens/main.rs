//! The crate through its public face, with real keys of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::type_complexity)]

mod answers;
mod cache;
mod claims;
mod documents;
mod explain;
mod issuers;
mod key_sets;
mod matrix;
#[cfg(not(target_arch = "wasm32"))]
mod mutations;
mod padding;
mod policy;
#[cfg(not(target_arch = "wasm32"))]
mod random;
mod remote;
mod routes;
mod sites;
mod sources;
mod support;
mod vectors;
mod weak_keys;
#[cfg(not(target_arch = "wasm32"))]
mod wycheproof;
