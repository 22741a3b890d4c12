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

impl Plan {
    /// Fewer rounds, for there are many tables.
    pub fn for_tokens(self) -> Self {
        Self { rounds: self.rounds.div_ceil(2), warm_up: self.warm_up / 2, ..self }
    }
}

/// An Envoy that is measured.
pub struct Contender {
    name: String,
    envoy: Envoy,
    load: Load,
    /// Requests sent so far.
    sent: usize,
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

/// Requests that are sent in turn, over and over.
pub struct Requests(Vec<Vec<u8>>);

impl Requests {
    /// The request of a usual client, to a route with a parameter.
    pub fn usual() -> Self {
        // As long as a token with a few claims and a 256-bit signature; what is in it nobody reads.
        let claims = "eyJzdWIi".repeat(27);
        Self::with_tokens([format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.{}", "Zm9vYmFy".repeat(6))])
    }

    /// The same, each with one of these tokens.
    pub fn with_tokens(tokens: impl IntoIterator<Item = String>) -> Self {
        Self(tokens.into_iter().map(|token| request(&token)).collect())
    }

    fn get(&self, number: usize) -> &[u8] {
        &self.0[number % self.0.len()]
    }
}

/// A request with this token.
pub fn request(token: &str) -> Vec<u8> {
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
        Ok(Self { name: name.to_owned(), envoy, load, sent: 0 })
    }

    /// Sends some requests; microseconds of CPU time for each.
    fn slice(&mut self, requests: usize, all: &Requests) -> Result<f64> {
        let before = self.envoy.usage().cpu;
        let first = self.sent;
        self.sent += requests;
        self.load.in_turn(requests, |number| all.get(first + number)).with_context(|| self.name.clone())?;
        let used = self.envoy.usage().cpu.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e6 / requests as f64)
    }
}

/// Measures everybody in turn, round by round.
///
/// # Errors
/// If somebody does not answer 200.
pub fn interleaved(mut contenders: Vec<Contender>, plan: Plan, requests: &Requests) -> Result<Vec<Measured>> {
    for contender in &mut contenders {
        contender.slice(plan.warm_up, requests)?;
    }
    let mut micros = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    for _ in 0..plan.rounds {
        for (contender, micros) in contenders.iter_mut().zip(&mut micros) {
            micros.push(contender.slice(plan.requests, requests)?);
        }
    }
    let measured = |(contender, micros): (Contender, Vec<f64>)| Measured {
        rss_mib: rss_mib(&contender.envoy),
        name: contender.name,
        micros,
    };
    Ok(contenders.into_iter().zip(micros).map(measured).collect())
}
