//! What it costs to count: natively, and in a VM of the real Envoy.

use crate::books::{BATCH, Books, INCREMENTS, REQUESTS, TOKEN_INCREMENTS, TOKENS};
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

/// Nanoseconds for one increment.
pub struct Increments {
    /// Of those that a request makes.
    pub request: Option<Summary>,
    /// Of those that a good token makes.
    pub token: Option<Summary>,
}

/// Natively.
pub fn native() -> Increments {
    let mut books = Books::open();
    Increments {
        request: timed(INCREMENTS, || books.observe_batch()),
        token: timed(TOKEN_INCREMENTS, || books.observe_token_batch()),
    }
}

fn timed(increments: u32, mut batch: impl FnMut()) -> Option<Summary> {
    let one = |_| {
        let started = Instant::now();
        batch();
        per_increment(started.elapsed().as_nanos() as f64, increments)
    };
    let nanos: Vec<f64> = (0..WARM_UP + BATCHES).map(one).collect();
    Summary::of(&nanos[WARM_UP..])
}

/// In Envoy, by its own monotonic clock. `bootstrap` has the module `increments`.
///
/// # Errors
/// If Envoy does not start, or the module does not report.
pub fn in_envoy(bootstrap: Value) -> Result<Increments> {
    let envoy = start(bootstrap, None)?;
    let of = |batch, increments| {
        let nanos = batches(&envoy, batch).with_context(|| format!("the module reports no {batch}"))?;
        let nanos: Vec<_> = nanos[WARM_UP..].iter().map(|nanos| per_increment(*nanos, increments)).collect();
        Ok::<_, anyhow::Error>(Summary::of(&nanos))
    };
    Ok(Increments { request: of(REQUESTS, INCREMENTS)?, token: of(TOKENS, TOKEN_INCREMENTS)? })
}

fn batches(envoy: &Envoy, batch: &str) -> Option<Vec<f64>> {
    let mut nanos = Vec::new();
    let enough = |line: &Line| {
        nanos.extend(batch_of(&line.text(), batch));
        nanos.len() == WARM_UP + BATCHES
    };
    envoy.stderr().try_wait_for_line(envoy.stderr().mark(), PATIENCE, enough)?;
    Some(nanos)
}

/// `... <batch> took 1234 ns`.
fn batch_of(line: &str, batch: &str) -> Option<f64> {
    line.rsplit_once(batch)?.1.strip_prefix(" took ")?.split_once(" ns")?.0.parse().ok()
}

fn per_increment(nanos: f64, increments: u32) -> f64 {
    nanos / f64::from(BATCH) / f64::from(increments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_from_the_log() {
        let line =
            "[2026-01-01 00:00:00.000][1][info][wasm] [context.cc:1195] wasm log: requests took 6000000 ns";
        assert_eq!(batch_of(line, "requests").map(|nanos| per_increment(nanos, 6)), Some(10.0));
        assert_eq!(batch_of(line, "tokens"), None);
        assert_eq!(batch_of("wasm log: requests took no time", "requests"), None);
    }
}
