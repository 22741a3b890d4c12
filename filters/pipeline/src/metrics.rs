//! What is counted of requests, and the families of all stages together.

use crate::guard_metrics::{GuardMetrics, GuardObservation};
use crate::health::{Build, HealthMetrics, InForce, VERSION};
use crate::observation::{AuthObservation, Observation, ProxyError, RoutingError};
use core::mem;
use portcullis_authz::{Permission, RuleMetrics};
use portcullis_breaker::State;
use portcullis_breaker::metrics::{BreakerMetrics, Guarded};
use portcullis_business::Happened;
use portcullis_business::metrics::BusinessMetrics;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_findings::FindingsResult;
use portcullis_findings::metrics::FindingsMetrics;
use portcullis_jwt::metrics::{
    FetchResult, FetchedDocument, LookUp, Operation, ProviderName, SkippedKey, TokenMetrics, TokenSource,
    TokenVerdict,
};
use portcullis_jwt::{CacheCounts, FetchFailure, KeyError, TokenError};
use portcullis_limits::metrics::LimitMetrics;
use portcullis_limits::{CellTable, Cells};
use portcullis_metrics::{
    Change, Endpoint, EngineMetrics, ErrorStatus, Family, OBJECTIVE_BUCKETS, OWN_BUCKETS, Outcome, Registry,
    Served, Service, StatId, Status, Vocabulary, metrics,
};
use portcullis_policy::Policy;
use portcullis_security_headers::TrustMetrics;
use portcullis_source_check::metrics::SourceMetrics;
use std::borrow::Cow;
use std::collections::BTreeSet;

metrics! {
    /// What is counted of every request.
    pub struct RequestMetrics {
        /// Requests the gateway finished, whoever answered them.
        gateway_requests_total: Counter { status_code: Status, endpoint: Endpoint },
            promql "sum by (endpoint) (rate(gateway_requests_total[5m]))";
        /// Requests that ended in a 4xx or 5xx, whoever answered them.
        gateway_errors_total: Counter { status_code: ErrorStatus, endpoint: Endpoint },
            promql "sum(rate(gateway_errors_total{status_code=~\"5..\"}[5m])) / sum(rate(gateway_requests_total[5m]))";
        /// Time from a request's first byte to its answer's last.
        gateway_request_latency_seconds: Histogram { endpoint: Endpoint },
            promql "histogram_quantile(0.95, sum by (le) (rate(gateway_request_latency_seconds_bucket[5m])))";
        /// Requests that failed between gateway and service.
        gateway_proxy_errors_total: Counter { target_service: Service, error_type: ProxyError },
            promql "sum by (target_service, error_type) (rate(gateway_proxy_errors_total[5m]))";
        /// Requests the gateway found a route and a service for, and sent there.
        gateway_routes_total: Counter { target_service/endpoint: Served },
            promql "sum by (target_service) (rate(gateway_routes_total[5m]))";
        /// Requests that did not get to a service, or to no answer of one, by why; refusals of a policy's rules are not among them.
        gateway_routing_errors_total: Counter { reason: RoutingError },
            promql "sum by (reason) (rate(gateway_routing_errors_total[5m]))";
        /// Time from a request's first byte to its answer's last, by the service that it was sent to.
        gateway_request_duration_seconds: Histogram(OBJECTIVE_BUCKETS) { service: Service },
            promql "histogram_quantile(0.95, sum by (le, service) (rate(gateway_request_duration_seconds_bucket[5m])))";
        /// Time that a service took, as Envoy measured it: from the first byte sent to it to the last of its answer.
        gateway_upstream_latency_seconds: Histogram(OBJECTIVE_BUCKETS) { service: Service },
            promql "histogram_quantile(0.95, sum by (le, service) (rate(gateway_upstream_latency_seconds_bucket[5m])))";
        /// Time of requests to a service that was not the service's: what filters took, waiting for keys and connections, the client's reading.
        gateway_own_latency_seconds: Histogram(OWN_BUCKETS) { service: Service },
            promql "histogram_quantile(0.95, sum by (le) (rate(gateway_own_latency_seconds_bucket[5m])))";
        /// Requests for pages that `metrics.uncounted` names, which no other metric counts: with these, all that passed the filter.
        gateway_uncounted_requests_total: Counter {},
            promql "sum(rate(gateway_requests_total[5m])) + sum(rate(gateway_uncounted_requests_total[5m]))";
        /// Requests the gateway sent to the {service} service.
        service_requests named "{service}_requests_total": Counter { status_code: Status, service/endpoint: Served },
            promql "sum by (status_code) (rate(order_requests_total[5m]))";
        /// Requests sent to the {service} service that ended in a 4xx or 5xx.
        service_errors named "{service}_errors_total": Counter { status_code: ErrorStatus, service/endpoint: Served },
            promql "sum(rate(order_errors_total[5m])) / sum(rate(order_requests_total[5m]))";
        /// Time that requests sent to the {service} service took, as the gateway's clients saw it.
        service_latency named "{service}_request_latency_seconds": Histogram { service/endpoint: Served },
            promql "histogram_quantile(0.95, sum by (le) (rate(order_request_latency_seconds_bucket[5m])))";
    }
}

/// Puts the families of all stages together: one line a stage.
macro_rules! families {
    ($($stage:ident: $families:ty,)+) => {
        struct Families { $($stage: $families,)+ }

        impl Families {
            fn build(registry: &mut Registry, vocabulary: &Vocabulary) -> Self {
                Self { $($stage: <$families>::build(registry, vocabulary),)+ }
            }
        }

        /// The stages, each with the families that it declares. A constant, so that a query which names another can be refused by the
        /// compiler.
        pub const STAGES: &[(&str, &[Family])] = &[$((stringify!($stage), <$families>::FAMILIES),)+];

        /// Every declared family, with the stage that it belongs to.
        pub fn families() -> impl Iterator<Item = (&'static str, &'static Family)> {
            STAGES.iter().flat_map(|(stage, families)| families.iter().map(move |family| (*stage, family)))
        }
    };
}

families! {
    requests: RequestMetrics,
    headers: TrustMetrics,
    tokens: TokenMetrics,
    rules: RuleMetrics,
    limits: LimitMetrics,
    breakers: BreakerMetrics,
    source: SourceMetrics,
    findings: FindingsMetrics,
    business: BusinessMetrics,
    guards: GuardMetrics,
    health: HealthMetrics,
    engine: EngineMetrics,
}

/// Every label of every family, for the rules by which a host cuts labels out of a stat's name.
#[must_use]
pub fn labels() -> BTreeSet<&'static str> {
    Registry::labels(families().map(|(_, family)| family))
}

/// Registry and families of one VM.
pub struct GatewayMetrics {
    registry: Registry,
    families: Families,
    documents: usize,
    /// This worker's share of the host's gauge of waiting requests.
    waiting_reported: i64,
    /// What of the tables' counts has been counted already, by table.
    cells_counted: [Cells; 4],
}

/// Age of a document that is not there.
const NO_DOCUMENT: i64 = -1;

impl GatewayMetrics {
    /// Builds every series that the policy makes possible.
    ///
    /// # Errors
    /// When `metrics.max_series` does not hold them, or two families have one name.
    pub fn build(policy: &Policy) -> Result<Self, ConfigError> {
        let mut vocabulary = policy.catalogue.vocabulary.clone();
        vocabulary.define::<Build>([vec![VERSION.into()]]);
        vocabulary.define::<InForce>([vec![Cow::Owned(policy.hash.clone())]]);
        let vocabulary = &vocabulary;
        let mut registry = Registry::new();
        let families = Families::build(&mut registry, vocabulary);
        check(&registry, policy.metrics.max_series)?;
        registry.limit(policy.metrics.max_series);
        let documents = vocabulary.axis::<FetchedDocument>().rows().len();
        let mut metrics =
            Self { registry, families, documents, waiting_reported: 0, cells_counted: <_>::default() };
        (0..documents).for_each(|document| metrics.document_age(document, None));
        Ok(metrics)
    }

    /// Counts a finished request.
    pub fn observe(&mut self, seen: &Observation) {
        let Self { registry, families: Families { requests, .. }, .. } = self;
        let (status, error) = (Status(seen.status), ErrorStatus(seen.status));
        requests.gateway_requests_total.inc(registry, (status, seen.endpoint));
        let (latency, exemplar) = (&requests.gateway_request_latency_seconds, seen.exemplar);
        latency.observe_traced(registry, seen.endpoint, seen.micros, exemplar);
        if seen.status >= 400 {
            requests.gateway_errors_total.inc(registry, (error, seen.endpoint));
        }
        if let Some(failed) = seen.proxy_error {
            requests.gateway_proxy_errors_total.inc(registry, failed);
        }
        if let Some(reason) = seen.routing_error {
            requests.gateway_routing_errors_total.inc(registry, reason);
        }
        let Some((service, served)) = seen.service else { return };
        requests.gateway_routes_total.inc(registry, served);
        requests.gateway_request_duration_seconds.observe_traced(registry, service, seen.micros, exemplar);
        if let Some(upstream) = seen.upstream_micros {
            requests.gateway_upstream_latency_seconds.observe(registry, service, upstream);
            let own = seen.micros.saturating_sub(upstream);
            requests.gateway_own_latency_seconds.observe(registry, service, own);
        }
        requests.service_requests.inc(registry, (status, served));
        requests.service_latency.observe_traced(registry, served, seen.micros, exemplar);
        if seen.status >= 400 {
            requests.service_errors.inc(registry, (error, served));
        }
    }

    /// Counts a request that is counted nowhere else.
    pub fn left_out(&mut self) {
        self.families.requests.gateway_uncounted_requests_total.inc(&mut self.registry, ());
    }

    /// Counts what the guards did with a request.
    pub fn observe_guards(&mut self, seen: &GuardObservation) {
        let Self { registry, families: Families { limits, breakers, guards, source, .. }, .. } = self;
        seen.count(registry, limits, breakers, (guards, source));
    }

    /// Counts what a table could not keep since this was last called; `cells` are all since the worker began.
    pub fn cells(&mut self, table: CellTable, cells: Cells) {
        let Self { registry, families: Families { limits, .. }, cells_counted, .. } = self;
        let Some(counted) = cells_counted.get_mut(table as usize) else { return };
        let new = cells.since(mem::replace(counted, cells));
        limits.portcullis_cells_evicted_total.add(registry, table, new.evicted);
        limits.portcullis_cells_refused_total.add(registry, table, new.refused);
    }

    pub(crate) fn health(&mut self) -> (&mut Registry, &HealthMetrics) {
        (&mut self.registry, &self.families.health)
    }

    /// Says how many series there are, and how many there may be.
    pub fn size(&mut self) {
        let Self { registry, families: Families { engine, .. }, .. } = self;
        let level = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (series, limit) = (level(registry.len()), level(registry.max_len()));
        engine.portcullis_metric_series.set(registry, (), series);
        engine.portcullis_metric_series_limit.set(registry, (), limit);
    }

    /// Counts a business event.
    pub fn happened(&mut self, event: &Happened) {
        let Self { registry, families: Families { business, .. }, .. } = self;
        business.business_events_total.inc(registry, event.value);
        if let Some((of, amount)) = event.amount {
            business.business_amount_total.add(registry, of, amount);
        }
        event.unread.iter().for_each(|unread| business.business_events_unread_total.inc(registry, *unread));
    }

    /// Says what each service's breaker shows, and that of the auth service, if it has one. All workers say the same.
    pub fn breaker_states(&mut self, states: &[(Guarded, State)], auth: Option<State>) {
        let Self { registry, families: Families { breakers, .. }, .. } = self;
        for (service, state) in states {
            breakers.gateway_circuit_breaker_state.set(registry, *service, state.level());
        }
        if let Some(state) = auth {
            breakers.auth_circuit_breaker_state.set(registry, (), state.level());
        }
    }

    /// Counts a request that was due the trust headers, and whether it had them.
    pub fn trust_headers(&mut self, injected: bool) {
        let Self { registry, families: Families { headers, .. }, .. } = self;
        headers.gateway_security_headers_due_total.inc(registry, ());
        if injected {
            headers.gateway_security_headers_injected_total.inc(registry, ());
        }
    }

    /// Counts what came of the findings of an earlier instance.
    pub fn findings(&mut self, result: FindingsResult) {
        self.families.findings.portcullis_findings_total.inc(&mut self.registry, result);
    }

    /// Counts what became of a request's token.
    pub fn observe_auth(&mut self, seen: &AuthObservation) {
        let Self { registry, families: Families { tokens, rules, .. }, .. } = self;
        if seen.looked {
            tokens.gateway_jwt_validation_requests_total.inc(registry, TokenSource(seen.source));
        }
        if let Some(token) = seen.token {
            tokens.auth_jwt_validation_total.inc(registry, verdict(token, seen.shadow));
        }
        if let Some(provider) = seen.budget_exhausted {
            tokens.gateway_jwt_check_budget_exhausted_total.inc(registry, ProviderName(provider));
        }
        if let Some(user) = seen.user {
            tokens.auth_user_context_extraction_total.inc(registry, Outcome::of(user));
        }
        if let Some(role) = seen.role {
            tokens.auth_role_resolution_total.inc(registry, Outcome::of(role));
        }
        if let Some(permission) = seen.permission.map(|may| allowed(may, seen.shadow_permission)) {
            rules.auth_permission_validation_total.inc(registry, permission);
        }
        if let Some(created) = seen.created {
            tokens.auth_jwt_creation_total.inc(registry, Outcome::of(created));
        }
        let times =
            [(Operation::Validation, seen.validation_micros), (Operation::Context, seen.context_micros)];
        for (operation, micros) in times.into_iter().filter_map(|(of, micros)| Some((of, micros?))) {
            tokens.auth_request_duration_seconds.observe(registry, operation, micros);
        }
    }

    /// Counts a call to the auth service and what it took, in microseconds. Success is an answer that can be used,
    /// whatever it says of the token.
    pub fn auth_service_call(&mut self, success: bool, micros: u64) {
        let Self { registry, families: Families { tokens, .. }, .. } = self;
        tokens.gateway_auth_service_calls_total.inc(registry, Outcome::of(success));
        tokens.gateway_auth_service_response_time_seconds.observe(registry, (), micros);
    }

    /// Counts a fetch of a document (by index) with its failure, if it failed.
    pub fn fetched(&mut self, document: usize, failure: Option<FetchFailure>) {
        let Self { registry, families: Families { tokens, .. }, .. } = self;
        tokens.gateway_jwt_fetches_total.inc(registry, (FetchedDocument(document), FetchResult(failure)));
    }

    /// Counts a key that is not used, of the fetched set with this index.
    pub fn key_skipped(&mut self, document: usize, why: KeyError) {
        let Self { registry, families: Families { tokens, .. }, .. } = self;
        tokens.gateway_jwt_keys_skipped_total.inc(registry, SkippedKey { document, why });
    }

    /// Says how many seconds ago the document in use was fetched, or that there is none. All workers say the same.
    pub fn document_age(&mut self, document: usize, seconds: Option<u64>) {
        let Self { registry, families: Families { tokens, .. }, documents, .. } = self;
        if document < *documents {
            let seconds = seconds.map_or(NO_DOCUMENT, |age| i64::try_from(age).unwrap_or(i64::MAX));
            tokens.gateway_jwt_document_age_seconds.set(registry, FetchedDocument(document), seconds);
        }
    }

    /// Adds what this worker's caches of tokens did since the last call.
    pub fn cache(&mut self, did: CacheCounts) {
        let Self { registry, families: Families { tokens, .. }, .. } = self;
        tokens.gateway_jwt_cache_requests_total.add(registry, LookUp::Hit, did.hits);
        tokens.gateway_jwt_cache_requests_total.add(registry, LookUp::Miss, did.misses);
        tokens.gateway_jwt_cache_evictions_total.add(registry, (), did.evictions);
        tokens.gateway_jwt_negative_cache_hits_total.add(registry, (), did.inactive_hits);
        tokens.gateway_jwt_negative_cache_evictions_total.add(registry, (), did.inactive_evictions);
    }

    /// Says how many requests of this worker wait now. Before the last flush of a worker that ends this must be 0.
    pub fn waiting(&mut self, now: u64) {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let by = now.saturating_sub(mem::replace(&mut self.waiting_reported, now));
        self.families.tokens.auth_concurrent_requests.shift(&mut self.registry, (), by);
    }

    /// Counts a request that was refused because too many were waiting.
    pub fn waiting_refused(&mut self) {
        self.families.tokens.gateway_jwt_waiting_refused_total.inc(&mut self.registry, ());
    }

    /// Hands every change since the last flush to `flush`.
    pub fn flush(&mut self, flush: impl FnMut(StatId, Change)) {
        let overflow = self.registry.take_overflow();
        self.families.engine.portcullis_metric_series_overflow_total.add(&mut self.registry, (), overflow);
        self.registry.flush(flush);
    }

    /// The registry, to define and to show its stats.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The same, to add what other workers have seen.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }
}

fn check(registry: &Registry, max_series: usize) -> Result<(), ConfigError> {
    if let Some(name) = registry.doubled().first() {
        let found = format!("services whose names make two metric families `{name}`");
        return Err(Node::top().key("services").error(found, "names that make each family once"));
    }
    if registry.len() > max_series {
        let expected =
            format!("at least {}, the number of series this policy makes possible", registry.len());
        return Err(Node::top().key("metrics").key("max_series").error(max_series.to_string(), expected));
    }
    Ok(())
}

fn verdict(token: Result<(), TokenError>, shadow: bool) -> TokenVerdict {
    match token {
        Ok(()) => TokenVerdict::Good,
        Err(error) if shadow => TokenVerdict::WouldRefuse(error),
        Err(error) => TokenVerdict::Refused(error),
    }
}

fn allowed(may: bool, shadow: bool) -> Permission {
    match may {
        true => Permission::Success,
        false if shadow => Permission::ShadowFailure,
        false => Permission::Failure,
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
