//! The token families and their series.

use crate::{AuthCatalogue, CANONICAL_BUCKETS, Family, FamilyId, Kind, Registry, SeriesId};

/// A series, if it was made.
pub(crate) type Slot = Option<SeriesId>;

/// One thing that goes well or does not.
pub(crate) struct Outcome {
    pub success: Slot,
    pub failure: Slot,
}

/// A document that is fetched.
pub(crate) struct Document {
    pub success: Slot,
    /// By kind of failure.
    pub failures: Vec<Slot>,
    pub age: Slot,
}

/// Series of all token families, found by index: a request needs no look-up.
pub(crate) struct AuthSeries {
    pub sources: Vec<Slot>,
    pub no_source: Slot,
    pub good: Slot,
    /// By reason: refused, and in shadow mode.
    pub refused: Vec<(Slot, Slot)>,
    pub user: Outcome,
    pub role: Outcome,
    pub permission: Outcome,
    pub permission_shadow: Slot,
    pub creation: Outcome,
    pub validation_time: Slot,
    pub context_time: Slot,
    pub waiting: Slot,
    pub waiting_refused: Slot,
    /// What the host's gauge has been told of this worker.
    pub waiting_told: i64,
    pub service: Outcome,
    pub service_time: Slot,
    pub documents: Vec<Document>,
    pub hits: Slot,
    pub misses: Slot,
    pub evictions: Slot,
}

const SUCCESS: &str = "success";
const FAILURE: &str = "failure";
const SHADOW_FAILURE: &str = "shadow_failure";
const NONE: &str = "none";

impl AuthSeries {
    pub(crate) fn build(registry: &mut Registry, catalogue: &AuthCatalogue) -> Self {
        let mut make = Make(registry);
        let (sources, no_source) = make.sources(catalogue);
        let (good, refused) = make.validation(catalogue);
        let user = make.outcome(
            "auth_user_context_extraction_total",
            "Good tokens that were asked who their bearer is.",
        );
        let role = make.outcome("auth_role_resolution_total", "Good tokens that were asked for a role.");
        let (permission, permission_shadow) = make.permission(catalogue.rules);
        let creation = make.outcome_if(
            catalogue.login,
            "auth_jwt_creation_total",
            "Answers of the login routes; success is one that made a token.",
        );
        let [validation_time, context_time] = make.times();
        let (waiting, waiting_refused) = make.waiting();
        let (service, service_time) = make.service(catalogue.auth_service);
        let documents = make.documents(catalogue);
        let [hits, misses, evictions] = make.cache();
        Self {
            sources,
            no_source,
            good,
            refused,
            user,
            role,
            permission,
            permission_shadow,
            creation,
            validation_time,
            context_time,
            waiting,
            waiting_refused,
            waiting_told: 0,
            service,
            service_time,
            documents,
            hits,
            misses,
            evictions,
        }
    }
}

/// Makes families and their series.
struct Make<'a>(&'a mut Registry);

impl Make<'_> {
    fn family(&mut self, kind: Kind, name: &str, help: &str, labels: &'static [&'static str]) -> FamilyId {
        self.0.family(Family { name: name.to_owned(), help: help.to_owned(), kind, labels })
    }

    fn counter(&mut self, name: &str, help: &str, labels: &'static [&'static str]) -> FamilyId {
        self.family(Kind::Counter, name, help, labels)
    }

    fn single(&mut self, kind: Kind, name: &str, help: &str) -> Slot {
        let family = self.family(kind, name, help, &[]);
        self.0.series(family, &[])
    }

    fn outcome(&mut self, name: &str, help: &str) -> Outcome {
        let family = self.counter(name, help, &["status"]);
        Outcome { success: self.0.series(family, &[SUCCESS]), failure: self.0.series(family, &[FAILURE]) }
    }

    fn outcome_if(&mut self, wanted: bool, name: &str, help: &str) -> Outcome {
        if wanted { self.outcome(name, help) } else { Outcome { success: None, failure: None } }
    }

    fn sources(&mut self, catalogue: &AuthCatalogue) -> (Vec<Slot>, Slot) {
        let family = self.counter(
            "gateway_jwt_validation_requests_total",
            "Requests to routes that look for a token, by where it was.",
            &["source"],
        );
        let mut one = |source| self.0.series(family, &[source]);
        (catalogue.sources.iter().map(|source| one(source)).collect(), one(NONE))
    }

    fn validation(&mut self, catalogue: &AuthCatalogue) -> (Slot, Vec<(Slot, Slot)>) {
        let family = self.counter(
            "auth_jwt_validation_total",
            "Tokens checked; shadow_failure is what enforce mode would have refused.",
            &["status", "reason"],
        );
        let mut one = |status, reason| self.0.series(family, &[status, reason]);
        let good = one(SUCCESS, NONE);
        let refused = catalogue.reasons.iter().map(|r| (one(FAILURE, r), one(SHADOW_FAILURE, r)));
        (good, refused.collect())
    }

    fn permission(&mut self, wanted: bool) -> (Outcome, Slot) {
        if !wanted {
            return (Outcome { success: None, failure: None }, None);
        }
        let family = self.counter(
            "auth_permission_validation_total",
            "Requests checked against their route's rules; shadow_failure is what enforce mode would have refused.",
            &["status"],
        );
        let mut one = |status| self.0.series(family, &[status]);
        (Outcome { success: one(SUCCESS), failure: one(FAILURE) }, one(SHADOW_FAILURE))
    }

    fn times(&mut self) -> [Slot; 2] {
        let family = self.family(
            Kind::Histogram(CANONICAL_BUCKETS),
            "auth_request_duration_seconds",
            "Time that checking a token, and reading user and role from it, took in the gateway.",
            &["operation"],
        );
        ["jwt_validation", "user_context_extraction"].map(|operation| self.0.series(family, &[operation]))
    }

    fn waiting(&mut self) -> (Slot, Slot) {
        let waiting = self.single(
            Kind::Gauge,
            "auth_concurrent_requests",
            "Requests that wait for keys or for the auth service now.",
        );
        let refused = self.single(
            Kind::Counter,
            "gateway_jwt_waiting_refused_total",
            "Requests refused because too many were waiting already.",
        );
        (waiting, refused)
    }

    fn service(&mut self, wanted: bool) -> (Outcome, Slot) {
        let calls = self.outcome_if(
            wanted,
            "gateway_auth_service_calls_total",
            "Calls to the auth service; failure is no usable answer, not a refused token.",
        );
        if !wanted {
            return (calls, None);
        }
        let time = self.single(
            Kind::Histogram(CANONICAL_BUCKETS),
            "gateway_auth_service_response_time_seconds",
            "Time that calls to the auth service took.",
        );
        (calls, time)
    }

    fn documents(&mut self, catalogue: &AuthCatalogue) -> Vec<Document> {
        if catalogue.fetched.is_empty() {
            return Vec::new();
        }
        let fetches = self.counter(
            "gateway_jwt_fetches_total",
            "Fetches of keys and deny lists.",
            &["provider", "document", "result"],
        );
        let ages = self.family(
            Kind::Gauge,
            "gateway_jwt_document_age_seconds",
            "Time since the keys or the deny list in use were fetched; -1 while there are none.",
            &["provider", "document"],
        );
        let one = |(provider, document): &(String, &'static str)| {
            let mut result = |result| self.0.series(fetches, &[provider, document, result]);
            let (success, failures) =
                (result(SUCCESS), catalogue.fetch_failures.iter().map(|f| result(f)).collect());
            Document { success, failures, age: self.0.series(ages, &[provider, document]) }
        };
        catalogue.fetched.iter().map(one).collect()
    }

    fn cache(&mut self) -> [Slot; 3] {
        let requests = self.counter(
            "gateway_jwt_cache_requests_total",
            "Tokens looked up among those verified before.",
            &["result"],
        );
        let [hits, misses] = ["hit", "miss"].map(|result| self.0.series(requests, &[result]));
        let evictions = self.single(
            Kind::Counter,
            "gateway_jwt_cache_evictions_total",
            "Verified tokens dropped to make room for others.",
        );
        [hits, misses, evictions]
    }
}
