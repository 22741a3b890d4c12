//! The gateway end to end: the module that ships, on a real Envoy with 2 workers, in front of the example's services.
//!
//! One program, a file for each concern, so that tests which count nothing share a gateway. `cargo test -p portcullis-e2e
//! --test gateway faults::` runs one concern. Most tests run twice: as `portcullis render` sets Envoy up, and with the filter
//! doing everything itself (`common::both_ways`).

mod browser_headers;
mod business;
mod common;
mod conservation;
mod cors;
mod faults;
mod fleet;
mod grpc;
mod guards;
mod hardening;
mod hostile_input;
mod instances;
mod journey;
mod logs;
mod many_reloads;
mod metrics;
mod metrics_over_time;
mod paths;
mod policy_errors;
mod prometheus;
mod reload_state;
mod request_id;
mod routing;
mod sidecar;
mod source;
mod trapped_vm;
mod trust_headers;
