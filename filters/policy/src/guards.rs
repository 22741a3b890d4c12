//! The sections by which the gateway guards itself and its services.

use crate::document::Document;
use crate::raw::RawRoute;
use portcullis_breaker::{Breakers, RawBreaker};
use portcullis_business::{Business, RawBusiness};
use portcullis_edge_core::{Env, HeaderName, Named, Node};
use portcullis_limits::{Abuse, Concurrency, Limits, RawAbuse, RawConcurrency, RawLimits};
use portcullis_source_check::{RawSourceCheck, SourceCheck};

/// `limits`, `concurrency`, `breakers`, `abuse`, `source` and `business`, as written.
#[derive(Default)]
pub(crate) struct RawGuards {
    limits: RawLimits,
    concurrency: RawConcurrency,
    breakers: Named<RawBreaker>,
    abuse: RawAbuse,
    source: RawSourceCheck,
    business: RawBusiness,
}

/// The same, compiled.
#[derive(Default)]
pub(crate) struct Guards {
    pub limits: Limits,
    pub concurrency: Concurrency,
    pub breakers: Breakers,
    pub abuse: Abuse,
    pub source: SourceCheck,
    pub business: Business,
}

impl RawGuards {
    pub fn read(document: &mut Document<'_>) -> Self {
        Self {
            limits: document.section("limits").unwrap_or_default(),
            concurrency: document.section("concurrency").unwrap_or_default(),
            breakers: document.section("breakers").unwrap_or_default(),
            abuse: document.section("abuse").unwrap_or_default(),
            source: document.section("source").unwrap_or_default(),
            business: document.section("business").unwrap_or_default(),
        }
    }

    /// The header by which the gateway vouches for a request, and the place of its name.
    pub fn signature_header(&self) -> Option<(&str, Node)> {
        let name = self.source.signature_header().filter(|name| HeaderName::parse(name).is_ok())?;
        Some((name, Node::top().key("source").key("sign").key("header")))
    }

    /// Checks them against the names that the rest of the policy defines.
    pub fn compile(
        &self,
        routes: &[(usize, RawRoute)],
        services: &[&str],
        clusters: &[&str],
        env: Env<'_>,
        document: &mut Document<'_>,
    ) -> Guards {
        let named: Vec<_> =
            routes.iter().map(|(_, raw)| (raw.path.as_str(), raw.methods.as_slice())).collect();
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
            business: document.keep(self.business.compile(&at("business"), &named)).unwrap_or_default(),
            source: document.keep(self.source.compile(&at("source"), env)).unwrap_or_default(),
        }
    }
}
