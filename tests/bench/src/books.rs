//! The metrics of a gateway as large as the example, to measure what an increment costs. Compiled into the bench and into
//! the module `increments`.

use portcullis_edge_core::Node;
use portcullis_metrics::{Catalogue, Endpoint, GatewayMetrics, Observation};
use std::hint::black_box;

/// Requests counted in a batch.
pub const BATCH: u32 = 100_000;

/// Series slots that one successful request moves: a bucket, a sum and a counter, for the gateway and for the service.
pub const INCREMENTS: u32 = 6;

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
            auth: None,
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

    /// The number of increments made since the last call.
    #[cfg(test)]
    fn drained(&mut self) -> usize {
        let mut changed = 0;
        self.0.flush(|_, _| changed += 1);
        changed
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
}
