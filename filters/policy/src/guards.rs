//! The sections by which the gateway guards itself and its services.

use crate::document::Document;
use crate::parts::{BUSINESS, GUARDS};
use crate::raw::RawRoute;
use portcullis_breaker::{Breakers, RawBreaker};
use portcullis_business::{Business, Field, RawBusiness};
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
    pub account: Option<Field>,
    pub source: SourceCheck,
    pub business: Business,
}

impl RawGuards {
    pub fn read(document: &mut Document<'_>) -> Self {
        let mut read = Self { source: document.section("source").unwrap_or_default(), ..Self::default() };
        if GUARDS {
            read.limits = document.section("limits").unwrap_or_default();
            read.concurrency = document.section("concurrency").unwrap_or_default();
            read.breakers = document.section("breakers").unwrap_or_default();
            read.abuse = document.section("abuse").unwrap_or_default();
        }
        if BUSINESS {
            read.business = document.section("business").unwrap_or_default();
        }
        read
    }

    /// Whether the use of tokens is counted.
    pub fn counts_tokens(&self) -> bool {
        self.abuse.tokens.is_some()
    }

    /// The header with which the gateway signs a request, and the place of its name.
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
        let source = document.keep(self.source.compile(&at("source"), env)).unwrap_or_default();
        let mut guards = Guards { source, ..Guards::default() };
        if GUARDS {
            let limits = self.limits.compile(&at("limits"), &routes, clusters);
            let concurrency = self.concurrency.compile(&at("concurrency"), &routes);
            let breakers = Breakers::compile(&self.breakers, &at("breakers"), services);
            guards.limits = document.keep(limits).unwrap_or_default();
            guards.concurrency = document.keep(concurrency).unwrap_or_default();
            guards.breakers = document.keep(breakers).unwrap_or_default();
            guards.abuse = document.keep(self.abuse.compile(&at("abuse"), &routes)).unwrap_or_default();
            guards.account = self.account(document).filter(|_| guards.abuse.logins.is_some());
        }
        if BUSINESS {
            guards.business =
                document.keep(self.business.compile(&at("business"), &named)).unwrap_or_default();
        }
        guards
    }

    /// Where logins name their account.
    fn account(&self, document: &mut Document<'_>) -> Option<Field> {
        let pointer = &self.abuse.failed_logins.as_ref()?.account.as_ref()?.field;
        let field = Field::parse(pointer);
        if field.is_none() {
            let at = Node::top().key("abuse").key("failed_logins").key("account").key("field");
            let found = format!("`{}`", pointer.escape_debug());
            document.errors.push(at.error(found, "a JSON Pointer of 16 steps at most, such as `/email`"));
        }
        field
    }
}
