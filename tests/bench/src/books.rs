//! The metrics of a gateway as large as the example, to measure what an increment costs. Compiled into the bench and into
//! the module `increments`.

use portcullis_edge_core::Node;
use portcullis_metrics::{
    AuthCatalogue, AuthObservation, Catalogue, Endpoint, GatewayMetrics, Observation, TokenResult,
};
use std::hint::black_box;

/// Requests counted in a batch.
pub const BATCH: u32 = 100_000;

/// Series slots that one successful request moves: a bucket, a sum and a counter, for the gateway and for the service.
pub const INCREMENTS: u32 = 6;

/// Series slots that one good token moves: where it was, its verdict, user, role and permission, and twice a bucket and a sum.
pub const TOKEN_INCREMENTS: u32 = 9;

/// What the module calls the two kinds of batches.
pub const REQUESTS: &str = "requests";
/// See [`REQUESTS`].
pub const TOKENS: &str = "tokens";

const SERVICES: [&str; 5] = ["user", "inventory", "order", "auth", "insights"];
const ENDPOINTS: usize = 18;

/// Metrics of one VM.
pub struct Books(GatewayMetrics);

impl Books {
    /// Books with nothing in them.
    ///
    /// # Panics
    /// If the metrics cannot be built, which is a mistake in this file.
    pub fn open() -> Self {
        let endpoint =
            |i: usize| Endpoint { label: format!("/api/v1/e{i}/{{id}}"), services: vec![i % SERVICES.len()] };
        let catalogue = Catalogue {
            endpoints: (0..ENDPOINTS).map(endpoint).collect(),
            services: SERVICES.map(str::to_owned).into(),
            statuses: vec![200, 201, 400, 401, 403, 404, 429, 500, 502, 503, 504],
            auth: Some(tokens()),
            max_series: 10_000,
        };
        match GatewayMetrics::build(&catalogue, &Node::top()) {
            Ok(metrics) => Self(metrics),
            Err(error) => panic!("{error}"),
        }
    }

    /// Counts [`BATCH`] requests, spread over the endpoints.
    #[inline(never)]
    pub fn observe_batch(&mut self) {
        for i in 0..BATCH as usize {
            let endpoint = i % ENDPOINTS;
            self.0.observe(black_box(&Observation {
                endpoint,
                status: 200,
                micros: 1_000 + i as u64,
                service: Some(endpoint % SERVICES.len()),
                proxy_error: None,
            }));
        }
    }

    /// Counts [`BATCH`] good tokens.
    #[inline(never)]
    pub fn observe_token_batch(&mut self) {
        for i in 0..u64::from(BATCH) {
            self.0.observe_auth(black_box(&AuthObservation {
                looked: true,
                source: Some(0),
                token: Some(TokenResult::Good),
                user: Some(true),
                role: Some(true),
                permission: Some(true),
                shadow: false,
                shadow_permission: false,
                validation_micros: Some(40 + i),
                context_micros: Some(2),
                created: None,
            }));
        }
    }

    /// The number of increments made since the last call.
    #[cfg(test)]
    fn drained(&mut self) -> usize {
        let mut changed = 0;
        self.0.flush(|_, _| changed += 1);
        changed
    }
}

fn tokens() -> AuthCatalogue {
    AuthCatalogue {
        sources: vec!["header"],
        reasons: vec!["missing", "malformed", "expired", "invalid_signature", "unknown_key"],
        rules: true,
        login: true,
        ..AuthCatalogue::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_really_counted() {
        let mut books = Books::open();
        books.observe_batch();
        assert!(books.drained() >= 2 * ENDPOINTS * 2, "every endpoint moved its counters and its histograms");
        assert_eq!(books.drained(), 0);
    }

    #[test]
    fn a_batch_of_tokens_is_really_counted() {
        let mut books = Books::open();
        books.observe_token_batch();
        assert!(books.drained() >= TOKEN_INCREMENTS as usize);
    }
}
