//! Memory over many requests that all differ: paths and client addresses are what an attacker can vary for nothing.

use crate::cpus::Cores;
use crate::load::Load;
use crate::measure::{rss_mib, start};
use anyhow::Result;
use serde_json::Value;
use std::io::Write;

/// How often memory is looked at on the way.
const LOOKS: usize = 5;

/// Memory over the course of a soak.
pub struct Soaked {
    /// Requests in all.
    pub requests: usize,
    /// Requests so far, and resident memory in MiB.
    pub memory: Vec<(usize, f64)>,
}

/// Sends `requests` requests with random paths and addresses, and looks at the memory on the way. Each part of the way is as
/// long as all before it: what grows with the logarithm looks straight, what grows with every request doubles.
///
/// # Errors
/// If Envoy does not start, or stops to answer.
pub fn run(bootstrap: Value, requests: usize, cores: Option<Cores>) -> Result<Soaked> {
    let envoy = start(bootstrap, cores)?;
    let mut load = Load::connect(envoy.address())?;
    let (mut random, mut done) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    let mut memory = vec![(0, rss_mib(&envoy))];
    for look in (0..LOOKS).rev() {
        let until = requests >> look;
        load.run(until - done, |out| write_request(out, &mut random), |_| Ok(()))?;
        done = until;
        memory.push((done, rss_mib(&envoy)));
    }
    Ok(Soaked { requests, memory })
}

/// Half of them match a route, half match none.
fn write_request(out: &mut Vec<u8>, random: &mut Random) {
    let (path, ip) = (random.next(), random.next().to_be_bytes());
    let prefix = if path.is_multiple_of(2) { "/api/v1/orders/" } else { "/" };
    let forwarded = std::net::Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]);
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
}
