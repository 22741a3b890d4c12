//! What is counted of tokens, of who may do what, and of the documents and services that tell it.

use crate::GatewayMetrics;
use crate::auth_series::{AuthSeries, Outcome, Slot};
use crate::gateway::Books;

/// What the policy makes countable about tokens. Observations refer to all of it by position.
#[derive(Clone, Debug, Default)]
pub struct AuthCatalogue {
    /// Where tokens are read from: `header`, `cookie`, `query`.
    pub sources: Vec<&'static str>,
    /// Why a token can be refused.
    pub reasons: Vec<&'static str>,
    /// Whether any route has rules on who may use it; their family does not exist otherwise.
    pub rules: bool,
    /// What is fetched: provider and `keys` or `deny_list`.
    pub fetched: Vec<(String, &'static str)>,
    /// Why a fetch can fail.
    pub fetch_failures: Vec<&'static str>,
    /// Whether tokens are asked about at an auth service.
    pub auth_service: bool,
    /// Whether a route is known to make tokens.
    pub login: bool,
}

/// What became of one request's token: a request to a route that looks for one, or whose answer makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthObservation {
    /// Whether the route looks for a token.
    pub looked: bool,
    /// Index of the place where the token was; `None` if there was no token.
    pub source: Option<usize>,
    /// What the check said; `None` where no token was needed and none came.
    pub token: Option<TokenResult>,
    /// Whether the token told who its bearer is; `None` if that was not looked for. The same for the next two.
    pub user: Option<bool>,
    /// Whether it told the bearer's role.
    pub role: Option<bool>,
    /// Whether the bearer may do this.
    pub permission: Option<bool>,
    /// Whether a refusal of the token has no effect, because its check is in shadow mode.
    pub shadow: bool,
    /// Whether a refusal of the permission has none, because the rules are.
    pub shadow_permission: bool,
    /// What the check of the token took, in microseconds, without waiting for keys.
    pub validation_micros: Option<u64>,
    /// What reading user, role and permissions took, in microseconds.
    pub context_micros: Option<u64>,
    /// Whether the login route's answer made a token; `None` on other routes.
    pub created: Option<bool>,
}

/// What the check of a token said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenResult {
    /// It is good.
    Good,
    /// It is missing or bad: index of the reason.
    Refused(usize),
}

/// Age of a document that is not there.
const NO_DOCUMENT: i64 = -1;

impl AuthSeries {
    /// No worker has told the documents' ages yet.
    pub(crate) fn begin(&self, books: &mut Books<'_>) {
        self.documents.iter().for_each(|document| books.set(document.age, NO_DOCUMENT));
    }

    fn observe(&self, books: &mut Books<'_>, seen: &AuthObservation) {
        books.tally(self.source(seen), 1);
        books.tally(seen.token.and_then(|result| self.checked(result, seen.shadow)), 1);
        books.outcome(&self.user, seen.user);
        books.outcome(&self.role, seen.role);
        match seen.permission {
            Some(false) if seen.shadow_permission => books.tally(self.permission_shadow, 1),
            permission => books.outcome(&self.permission, permission),
        }
        books.outcome(&self.creation, seen.created);
        books.time(self.validation_time, seen.validation_micros);
        books.time(self.context_time, seen.context_micros);
    }

    fn source(&self, seen: &AuthObservation) -> Slot {
        match seen.source {
            Some(source) => self.sources.get(source).copied().flatten(),
            None => self.no_source.filter(|_| seen.looked),
        }
    }

    fn checked(&self, result: TokenResult, shadow: bool) -> Slot {
        match result {
            TokenResult::Good => self.good,
            TokenResult::Refused(reason) => {
                let (refused, shadowed) = *self.refused.get(reason)?;
                if shadow { shadowed } else { refused }
            }
        }
    }
}

impl Books<'_> {
    fn tally(&mut self, series: Slot, by: u64) {
        series.into_iter().for_each(|series| self.accumulator.add(self.registry, series, by));
    }

    fn outcome(&mut self, outcome: &Outcome, success: Option<bool>) {
        let series = success.and_then(|success| if success { outcome.success } else { outcome.failure });
        self.tally(series, 1);
    }

    fn time(&mut self, series: Slot, micros: Option<u64>) {
        if let Some((series, micros)) = series.zip(micros) {
            self.accumulator.observe(self.registry, series, micros);
        }
    }

    fn set(&mut self, series: Slot, level: i64) {
        series.into_iter().for_each(|series| self.accumulator.set(self.registry, series, level));
    }
}

/// Of tokens. Nothing happens in these where the policy has no such section.
impl GatewayMetrics {
    /// Counts what became of a request's token.
    pub fn observe_auth(&mut self, seen: &AuthObservation) {
        let (auth, mut books) = self.auth_books();
        auth.into_iter().for_each(|auth| auth.observe(&mut books, seen));
    }

    /// Counts a call to the auth service and what it took, in microseconds. Success is an answer that can be used,
    /// whatever it says of the token.
    pub fn auth_service_call(&mut self, success: bool, micros: u64) {
        let (Some(auth), mut books) = self.auth_books() else { return };
        books.outcome(&auth.service, Some(success));
        books.time(auth.service_time, Some(micros));
    }

    /// Counts a fetch of a document (by index) with the index of its failure, if it failed.
    pub fn fetched(&mut self, document: usize, failure: Option<usize>) {
        let (Some(auth), mut books) = self.auth_books() else { return };
        let Some(document) = auth.documents.get(document) else { return };
        let result = failure.map_or(document.success, |f| document.failures.get(f).copied().flatten());
        books.tally(result, 1);
    }

    /// Tells how many seconds ago the document in use was fetched, or that there is none. All workers tell the same.
    pub fn document_age(&mut self, document: usize, seconds: Option<u64>) {
        let (Some(auth), mut books) = self.auth_books() else { return };
        let Some(document) = auth.documents.get(document) else { return };
        let seconds = seconds.map_or(NO_DOCUMENT, |age| i64::try_from(age).unwrap_or(i64::MAX));
        books.set(document.age, seconds);
    }

    /// Adds look-ups in this worker's cache of verified tokens, and tokens dropped from it, since the last call.
    pub fn cache(&mut self, hits: u64, misses: u64, evictions: u64) {
        let (Some(auth), mut books) = self.auth_books() else { return };
        books.tally(auth.hits, hits);
        books.tally(auth.misses, misses);
        books.tally(auth.evictions, evictions);
    }

    /// Tells how many requests of this worker wait now. Before the last flush of a worker that ends this must be 0.
    pub fn waiting(&mut self, now: u64) {
        let (Some(auth), books) = self.auth_books() else { return };
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let by = now.saturating_sub(auth.waiting_told);
        auth.waiting_told = now;
        if let Some(series) = auth.waiting {
            books.accumulator.shift(books.registry, series, by);
        }
    }

    /// Counts a request that was refused because too many were waiting.
    pub fn waiting_refused(&mut self) {
        let (Some(auth), mut books) = self.auth_books() else { return };
        books.tally(auth.waiting_refused, 1);
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
