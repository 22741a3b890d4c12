//! Hostile clients against the gateway just as it ships, on a real Envoy: what each may cost, and that others are served meanwhile.
//!
//! Budgets are CPU time and memory of Envoy's process, requests that services see, and answers that others get; no wall clock. They are
//! several times what a defended gateway was seen to take.

mod budget;
mod endings;
mod pages;
mod places;
mod raw_h2;
mod waiting_room;
mod worker;
