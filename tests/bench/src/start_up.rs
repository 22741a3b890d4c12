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
    let mut seen = vec![Samples::default(); bootstraps.len()];
    for _ in 0..times {
        for ((_, bootstrap), samples) in bootstraps.iter().zip(&mut seen) {
            let envoy = start(bootstrap.clone(), None)?;
            samples.millis.push(envoy.start_up().as_secs_f64() * 1e3);
            samples.rss_mib.push(rss_mib(&envoy));
        }
    }
    bootstraps.iter().zip(seen).map(|((name, _), samples)| samples.summed(name)).collect()
}

/// What the starts of one bootstrap took.
#[derive(Clone, Default)]
struct Samples {
    millis: Vec<f64>,
    rss_mib: Vec<f64>,
}

impl Samples {
    fn summed(self, name: &str) -> Result<StartUp> {
        let millis = Summary::of(&self.millis).context("no starts")?;
        Ok(StartUp {
            name: name.to_owned(),
            millis,
            rss_mib: Summary::of(&self.rss_mib).context("no starts")?,
        })
    }
}
