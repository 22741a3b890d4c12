//! What is counted of tokens, and of the documents and services that say whether to believe them.

use crate::{FetchFailure, Jwt, KeyError, RouteAuth, TokenError};
use portcullis_metrics::{
    About, Axis, Condition, Domain, Outcome, Row, Values, Vocabulary, labels, metrics, policy_labels,
};

/// Where tokens are checked at all.
pub static TOKENS: Condition = Condition("the policy has a section `jwt`");
/// Where an auth service is asked.
pub static AUTH_SERVICE: Condition = Condition("a provider has `introspection`");
/// Where keys are fetched.
pub static KEY_SETS: Condition = Condition("a provider has `fetch`");
/// Where tokens are made.
pub static LOGIN: Condition = Condition("a route's `auth` is `issues`");

labels! {
    /// what took the time: the check of a token without waiting for keys, or reading user and role from it
    pub enum Operation { Validation = "jwt_validation", Context = "user_context_extraction" }
}

labels! {
    /// whether a token was among those verified before
    pub enum LookUp { Hit = "hit", Miss = "miss" }
}

policy_labels! {
    /// a provider under `jwt.providers`, and what is fetched for it: `keys` or `deny_list`
    pub struct FetchedDocument;
    /// a provider under `jwt.providers`
    pub struct ProviderName;
}

/// A key of a fetched set that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// The set: the place of a [`FetchedDocument`].
    pub document: usize,
    /// Why it is not used.
    pub why: KeyError,
}

impl SkippedKey {
    /// Finds a row by both parts. More documents than this has room for would need 4,096 providers.
    fn code(document: usize, why: KeyError) -> Option<u16> {
        u16::try_from(document.checked_mul(32)?.checked_add(why.index())?).ok()
    }
}

const _: () = assert!(KeyError::ALL.len() <= 32, "a reason's place fits beside a document's");

impl Domain for SkippedKey {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "a provider that fetches keys, and why a key of its set is not used; `not_for_verification` and `unknown` are \
            no mistakes",
        values: Values::Policy,
    };

    fn axis(vocabulary: &Vocabulary) -> Axis {
        let documents = vocabulary.axis::<FetchedDocument>();
        let sets = documents.rows().iter().enumerate().filter_map(|(index, row)| match row.as_slice() {
            [provider, what] if what == "keys" => Some((index, provider)),
            _ => None,
        });
        let reasons = || KeyError::ALL.iter().copied().filter(|why| why.is_of_fetched());
        let values = sets.flat_map(|(index, provider)| {
            let row = move |why: KeyError| vec![provider.clone(), why.as_str().into()];
            reasons().filter_map(move |why| Some((row(why), Self::code(index, why)?)))
        });
        let (rows, codes) = values.unzip();
        Axis::of_rows(rows).with_codes(codes)
    }

    fn place(value: &Self, axis: &Axis) -> Option<usize> {
        axis.place_of(Self::code(value.document, value.why)?)
    }
}

/// Where a token was: an index into [`Jwt::source_kinds`]; `None` where there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSource(pub Option<usize>);

impl Domain for TokenSource {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "where the token was: `header`, `cookie` or `query`, as far as `jwt.sources` has them; `none` without one",
        values: Values::Policy,
    };

    fn axis(vocabulary: &Vocabulary) -> Axis {
        let kinds = vocabulary.axis::<Self>();
        Axis::of_rows([vec!["none".into()]].into_iter().chain(kinds.rows().iter().cloned()).collect())
    }

    fn place(value: &Self, _: &Axis) -> Option<usize> {
        value.0.map_or(Some(0), |kind| kind.checked_add(1))
    }
}

/// What came of the check of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It is good.
    Good,
    /// It is missing or bad, and the request was refused.
    Refused(TokenError),
    /// It is missing or bad, and shadow mode let the request pass.
    WouldRefuse(TokenError),
}

impl TokenVerdict {
    const STATUSES: [&'static str; 2] = ["failure", "shadow_failure"];

    fn rows() -> Vec<Row> {
        let good: Row = vec!["success".into(), TokenError::NONE.into()];
        let refused = Self::STATUSES.into_iter().flat_map(|status| {
            TokenError::ALL.into_iter().map(move |error| vec![status.into(), error.as_str().into()])
        });
        [good].into_iter().chain(refused).collect()
    }
}

impl Domain for TokenVerdict {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "`success`, `failure`, or `shadow_failure` for what enforce mode would have refused; and why. `keys_pending` \
            and `revocation_unknown` are the gateway's own trouble, answered 503. A request without a token where none is \
            needed counts under no reason",
        values: Values::Fixed(Self::rows),
    };

    fn axis(_: &Vocabulary) -> Axis {
        Axis::of_rows(Self::rows())
    }

    fn place(value: &Self, _: &Axis) -> Option<usize> {
        let of = |error: TokenError| TokenError::ALL.iter().position(|known| *known == error)?.checked_add(1);
        match *value {
            Self::Good => Some(0),
            Self::Refused(error) => of(error),
            Self::WouldRefuse(error) => of(error)?.checked_add(TokenError::ALL.len()),
        }
    }
}

/// How a fetch ended: with a document, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchResult(pub Option<FetchFailure>);

impl FetchResult {
    fn rows() -> Vec<Row> {
        let failures = FetchFailure::ALL.iter().map(|failure| failure.as_str());
        ["success"].into_iter().chain(failures).map(|text| vec![text.into()]).collect()
    }
}

impl Domain for FetchResult {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "`success`, or why a fetch failed: `status` is another than 200, `discovery` an issuer's configuration that \
            cannot be used",
        values: Values::Fixed(Self::rows),
    };

    fn axis(_: &Vocabulary) -> Axis {
        Axis::of_rows(Self::rows())
    }

    fn place(value: &Self, _: &Axis) -> Option<usize> {
        value.0.map_or(Some(0), |failure| failure.index().checked_add(1))
    }
}

metrics! {
    /// What is counted of tokens.
    pub struct TokenMetrics {
        /// Requests to routes that look for a token, by where it was.
        gateway_jwt_validation_requests_total: Counter { source: TokenSource },
            when TOKENS, promql "sum by (source) (rate(gateway_jwt_validation_requests_total[5m]))";
        /// Tokens checked; `shadow_failure` is what enforce mode would have refused.
        auth_jwt_validation_total: Counter { status/reason: TokenVerdict },
            when TOKENS, promql "sum by (reason) (rate(auth_jwt_validation_total{status=\"failure\"}[5m]))";
        /// Good tokens that were asked who their bearer is; `failure` is one that does not say.
        auth_user_context_extraction_total: Counter { status: Outcome },
            when TOKENS, promql "increase(auth_user_context_extraction_total{status=\"failure\"}[1h])";
        /// Good tokens that were asked for a role; `failure` is one that has none.
        auth_role_resolution_total: Counter { status: Outcome },
            when TOKENS, promql "increase(auth_role_resolution_total{status=\"failure\"}[1h])";
        /// Answers of the login routes; `success` is one that made a token.
        auth_jwt_creation_total: Counter { status: Outcome },
            when LOGIN, promql "sum by (status) (increase(auth_jwt_creation_total[1h]))";
        /// Time that checking a token, and reading user and role from it, took in the gateway.
        auth_request_duration_seconds: Histogram { operation: Operation },
            when TOKENS, promql "histogram_quantile(0.99, sum by (le, operation) (rate(auth_request_duration_seconds_bucket[5m])))";
        /// Requests that wait for keys or for the auth service now, questions whose client has left included.
        auth_concurrent_requests: Gauge {},
            when TOKENS, promql "auth_concurrent_requests";
        /// Requests refused because as many as may were waiting already.
        gateway_jwt_waiting_refused_total: Counter {},
            when TOKENS, promql "increase(gateway_jwt_waiting_refused_total[5m])";
        /// Calls to the auth service; `failure` is no usable answer, whatever it would have said of the token.
        gateway_auth_service_calls_total: Counter { status: Outcome },
            when AUTH_SERVICE, promql "sum by (status) (rate(gateway_auth_service_calls_total[5m]))";
        /// Tokens refused without asking, because the auth service had called them inactive a moment ago.
        gateway_jwt_negative_cache_hits_total: Counter {},
            when AUTH_SERVICE, promql "rate(gateway_jwt_negative_cache_hits_total[5m])";
        /// Inactive tokens forgotten early to make room for others; each may be asked about again.
        gateway_jwt_negative_cache_evictions_total: Counter {},
            when AUTH_SERVICE, promql "rate(gateway_jwt_negative_cache_evictions_total[5m])";
        /// Time that calls to the auth service took.
        gateway_auth_service_response_time_seconds: Histogram {},
            when AUTH_SERVICE, promql "histogram_quantile(0.95, sum by (le) (rate(gateway_auth_service_response_time_seconds_bucket[5m])))";
        /// Fetches of keys and deny lists; one worker fetches for all, so each is counted once.
        gateway_jwt_fetches_total: Counter { provider/document: FetchedDocument, result: FetchResult },
            when TOKENS, promql "sum by (provider, document, result) (increase(gateway_jwt_fetches_total{result!=\"success\"}[1h]))";
        /// Keys of fetched sets that are not used, counted once for each set that is another than before.
        gateway_jwt_keys_skipped_total: Counter { provider/reason: SkippedKey },
            when KEY_SETS, promql "sum by (provider, reason) (increase(gateway_jwt_keys_skipped_total{reason!~\"unknown|not_for_verification\"}[1d]))";
        /// Tokens refused because the time for trying keys was used up: more keys than it allows could have signed them.
        gateway_jwt_check_budget_exhausted_total: Counter { provider: ProviderName },
            when TOKENS, promql "sum by (provider) (increase(gateway_jwt_check_budget_exhausted_total[5m]))";
        /// Time since the keys or the deny list in use were fetched; -1 while there are none.
        gateway_jwt_document_age_seconds: Gauge { provider/document: FetchedDocument },
            when TOKENS, promql "gateway_jwt_document_age_seconds";
        /// Tokens looked up among those verified before.
        gateway_jwt_cache_requests_total: Counter { result: LookUp },
            when TOKENS, promql "sum(rate(gateway_jwt_cache_requests_total{result=\"hit\"}[5m])) / sum(rate(gateway_jwt_cache_requests_total[5m]))";
        /// Verified tokens dropped to make room for others.
        gateway_jwt_cache_evictions_total: Counter {},
            when TOKENS, promql "rate(gateway_jwt_cache_evictions_total[5m])";
    }
}

impl Jwt {
    /// Says what this section makes countable, with what the routes ask of tokens.
    pub fn describe<'a>(&self, routes: impl Iterator<Item = &'a RouteAuth>, vocabulary: &mut Vocabulary) {
        let row = |text: &'static str| vec![text.into()];
        vocabulary.allow(&TOKENS);
        vocabulary.define::<TokenSource>(self.source_kinds().map(row));
        let fetched = self.fetched().map(|(provider, what)| vec![provider.to_owned().into(), what.into()]);
        vocabulary.define::<FetchedDocument>(fetched);
        let names = self.providers().iter().map(|provider| vec![provider.name().to_owned().into()]);
        vocabulary.define::<ProviderName>(names);
        if self.fetched().any(|(_, what)| what == "keys") {
            vocabulary.allow(&KEY_SETS);
        }
        if self.asks() {
            vocabulary.allow(&AUTH_SERVICE);
        }
        if routes.into_iter().any(RouteAuth::issues) {
            vocabulary.allow(&LOGIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_verdict_and_every_failure_stands_at_its_place() {
        let vocabulary = Vocabulary::default();
        let axis = TokenVerdict::axis(&vocabulary);
        let row = |verdict| {
            let row = TokenVerdict::place(&verdict, &axis).and_then(|place| axis.rows().get(place)).unwrap();
            (row[0].to_string(), row[1].to_string())
        };
        assert_eq!(row(TokenVerdict::Good), ("success".into(), "none".into()));
        for error in TokenError::ALL {
            assert_eq!(row(TokenVerdict::Refused(error)), ("failure".into(), error.as_str().into()));
            assert_eq!(
                row(TokenVerdict::WouldRefuse(error)),
                ("shadow_failure".into(), error.as_str().into())
            );
        }
        let axis = FetchResult::axis(&vocabulary);
        let place = FetchResult::place(&FetchResult(Some(FetchFailure::TooLarge)), &axis).unwrap();
        assert_eq!(axis.rows()[place], ["too_large"]);
        assert_eq!(axis.rows()[FetchResult::place(&FetchResult(None), &axis).unwrap()], ["success"]);
    }

    #[test]
    fn skipped_keys_are_those_of_sets_that_are_fetched() {
        let mut vocabulary = Vocabulary::default();
        let documents = [["a", "keys"], ["a", "deny_list"], ["b", "keys"]];
        vocabulary.define::<FetchedDocument>(documents.map(|row| row.map(Into::into).to_vec()));
        let axis = SkippedKey::axis(&vocabulary);
        let row = |document, why| {
            let place = SkippedKey::place(&SkippedKey { document, why }, &axis)?;
            axis.rows().get(place).map(|row| row.join(" "))
        };
        assert_eq!(row(0, KeyError::Roca).as_deref(), Some("a roca"));
        assert_eq!(row(1, KeyError::Roca), None);
        assert_eq!(row(2, KeyError::PublishedSecret).as_deref(), Some("b published_secret"));
        assert_eq!(row(2, KeyError::NotPem), None, "a set has no PEM");
    }
}
