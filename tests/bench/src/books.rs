//! The metrics of a gateway as large as the example, to measure what an increment costs. Compiled into the bench and into
//! the module `increments`.

use portcullis_metrics::{Endpoint, Served, Service};
use portcullis_pipeline::{AuthObservation, GatewayMetrics, Observation};
use portcullis_policy::Policy;
use serde_json::{Value, json};
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
pub struct Books {
    metrics: GatewayMetrics,
    served: Vec<(Endpoint, Service, Served)>,
}

impl Books {
    /// Books with nothing in them.
    ///
    /// # Panics
    /// If the metrics cannot be built, which is a mistake in this file.
    pub fn open() -> Self {
        let Ok(policy) = Policy::from_value(&policy()) else { panic!("the policy is wrong") };
        let Ok(metrics) = GatewayMetrics::build(&policy) else { panic!("the metrics cannot be built") };
        let counted = policy.routes.iter().zip(&policy.catalogue.routes);
        let served = counted.map(|(route, of)| (of.endpoint, Service(route.service), of.served)).collect();
        Self { metrics, served }
    }

    /// Counts [`BATCH`] requests, spread over the endpoints.
    #[inline(never)]
    pub fn observe_batch(&mut self) {
        for (micros, (endpoint, service, served)) in
            (1_000..).zip(self.served.iter().cycle()).take(BATCH as usize)
        {
            self.metrics.observe(black_box(&Observation {
                endpoint: *endpoint,
                status: 200,
                micros,
                upstream_micros: Some(micros - 400),
                exemplar: None,
                service: Some((*service, *served)),
                proxy_error: None,
                routing_error: None,
            }));
        }
    }

    /// Counts [`BATCH`] good tokens.
    #[inline(never)]
    pub fn observe_token_batch(&mut self) {
        for i in 0..u64::from(BATCH) {
            self.metrics.observe_auth(black_box(&AuthObservation {
                looked: true,
                source: Some(0),
                token: Some(Ok(())),
                user: Some(true),
                role: Some(true),
                permission: Some(true),
                shadow: false,
                shadow_permission: false,
                validation_micros: Some(40 + i),
                context_micros: Some(2),
                created: None,
                budget_exhausted: None,
            }));
        }
    }

    /// The number of increments made since the last call.
    #[cfg(test)]
    fn drained(&mut self) -> usize {
        let mut changed = 0;
        self.metrics.flush(|_, _| changed += 1);
        changed
    }
}

fn policy() -> Value {
    let services: serde_json::Map<String, Value> =
        SERVICES.iter().map(|name| ((*name).to_owned(), json!({ "address": "127.0.0.1:9" }))).collect();
    let route = |i: usize| {
        json!({
            "path": format!("/api/v1/e{i}/{{id}}"),
            "methods": ["GET"],
            "service": SERVICES[i % SERVICES.len()],
            "auth": {},
            "authz": { "allow": [{ "roles": { "any": ["admin"] } }] },
        })
    };
    json!({
        "version": 1,
        "services": services,
        "routes": (0..ENDPOINTS).map(route).collect::<Vec<_>>(),
        "jwt": { "providers": { "main": { "secrets": [{ "alg": "HS256", "value": "0123456789abcdef0123456789abcdef" }] } } },
        "metrics": { "statuses": [200, 201, 400, 401, 403, 404, 429, 500, 502, 503, 504], "max_series": 10_000 },
    })
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
