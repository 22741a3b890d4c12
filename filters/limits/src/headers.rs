//! The response headers that describe a limit to a client.

use crate::gcra::{Judged, Rate};
use crate::section::{RawAnswers, RawHeaders};
use core::time::Duration;
use portcullis_edge_core::Wall;

/// How a client stands with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Index of the limit.
    pub rule: usize,
    /// Units of a window.
    pub limit: u64,
    /// Units left.
    pub remaining: u64,
    /// How long until all are there again.
    pub reset: Duration,
}

impl Standing {
    pub(crate) fn new(rule: usize, rate: Rate, judged: Judged) -> Self {
        Self { rule, limit: rate.limit(), remaining: judged.remaining, reset: judged.reset }
    }

    /// `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11) and the older triple.
    pub(crate) fn headers(
        &self,
        name: &str,
        window: Duration,
        wanted: RawHeaders,
        refused: bool,
        now: Wall,
    ) -> Vec<(&'static str, Vec<u8>)> {
        if wanted.on == RawAnswers::Refused && !refused {
            return Vec::new();
        }
        let (limit, remaining, reset) = (self.limit, self.remaining, whole_seconds(self.reset));
        let mut headers = Vec::with_capacity(5);
        if wanted.ratelimit {
            let window = whole_seconds(window);
            headers.push(("ratelimit-policy", item(name, [(";q=", limit), (";w=", window)])));
            headers.push(("ratelimit", item(name, [(";r=", remaining), (";t=", reset)])));
        }
        if wanted.x_ratelimit {
            headers.push(("x-ratelimit-limit", number(limit)));
            headers.push(("x-ratelimit-remaining", number(remaining)));
            headers.push(("x-ratelimit-reset", number(now.plus(self.reset).unix_seconds())));
        }
        headers
    }
}

/// A quoted name with two parameters (RFC 9651 section 3.1.2). By hand: nearly every answer has two of them.
fn item(name: &str, parameters: [(&str, u64); 2]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len().saturating_add(32));
    text.push(b'"');
    text.extend_from_slice(name.as_bytes());
    text.push(b'"');
    for (key, value) in parameters {
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    text
}

fn number(value: u64) -> Vec<u8> {
    itoa::Buffer::new().format(value).as_bytes().to_vec()
}

/// Rounded up: whoever comes after so many seconds does not come too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
