//! What it costs to count: natively, and in a VM of the real Envoy.

use crate::books::{BATCH, Books, INCREMENTS};
use crate::measure::start;
use crate::statistics::Summary;
use anyhow::{Context, Result};
use portcullis_e2e::{Envoy, Line, PATIENCE};
use serde_json::Value;
use std::time::Instant;

/// Batches until V8 runs its best code.
const WARM_UP: usize = 20;

/// Batches measured.
const BATCHES: usize = 15;

/// Nanoseconds for one increment, natively.
pub fn native() -> Option<Summary> {
    let mut books = Books::open();
    let batch = |_| {
        let started = Instant::now();
        books.observe_batch();
        per_increment(started.elapsed().as_nanos() as f64)
    };
    let nanos: Vec<f64> = (0..WARM_UP + BATCHES).map(batch).collect();
    Summary::of(&nanos[WARM_UP..])
}

/// Nanoseconds for one increment in Envoy, by its own monotonic clock. `bootstrap` has the module `increments`.
///
/// # Errors
/// If Envoy does not start, or the module does not report.
pub fn in_envoy(bootstrap: Value) -> Result<Summary> {
    let envoy = start(bootstrap, None)?;
    let nanos = batches(&envoy).context("the module reports no batches")?;
    Summary::of(&nanos[WARM_UP..]).context("no batches")
}

fn batches(envoy: &Envoy) -> Option<Vec<f64>> {
    let mut nanos = Vec::new();
    let enough = |line: &Line| {
        nanos.extend(batch_of(&line.text()).map(per_increment));
        nanos.len() == WARM_UP + BATCHES
    };
    envoy.stderr().try_wait_for_line(envoy.stderr().mark(), PATIENCE, enough)?;
    Some(nanos)
}

/// `... batch took 1234 ns`.
fn batch_of(line: &str) -> Option<f64> {
    line.rsplit_once("batch took ")?.1.split_once(" ns")?.0.parse().ok()
}

fn per_increment(nanos: f64) -> f64 {
    nanos / f64::from(BATCH) / f64::from(INCREMENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_from_the_log() {
        let line =
            "[2026-01-01 00:00:00.000][1][info][wasm] [context.cc:1195] wasm log: batch took 6000000 ns";
        assert_eq!(batch_of(line).map(per_increment), Some(10.0));
        assert_eq!(batch_of("wasm log: batch took no time"), None);
    }
}
