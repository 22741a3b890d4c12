//! What a client is told of its limits.

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
        let mut headers = Vec::new();
        if wanted.on == RawAnswers::Refused && !refused {
            return headers;
        }
        let (limit, remaining, reset) = (self.limit, self.remaining, whole_seconds(self.reset));
        if wanted.ratelimit {
            let window = whole_seconds(window);
            headers.push(("ratelimit-policy", format!("\"{name}\";q={limit};w={window}").into_bytes()));
            headers.push(("ratelimit", format!("\"{name}\";r={remaining};t={reset}").into_bytes()));
        }
        if wanted.x_ratelimit {
            let at = now.plus(self.reset).unix_seconds();
            headers.push(("x-ratelimit-limit", limit.to_string().into_bytes()));
            headers.push(("x-ratelimit-remaining", remaining.to_string().into_bytes()));
            headers.push(("x-ratelimit-reset", at.to_string().into_bytes()));
        }
        headers
    }
}

/// Rounded up: whoever comes after so many seconds does not come too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
