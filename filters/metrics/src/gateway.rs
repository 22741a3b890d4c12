//! Which series a request moves: the canonical set for the gateway and its services.

use crate::auth_series::AuthSeries;
use crate::{
    Accumulator, AuthCatalogue, CANONICAL_BUCKETS, Change, Family, FamilyId, Kind, Registry, SeriesId, StatId,
};
use portcullis_edge_core::{ConfigError, Node};

/// What the policy makes countable.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Endpoints by label, each with its service's index; requests refer to them by position.
    pub endpoints: Vec<Endpoint>,
    /// Services by name.
    pub services: Vec<String>,
    /// Statuses whose series exist from the start.
    pub statuses: Vec<u16>,
    /// Tokens; `None` if the policy has no such section.
    pub auth: Option<AuthCatalogue>,
    /// Most series.
    pub max_series: usize,
}

/// A value of the `endpoint` label.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The route's template, or `unmatched`.
    pub label: String,
    /// The services it leads to (routes that share a template may differ by method).
    pub services: Vec<usize>,
}

/// One finished request, as the metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Index of the endpoint in the catalogue.
    pub endpoint: usize,
    /// Status the client got; 499 if it left before.
    pub status: u16,
    /// From the first byte of the request to the last of the answer, in microseconds.
    pub micros: u64,
    /// The service the request was sent to, if it was.
    pub service: Option<usize>,
    /// What went wrong between gateway and service, if something did.
    pub proxy_error: Option<ProxyError>,
}

/// `error_type` of `gateway_proxy_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The service gave no answer: refused, reset, timed out, no healthy host.
    RequestFailed,
    /// The service answered with this 5xx.
    Status(u16),
}

/// The families of one bearer (the gateway or a service) and its series by endpoint.
struct Set {
    requests: FamilyId,
    errors: FamilyId,
    by_endpoint: Vec<Option<EndpointSeries>>,
}

struct EndpointSeries {
    label: String,
    latency: Option<SeriesId>,
    /// Requests and errors by status.
    statuses: Vec<(u16, SeriesId, Option<SeriesId>)>,
}

/// Registry and accumulator of one VM.
pub struct GatewayMetrics {
    registry: Registry,
    accumulator: Accumulator,
    gateway: Set,
    services: Vec<Set>,
    service_names: Vec<String>,
    proxy_errors: FamilyId,
    overflow: Option<SeriesId>,
    headers_injected: Option<SeriesId>,
    auth: Option<AuthSeries>,
    published: usize,
}

const OTHER: &str = "other";

impl GatewayMetrics {
    /// Builds every series that the catalogue makes possible.
    ///
    /// # Errors
    /// When `max_series` does not hold them; `at` is that field's place in the policy.
    pub fn build(catalogue: &Catalogue, at: &Node) -> Result<Self, ConfigError> {
        let mut registry = Registry::new(usize::MAX);
        let gateway = Set::build(&mut registry, "gateway", None, catalogue);
        let proxy_errors = build_proxy_errors(&mut registry, catalogue);
        let services = catalogue.services.iter().enumerate();
        let services =
            services.map(|(i, name)| Set::build(&mut registry, name, Some(i), catalogue)).collect();
        let auth = catalogue.auth.as_ref().map(|auth| AuthSeries::build(&mut registry, auth));
        let headers_injected = build_headers_injected(&mut registry);
        let overflow = build_overflow(&mut registry);
        if registry.len() > catalogue.max_series {
            let expected =
                format!("at least {}, the number of series this policy makes possible", registry.len());
            return Err(at.error(catalogue.max_series.to_string(), expected));
        }
        registry.limit(catalogue.max_series);
        let published = registry.stat_count();
        let service_names = catalogue.services.clone();
        let mut metrics = Self {
            registry,
            accumulator: Accumulator::default(),
            gateway,
            services,
            service_names,
            proxy_errors,
            overflow,
            headers_injected,
            auth,
            published,
        };
        let (auth, mut books) = metrics.auth_books();
        auth.iter().for_each(|auth| auth.begin(&mut books));
        Ok(metrics)
    }

    /// Counts a finished request.
    pub fn observe(&mut self, seen: &Observation) {
        let Self { registry, accumulator, overflow, .. } = self;
        let mut books = Books { registry, accumulator, overflow: *overflow };
        self.gateway.observe(&mut books, seen);
        if let Some(set) = seen.service.and_then(|s| self.services.get_mut(s)) {
            set.observe(&mut books, seen);
        }
        let failed = seen.proxy_error.zip(seen.service.and_then(|s| self.service_names.get(s)));
        if let Some((error, service)) = failed {
            books.count(self.proxy_errors, &[service, &error.label()]);
        }
    }

    /// Counts a request that was forwarded with the trust headers.
    pub fn headers_injected(&mut self) {
        if let Some(series) = self.headers_injected {
            self.accumulator.add(&self.registry, series, 1);
        }
    }

    /// The token families, and where their counts go.
    pub(crate) fn auth_books(&mut self) -> (Option<&mut AuthSeries>, Books<'_>) {
        let Self { registry, accumulator, overflow, auth, .. } = self;
        (auth.as_mut(), Books { registry, accumulator, overflow: *overflow })
    }

    /// Hands every change since the last flush to `flush`.
    pub fn flush(&mut self, flush: impl FnMut(StatId, Change)) {
        self.accumulator.drain(&self.registry, flush);
    }

    /// The registry, to define and to show its stats.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Series born since the last call, for the other workers to know (see [`GatewayMetrics::adopt`]).
    pub fn take_born(&mut self) -> Vec<String> {
        let born = self.registry.keys_from(self.published);
        self.published = self.registry.stat_count();
        born
    }

    /// Adds a series another worker has seen born, if this policy can have it: the other may run an older policy.
    pub fn adopt(&mut self, key: &str) {
        if !self.is_possible(key) {
            return;
        }
        let before = self.registry.stat_count();
        self.registry.adopt(key);
        if self.published == before {
            self.published = self.registry.stat_count();
        }
    }

    /// Whether the series of `key` can occur under this policy.
    #[must_use]
    pub fn is_possible(&self, key: &str) -> bool {
        let Some((family, values)) = self.registry.parse_key(key) else { return false };
        if family == self.proxy_errors {
            return values
                .first()
                .is_some_and(|service| self.service_names.iter().any(|name| name == service));
        }
        let mut sets = core::iter::once(&self.gateway).chain(&self.services);
        let set = sets.find(|set| [set.requests, set.errors].contains(&family));
        set.is_some_and(|set| {
            set.by_endpoint.iter().flatten().any(|e| Some(&e.label.as_str()) == values.get(1))
        })
    }
}

impl ProxyError {
    fn label(self) -> String {
        match self {
            Self::RequestFailed => "request_failed".to_owned(),
            Self::Status(status) => status.to_string(),
        }
    }
}

/// Where counts go.
pub(crate) struct Books<'a> {
    pub registry: &'a mut Registry,
    pub accumulator: &'a mut Accumulator,
    overflow: Option<SeriesId>,
}

impl Books<'_> {
    fn add(&mut self, series: SeriesId) {
        self.accumulator.add(self.registry, series, 1);
    }

    fn count(&mut self, family: FamilyId, values: &[&str]) -> Option<SeriesId> {
        let series = self.registry.series(family, values);
        match series {
            Some(series) => self.add(series),
            // The registry is full: nothing that happened may go uncounted, so it is counted without its name.
            None => {
                let others = vec![OTHER; values.len()];
                if let Some(other) = self.registry.known(family, &others) {
                    self.add(other);
                }
                if let Some(overflow) = self.overflow {
                    self.add(overflow);
                }
            }
        }
        series
    }
}

impl Set {
    fn build(registry: &mut Registry, bearer: &str, service: Option<usize>, catalogue: &Catalogue) -> Self {
        let requests =
            counter(registry, &format!("{bearer}_requests_total"), &requests_help(bearer, service));
        let errors = counter(registry, &format!("{bearer}_errors_total"), &errors_help(bearer, service));
        let latency = registry.family(Family {
            name: format!("{bearer}_request_latency_seconds"),
            help: latency_help(bearer, service),
            kind: Kind::Histogram(CANONICAL_BUCKETS),
            labels: &["endpoint"],
        });
        for family in [requests, errors] {
            registry.series(family, &[OTHER, OTHER]);
        }
        let mut build = |endpoint: &Endpoint| {
            let concerned = service.is_none_or(|s| endpoint.services.contains(&s));
            concerned.then(|| {
                EndpointSeries::build(registry, (requests, errors, latency), endpoint, &catalogue.statuses)
            })
        };
        let by_endpoint = catalogue.endpoints.iter().map(&mut build).collect();
        Self { requests, errors, by_endpoint }
    }

    fn observe(&mut self, books: &mut Books<'_>, seen: &Observation) {
        let Some(Some(endpoint)) = self.by_endpoint.get_mut(seen.endpoint) else { return };
        if let Some(latency) = endpoint.latency {
            books.accumulator.observe(books.registry, latency, seen.micros);
        }
        match endpoint.statuses.iter().find(|(status, ..)| *status == seen.status) {
            Some((_, requests, errors)) => {
                books.add(*requests);
                errors.iter().for_each(|e| books.add(*e));
            }
            None => self.first_of_its_status(books, seen),
        }
    }

    fn first_of_its_status(&mut self, books: &mut Books<'_>, seen: &Observation) {
        let Some(Some(endpoint)) = self.by_endpoint.get_mut(seen.endpoint) else { return };
        let status = seen.status.to_string();
        let requests = books.count(self.requests, &[&status, &endpoint.label]);
        let errors =
            if seen.status >= 400 { books.count(self.errors, &[&status, &endpoint.label]) } else { None };
        let complete = seen.status < 400 || errors.is_some();
        if let Some(requests) = requests.filter(|_| complete) {
            endpoint.statuses.push((seen.status, requests, errors));
        }
    }
}

impl EndpointSeries {
    fn build(
        registry: &mut Registry,
        (requests, errors, latency): (FamilyId, FamilyId, FamilyId),
        endpoint: &Endpoint,
        statuses: &[u16],
    ) -> Self {
        let mut by_status = Vec::new();
        for status in statuses {
            let text = status.to_string();
            let labels = [text.as_str(), endpoint.label.as_str()];
            let errors = if *status >= 400 { registry.series(errors, &labels) } else { None };
            by_status.extend(registry.series(requests, &labels).map(|requests| (*status, requests, errors)));
        }
        let latency = registry.series(latency, &[&endpoint.label]);
        Self { label: endpoint.label.clone(), latency, statuses: by_status }
    }
}

fn build_proxy_errors(registry: &mut Registry, catalogue: &Catalogue) -> FamilyId {
    let family = registry.family(Family {
        name: "gateway_proxy_errors_total".to_owned(),
        help: "Requests that failed between gateway and service.".to_owned(),
        kind: Kind::Counter,
        labels: &["target_service", "error_type"],
    });
    registry.series(family, &[OTHER, OTHER]);
    for service in &catalogue.services {
        registry.series(family, &[service, &ProxyError::RequestFailed.label()]);
        for status in catalogue.statuses.iter().filter(|s| **s >= 500) {
            registry.series(family, &[service, &ProxyError::Status(*status).label()]);
        }
    }
    family
}

fn build_overflow(registry: &mut Registry) -> Option<SeriesId> {
    let family = registry.family(Family {
        name: "portcullis_metric_series_overflow_total".to_owned(),
        help: "Events counted under `other` because metrics.max_series was reached.".to_owned(),
        kind: Kind::Counter,
        labels: &[],
    });
    registry.series(family, &[])
}

fn build_headers_injected(registry: &mut Registry) -> Option<SeriesId> {
    let family = registry.family(Family {
        name: "gateway_security_headers_injected_total".to_owned(),
        help: "Requests forwarded with the trust headers.".to_owned(),
        kind: Kind::Counter,
        labels: &[],
    });
    registry.series(family, &[])
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> FamilyId {
    registry.family(Family {
        name: name.to_owned(),
        help: help.to_owned(),
        kind: Kind::Counter,
        labels: &["status_code", "endpoint"],
    })
}

fn requests_help(bearer: &str, service: Option<usize>) -> String {
    match service {
        None => "Requests the gateway finished, whoever answered them.".to_owned(),
        Some(_) => format!("Requests the gateway sent to the {bearer} service."),
    }
}

fn errors_help(bearer: &str, service: Option<usize>) -> String {
    match service {
        None => "Requests that ended in a 4xx or 5xx, whoever answered them.".to_owned(),
        Some(_) => format!("Requests sent to the {bearer} service that ended in a 4xx or 5xx."),
    }
}

fn latency_help(bearer: &str, service: Option<usize>) -> String {
    match service {
        None => "Time from a request's first byte to its answer's last.".to_owned(),
        Some(_) => {
            format!("Time that requests sent to the {bearer} service took, as the gateway's clients saw it.")
        }
    }
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
