//! Tokens end to end: the module that ships, on a real Envoy with 2 workers; keys from servers that rotate, hang, reset.
//!
//! `cargo test -p portcullis-e2e --test tokens keys::` runs one concern. What needs no network of its own is run in the
//! harness too.

mod answers;
mod cache;
mod claims;
mod gauges;
mod held_bodies;
mod in_harness;
mod introspection;
mod keys;
mod lab;
mod matrix;
mod modes;
mod needs;
mod odd_input;
mod sides;
mod waiting;
