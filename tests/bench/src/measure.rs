//! CPU time per request, of several Envoys in turn.

use crate::cpus::Cores;
use crate::load::Load;
use anyhow::{Context, Result};
use portcullis_e2e::{Envoy, EnvoyConfig};
use serde_json::Value;

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds, in each of which everybody is measured once.
    pub rounds: usize,
    /// Requests of a measurement.
    pub requests: usize,
    /// Requests before the first measurement: V8 makes better code of what runs often.
    pub warm_up: usize,
    /// Who runs where.
    pub cores: Option<Cores>,
}

/// An Envoy that is measured.
pub struct Contender {
    name: String,
    envoy: Envoy,
    load: Load,
}

/// What was measured of one contender.
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Microseconds of CPU time per request, by round.
    pub micros: Vec<f64>,
    /// Resident memory after the load, in MiB.
    pub rss_mib: f64,
}

/// The request of a usual client, to a route with a parameter.
pub fn request() -> Vec<u8> {
    // As long as a token with a few claims and a 256-bit signature; what is in it nobody reads.
    let token =
        format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{}.{}", "eyJzdWIi".repeat(27), "Zm9vYmFy".repeat(6));
    format!(
        "GET /api/v1/orders/12345 HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) \
         Gecko/20100101 Firefox/128.0\r\naccept: application/json, text/plain, */*\r\naccept-language: en-US,en;q=0.5\r\n\
         accept-encoding: gzip, deflate, br, zstd\r\nauthorization: Bearer {token}\r\ncache-control: no-cache\r\n\r\n"
    )
    .into_bytes()
}

/// An Envoy for measurements: one worker, the system's own clocks, on its core.
///
/// # Errors
/// If it does not start.
pub fn start(bootstrap: Value, cores: Option<Cores>) -> Result<Envoy> {
    let config = EnvoyConfig::json(bootstrap).workers(1).without_time_travel().log_level("info");
    let envoy = Envoy::try_start(config)?;
    cores.map_or(Ok(()), |cores| cores.pin_envoy(envoy.pid()))?;
    Ok(envoy)
}

/// Resident memory of an Envoy, in MiB.
pub fn rss_mib(envoy: &Envoy) -> f64 {
    envoy.usage().rss_bytes as f64 / f64::from(1 << 20)
}

impl Contender {
    /// Starts an Envoy with this bootstrap.
    ///
    /// # Errors
    /// If it does not start or does not listen.
    pub fn start(name: &str, bootstrap: Value, cores: Option<Cores>) -> Result<Self> {
        let envoy = start(bootstrap, cores).with_context(|| name.to_owned())?;
        let load = Load::connect(envoy.address())?;
        Ok(Self { name: name.to_owned(), envoy, load })
    }

    /// Sends some requests; microseconds of CPU time for each.
    fn slice(&mut self, requests: usize, request: &[u8]) -> Result<f64> {
        let before = self.envoy.usage().cpu;
        self.load.repeat(requests, request).with_context(|| self.name.clone())?;
        let used = self.envoy.usage().cpu.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e6 / requests as f64)
    }
}

/// Measures everybody in turn, round by round.
///
/// # Errors
/// If somebody does not answer 200.
pub fn interleaved(mut contenders: Vec<Contender>, plan: Plan) -> Result<Vec<Measured>> {
    let request = request();
    for contender in &mut contenders {
        contender.slice(plan.warm_up, &request)?;
    }
    let mut micros = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    for _ in 0..plan.rounds {
        for (contender, micros) in contenders.iter_mut().zip(&mut micros) {
            micros.push(contender.slice(plan.requests, &request)?);
        }
    }
    let measured = |(contender, micros): (Contender, Vec<f64>)| Measured {
        rss_mib: rss_mib(&contender.envoy),
        name: contender.name,
        micros,
    };
    Ok(contenders.into_iter().zip(micros).map(measured).collect())
}
