//! Memory over many requests that all differ: paths and client addresses are what an attacker can vary for nothing, and tokens are
//! what a busy issuer varies.

use crate::cpus::Cores;
use crate::load::Load;
use crate::measure::{request, rss_mib, start};
use crate::tokens::token;
use anyhow::{Context, Result, bail};
use portcullis_e2e::{Envoy, Request, Samples};
use serde_json::Value;
use std::io::Write;
use std::net::Ipv4Addr;

/// How often memory is looked at on the way.
const LOOKS: usize = 5;

/// Memory over the course of a soak.
pub struct Soaked {
    /// Requests in all.
    pub requests: usize,
    /// Requests so far, and resident memory in MiB.
    pub memory: Vec<(usize, f64)>,
}

/// What the gateway says of its cache of verified tokens at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Tokens that were known.
    pub hits: u64,
    /// Tokens that were not.
    pub misses: u64,
    /// Tokens that have left for others.
    pub evictions: u64,
}

/// Sends `requests` requests with random paths and addresses.
///
/// # Errors
/// If Envoy does not start, or stops to answer.
pub fn paths(bootstrap: Value, requests: usize, cores: Option<Cores>) -> Result<Soaked> {
    let envoy = start(bootstrap, cores)?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    run(&envoy, requests, |out| write_request(out, &mut random), |_| Ok(()))
}

/// Sends `requests` requests, each with a good HS256 token of its own.
///
/// # Errors
/// If Envoy does not start, or a token is refused.
pub fn tokens(bootstrap: Value, requests: usize, cores: Option<Cores>) -> Result<(Soaked, Cache)> {
    let envoy = start(bootstrap, cores)?;
    let mut number = 0;
    let next = |out: &mut Vec<u8>| {
        out.extend(request(&token("HS256", number)));
        number += 1;
    };
    let only_200 = |status| if status == 200 { Ok(()) } else { bail!("a good token is answered {status}") };
    let soaked = run(&envoy, requests, next, only_200)?;
    let metrics = Samples::parse(envoy.get("/metrics").text()).context("/metrics")?;
    Ok((soaked, Cache::of(&metrics)))
}

/// What a limit says after a flood of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flooded {
    /// Addresses, of which each sent one request.
    pub addresses: u32,
    /// Requests of its limit of [`LIMIT`] a day that the first client had left before.
    pub before: u64,
    /// What its last request, after the flood, left it.
    pub after: u64,
    /// What the first request of a new address left it.
    pub newcomer: u64,
}

/// Requests a day, for each address.
pub const LIMIT: u64 = 100;

/// A client uses a part of its quota; then `addresses` others send one request each; then it comes again.
///
/// # Errors
/// If Envoy does not start, or stops to answer.
pub fn addresses(bootstrap: Value, addresses: u32, cores: Option<Cores>) -> Result<(Soaked, Flooded)> {
    let envoy = start(bootstrap, cores)?;
    let left = |from: Ipv4Addr| {
        let request = Request::get("/api/v1/orders/12345").header("x-forwarded-for", from.to_string());
        let left = envoy.send(&request).header("x-ratelimit-remaining");
        left.and_then(|left| left.parse().ok()).context("an answer without what is left")
    };
    let first = Ipv4Addr::new(192, 0, 2, 1);
    (1..LIMIT / 2).try_for_each(|_| left(first).map(|_: u64| ()))?;
    let before = left(first)?;
    let mut number = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    let next = |out: &mut Vec<u8>| {
        number += 1;
        let from = Ipv4Addr::from(number);
        let _ = write!(
            out,
            "GET /api/v1/orders/1 HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {from}\r\n\r\n"
        );
    };
    let soaked = run(&envoy, usize::try_from(addresses)?, next, |_| Ok(()))?;
    let (after, newcomer) = (left(first)?, left(Ipv4Addr::new(198, 51, 100, 1))?);
    Ok((soaked, Flooded { addresses, before, after, newcomer }))
}

impl Cache {
    fn of(metrics: &Samples) -> Self {
        // Counts are whole numbers, and far below 2^53.
        let sum =
            |name: &str, labels: &[_]| metrics.sum(&format!("gateway_jwt_cache_{name}_total"), labels) as u64;
        Self {
            hits: sum("requests", &[("result", "hit")]),
            misses: sum("requests", &[("result", "miss")]),
            evictions: sum("evictions", &[]),
        }
    }

    /// Tokens that are in it: every good one is put there when it is met.
    pub fn kept(self) -> u64 {
        self.misses.saturating_sub(self.evictions)
    }
}

/// Looks at the memory on the way. Each part of the way is as long as all before it: what grows with the logarithm looks straight,
/// what grows with every request doubles.
fn run(
    envoy: &Envoy,
    requests: usize,
    mut write: impl FnMut(&mut Vec<u8>),
    mut seen: impl FnMut(u16) -> Result<()>,
) -> Result<Soaked> {
    let mut load = Load::connect(envoy.address())?;
    let (mut memory, mut done) = (vec![(0, rss_mib(envoy))], 0);
    for look in (0..LOOKS).rev() {
        let until = requests >> look;
        load.run(until - done, &mut write, &mut seen)?;
        done = until;
        memory.push((done, rss_mib(envoy)));
    }
    Ok(Soaked { requests, memory })
}

/// Half of them match a route, half match none.
fn write_request(out: &mut Vec<u8>, random: &mut Random) {
    let (path, ip) = (random.next(), random.next().to_be_bytes());
    let prefix = if path.is_multiple_of(2) { "/api/v1/orders/" } else { "/" };
    let forwarded = Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]);
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        "GET {prefix}{path:x} HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {forwarded}\r\n\r\n"
    );
}

/// Xorshift: as random as paths need to be, and the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_requests_are_the_same_and_about_half_match_a_route() {
        let mut random = Random(1);
        let request = |random: &mut Random| {
            let mut out = Vec::new();
            write_request(&mut out, random);
            String::from_utf8(out).expect("it is text")
        };
        let requests: HashSet<_> = (0..1000).map(|_| request(&mut random)).collect();
        assert_eq!(requests.len(), 1000);
        let matching = requests.iter().filter(|r| r.starts_with("GET /api/v1/orders/")).count();
        assert!((400..600).contains(&matching), "{matching}");
    }
    /// Memory for some dozens of tokens.
    const SMALL: u32 = 65_536;

    #[test]
    fn the_cache_keeps_what_it_has_room_for_and_drops_the_rest_however_many_tokens_come() {
        let bench = crate::contenders::Bench::of_defaults();
        let kept: Vec<_> = [500, 1_000]
            .into_iter()
            .map(|requests| {
                let bootstrap = bench.soaked_with_tokens(Some(SMALL)).expect("the policy is right");
                let (soaked, cache) = tokens(bootstrap, requests, None).expect("every token is taken");
                let told: Vec<_> = soaked.memory.iter().map(|(done, _)| *done).collect();
                assert_eq!(told, [0, requests / 16, requests / 8, requests / 4, requests / 2, requests]);
                assert_eq!((cache.hits, cache.misses), (0, requests as u64));
                cache.kept()
            })
            .collect();
        assert!(kept[0] == kept[1] && (10..200).contains(&kept[0]), "{kept:?}");
    }
}
