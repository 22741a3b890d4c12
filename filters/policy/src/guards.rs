//! The sections by which the gateway guards itself and its services.

use crate::document::Document;
use crate::raw::RawRoute;
use portcullis_breaker::{Breakers, RawBreaker};
use portcullis_edge_core::{Named, Node};
use portcullis_limits::{Abuse, Concurrency, Limits, RawAbuse, RawConcurrency, RawLimits};

/// `limits`, `concurrency`, `breakers` and `abuse`, as written.
#[derive(Default)]
pub(crate) struct RawGuards {
    limits: RawLimits,
    concurrency: RawConcurrency,
    breakers: Named<RawBreaker>,
    abuse: RawAbuse,
}

/// The same, compiled.
#[derive(Default)]
pub(crate) struct Guards {
    pub limits: Limits,
    pub concurrency: Concurrency,
    pub breakers: Breakers,
    pub abuse: Abuse,
}

impl RawGuards {
    pub fn read(document: &mut Document<'_>) -> Self {
        Self {
            limits: document.section("limits").unwrap_or_default(),
            concurrency: document.section("concurrency").unwrap_or_default(),
            breakers: document.section("breakers").unwrap_or_default(),
            abuse: document.section("abuse").unwrap_or_default(),
        }
    }

    /// Checks them against the names that the rest of the policy defines.
    pub fn compile(
        &self,
        routes: &[(usize, RawRoute)],
        services: &[&str],
        clusters: &[&str],
        document: &mut Document<'_>,
    ) -> Guards {
        let routes: Vec<&str> = routes.iter().map(|(_, route)| route.path.as_str()).collect();
        let at = |section: &str| Node::top().key(section);
        Guards {
            limits: document.keep(self.limits.compile(&at("limits"), &routes, clusters)).unwrap_or_default(),
            concurrency: document
                .keep(self.concurrency.compile(&at("concurrency"), &routes))
                .unwrap_or_default(),
            breakers: document
                .keep(Breakers::compile(&self.breakers, &at("breakers"), services))
                .unwrap_or_default(),
            abuse: document.keep(self.abuse.compile(&at("abuse"), &routes)).unwrap_or_default(),
        }
    }
}
