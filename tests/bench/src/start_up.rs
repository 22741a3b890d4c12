//! What it takes to start, and what an Envoy holds before its first request.

use crate::measure::{rss_mib, start};
use crate::statistics::Summary;
use anyhow::{Context, Result};
use serde_json::Value;

/// Start-up of one bootstrap.
pub struct StartUp {
    /// Its name.
    pub name: String,
    /// Milliseconds from the start until it serves.
    pub millis: Summary,
    /// Resident memory then, in MiB.
    pub rss_mib: Summary,
}

/// Starts each of the bootstraps `times` times, in turn.
///
/// # Errors
/// If one does not start.
pub fn measure(bootstraps: &[(&str, Value)], times: usize) -> Result<Vec<StartUp>> {
    let mut seen = vec![(Vec::new(), Vec::new()); bootstraps.len()];
    for _ in 0..times {
        for ((_, bootstrap), (millis, rss)) in bootstraps.iter().zip(&mut seen) {
            let envoy = start(bootstrap.clone(), None)?;
            millis.push(envoy.start_up().as_secs_f64() * 1e3);
            rss.push(rss_mib(&envoy));
        }
    }
    let summed = |((name, _), (millis, rss)): (&(&str, Value), (Vec<f64>, Vec<f64>))| {
        let millis = Summary::of(&millis).context("no starts")?;
        Ok(StartUp { name: (*name).to_owned(), millis, rss_mib: Summary::of(&rss).context("no starts")? })
    };
    bootstraps.iter().zip(seen).map(summed).collect()
}
