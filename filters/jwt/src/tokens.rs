//! All of a worker's token state in one place: the cache, the fetched keys, the deny lists.

use crate::cache::{CacheCounts, TokenCache};
use crate::error::{Refusal, TokenError, refuse};
use crate::keys::{KeySet, Keys, Skipped};
use crate::pending::{INACTIVE, Pending};
use crate::polled::{CallId, Fetched, Polled};
use crate::remote::{Asker, DenyList, FetchFacts, FetchFailure, Fetcher, Questions, Step, Turn, token_key};
use crate::section::{Jwt, Provider, RawNeed, RouteAuth};
use crate::token::{Found, HeaderMemo, Identity};
use crate::verify::{Checked, Question};
use portcullis_edge_core::{CallError, Host, Mode, Mono, Namespace, Now, RequestHead};
use rsa::sha2::{Digest as _, Sha256};
use std::rc::Rc;

/// A worker's tokens.
pub struct Tokens {
    pub(crate) jwt: Rc<Jwt>,
    pub(crate) keys: Keys,
    /// Whether this worker fetches nothing, by intention.
    offline: bool,
    fetching: Vec<Fetching>,
    cache: TokenCache,
    header: HeaderMemo,
    pub(crate) questions: Questions,
    hits: u64,
    misses: u64,
    pub(crate) answers: u64,
}

struct Fetching {
    provider: usize,
    what: What,
    /// SHA-256 of the last set without a key that can be used: what is wrong with it is said once.
    unusable: Option<[u8; 32]>,
}

enum What {
    Keys(Fetcher<KeySet>),
    DenyList(Fetcher<DenyList>),
}

/// What is known of a request's bearer.
#[derive(Debug)]
pub enum Authn {
    /// The route looks at no token, or takes requests without one and this has none.
    Anonymous,
    /// A good token.
    Bearer {
        /// Whose.
        identity: Rc<Identity>,
        /// Whether it was known before.
        cached: bool,
    },
    /// No good token, or none where one is needed.
    Refused(Refusal),
    /// The keys or the deny list of the provider with this index are being fetched: poll, wait, and authenticate again when a
    /// poll or an answer says `wakes`.
    Wait(usize),
    /// The auth service must be asked: [`Tokens::question`], then [`Tokens::on_answer`].
    Ask(Box<Pending>),
}

impl Tokens {
    /// A worker's state for a policy, of the instance `default`.
    #[must_use]
    pub fn new(jwt: impl Into<Rc<Jwt>>) -> Self {
        Self::in_namespace(jwt, &Namespace::new(Namespace::DEFAULT))
    }

    /// A worker's state for a policy. What is fetched is shared with the other workers under keys of `namespace`.
    #[must_use]
    pub fn in_namespace(jwt: impl Into<Rc<Jwt>>, namespace: &Namespace) -> Self {
        let jwt = jwt.into();
        let providers = jwt.providers().iter().enumerate();
        let fetching = providers.flat_map(|(i, p)| Fetching::of(i, p, namespace)).collect();
        let cache = TokenCache::new(jwt.cache_bytes());
        Self {
            jwt,
            keys: Keys::default(),
            fetching,
            cache,
            header: HeaderMemo::default(),
            offline: false,
            questions: Questions::default(),
            hits: 0,
            misses: 0,
            answers: 0,
        }
    }

    /// The same for whoever has no proxy: these keys are taken for the fetched ones, nothing is fetched, nothing waits, and no deny list
    /// names a token.
    #[must_use]
    pub fn with_keys(jwt: impl Into<Rc<Jwt>>, keys: Keys) -> Self {
        Self { keys, fetching: Vec::new(), offline: true, ..Self::new(jwt) }
    }

    /// The compiled section, to begin anew with.
    #[must_use]
    pub fn into_section(self) -> Rc<Jwt> {
        self.jwt
    }

    /// The compiled section.
    #[must_use]
    pub fn jwt(&self) -> &Jwt {
        &self.jwt
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &TokenCache {
        &self.cache
    }

    /// What the caches have done so far.
    #[must_use]
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits,
            misses: self.misses,
            evictions: self.cache.evictions(),
            inactive_hits: self.questions.inactive_hits(),
            inactive_evictions: self.questions.inactive_evictions(),
        }
    }

    /// How many answers of auth services said whether a token is active; only ever grows.
    #[must_use]
    pub fn answers_believed(&self) -> u64 {
        self.answers
    }

    /// The fetched keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether [`Tokens::poll`] has a point: something is fetched, or asked for several requests at once.
    #[must_use]
    pub fn fetches(&self) -> bool {
        !self.fetching.is_empty() || self.jwt.asks()
    }

    /// The token of a request, if its route looks at tokens.
    ///
    /// # Errors
    /// [`TokenError::TwoTokens`].
    pub fn find<'h>(&self, route: &RouteAuth, head: &'h RequestHead) -> Result<Option<Found<'h>>, Refusal> {
        if !route.looks() {
            return Ok(None);
        }
        let found = self.jwt.find(head)?;
        if let Some(found) = found.as_ref().filter(|_| !route.allows_cross_site) {
            self.jwt.check_site(head, found)?;
        }
        Ok(found)
    }

    /// The verdict on what [`Tokens::find`] found.
    pub fn authenticate(
        &mut self,
        route: &RouteAuth,
        found: Option<&Found<'_>>,
        now: Now,
        host: &dyn Host,
    ) -> Authn {
        if !route.looks() {
            return Authn::Anonymous;
        }
        match (route.need, found) {
            (RawNeed::None, _) | (RawNeed::Optional | RawNeed::Refused, None) => Authn::Anonymous,
            (RawNeed::Required, None) => {
                Authn::Refused(refuse(TokenError::Missing, "the route needs a token"))
            }
            (RawNeed::Refused, Some(_)) => {
                Authn::Refused(refuse(TokenError::Unexpected, "the route takes no token"))
            }
            (_, Some(found)) => self.check(route, &found.token, now, host),
        }
    }

    fn check(&mut self, route: &RouteAuth, token: &[u8], now: Now, host: &dyn Host) -> Authn {
        if let Some(identity) = self.cache.get(token, now.wall, self.keys.generation())
            && self.jwt.would_choose(route, &identity)
        {
            self.hits = self.hits.saturating_add(1);
            return self.finish(identity, true, now.mono);
        }
        self.misses = self.misses.saturating_add(1);
        match self.jwt.verify_knowing(&mut self.header, route, token, &self.keys, now.wall, host) {
            Ok(Checked::Good(identity)) => self.keep(token, identity, now.mono),
            Ok(Checked::Ask(question)) => self.ask(route, token, question, now.mono),
            Err(refusal) => self.refused(refusal, now.mono),
        }
    }

    /// One request asks for all that have the token. A request in shadow mode, which would not wait for another, asks by itself.
    fn ask(&mut self, route: &RouteAuth, token: &[u8], question: Question, now: Mono) -> Authn {
        let (index, key) = (question.provider, token_key(question.provider, token));
        let asker = match self.questions.turn(key, now) {
            Turn::Inactive => return Authn::Refused(INACTIVE.of(index)),
            Turn::Take(Ok(identity)) => return self.finish(identity, false, now),
            Turn::Take(Err(refusal)) => return Authn::Refused(refusal),
            Turn::Wait if route.mode() == Mode::Enforce => return Authn::Wait(index),
            Turn::Wait => Asker::default(),
            Turn::Ask(asker) => asker,
        };
        let (token, generation) = (token.to_vec(), self.keys.generation());
        Authn::Ask(Box::new(Pending { token, question, generation, tries: 0, key, _asker: asker }))
    }

    /// A token whose key is missing may only have to wait for it.
    fn refused(&mut self, refusal: Refusal, now: Mono) -> Authn {
        let unknown = match refusal.error {
            TokenError::KeysPending => false,
            TokenError::UnknownKey => true,
            _ => return Authn::Refused(refusal),
        };
        let keys = self.fetching.iter_mut().find_map(|fetching| match &mut fetching.what {
            What::Keys(keys) if Some(fetching.provider) == refusal.provider => {
                Some((fetching.provider, keys))
            }
            _ => None,
        });
        let waiting = keys.and_then(|(provider, keys)| keys.may_wait(now, unknown).then_some(provider));
        waiting.map_or(Authn::Refused(refusal), Authn::Wait)
    }

    /// The deny list has its say at every use, so a revocation ends a cached token too.
    pub(crate) fn finish(&mut self, identity: Rc<Identity>, cached: bool, now: Mono) -> Authn {
        let index = identity.provider;
        let Some(revocation) = self.jwt.providers().get(index).and_then(|p| p.revocation.as_ref()) else {
            return Authn::Bearer { identity, cached };
        };
        let allow_unknown = revocation.allow_unknown;
        let list = self.fetching.iter_mut().find_map(|fetching| match &mut fetching.what {
            What::DenyList(list) if fetching.provider == index => Some(list),
            _ => None,
        });
        let revokes = list.as_ref().and_then(|list| list.get()).map(|list| list.revokes(&identity));
        match revokes {
            Some(true) => {
                Authn::Refused(refuse(TokenError::Revoked, "the token is on the deny list").of(index))
            }
            Some(false) => Authn::Bearer { identity, cached },
            None if allow_unknown || self.offline => Authn::Bearer { identity, cached },
            None if list.is_some_and(|list| list.may_wait(now, false)) => Authn::Wait(index),
            None => {
                Authn::Refused(refuse(TokenError::RevocationUnknown, "the deny list is not there").of(index))
            }
        }
    }

    /// Remembers a good token.
    fn keep(&mut self, token: &[u8], identity: Identity, now: Mono) -> Authn {
        let identity = Rc::new(identity);
        self.remember(token, &identity);
        self.finish(identity, false, now)
    }

    pub(crate) fn remember(&mut self, token: &[u8], identity: &Rc<Identity>) {
        self.cache.put(token, identity, self.keys.generation());
    }

    /// To be called on every tick, and after [`Authn::Wait`].
    pub fn poll(&mut self, host: &dyn Host) -> Polled {
        let mut polled = Polled { wakes: self.questions.poll(host.mono()), ..Polled::default() };
        for source in 0..self.fetching.len() {
            self.step(source, &mut polled, |what| match what {
                What::Keys(keys) => keys.poll(host),
                What::DenyList(list) => list.poll(host),
            });
        }
        polled
    }

    /// The host's answer to a call.
    pub fn on_response(&mut self, call: CallId, status: u16, body: &[u8], host: &dyn Host) -> Polled {
        let mut polled = Polled::default();
        self.step(call.source, &mut polled, |what| match what {
            What::Keys(keys) => keys.on_response(call.id, status, body, host),
            What::DenyList(list) => list.on_response(call.id, status, body, host),
        });
        if polled.ended.iter().any(|(_, failure)| *failure == Some(FetchFailure::NoUsableKey)) {
            polled.skipped = self.skipped_in(call.source, body);
        }
        polled
    }

    /// The host's word that a call has no answer.
    pub fn on_failure(&mut self, call: CallId, error: CallError, host: &dyn Host) -> Polled {
        let mut polled = Polled::default();
        self.step(call.source, &mut polled, |what| match what {
            What::Keys(keys) => keys.on_failure(call.id, error, host),
            What::DenyList(list) => list.on_failure(call.id, error, host),
        });
        polled
    }

    /// The largest answer that is read, in bytes. Pass the first byte beyond it too, and it counts as too large.
    #[must_use]
    pub fn max_answer(&self, call: CallId) -> usize {
        self.fetching.get(call.source).map_or(0, |fetching| match &fetching.what {
            What::Keys(keys) => keys.max_bytes(),
            What::DenyList(list) => list.max_bytes(),
        })
    }

    /// What is fetched, as [`Polled::ended`] counts it.
    #[must_use]
    pub fn fetched_at(&self, index: usize) -> Option<Fetched> {
        self.fetching.get(index).map(|fetching| self.fetched(fetching))
    }

    /// Age and failures of everything that is fetched.
    pub fn facts(&self, now: Mono) -> impl Iterator<Item = (Fetched, FetchFacts)> {
        self.fetching.iter().map(move |fetching| {
            let facts = match &fetching.what {
                What::Keys(keys) => keys.facts(now),
                What::DenyList(list) => list.facts(now),
            };
            (self.fetched(fetching), facts)
        })
    }

    fn step(&mut self, source: usize, polled: &mut Polled, run: impl FnOnce(&mut What) -> Step) {
        let Some(fetching) = self.fetching.get_mut(source) else { return };
        let step = run(&mut fetching.what);
        polled.wakes |= step.wakes;
        polled.calls.extend(step.call.map(|(id, call)| (CallId { source, id }, call)));
        if let (true, What::Keys(keys)) = (step.changed, &fetching.what) {
            let set = keys.get();
            let skipped = set.iter().filter(|_| step.fetched).flat_map(|set| set.skipped());
            polled.skipped.extend(skipped.map(|skipped| (source, skipped.clone())));
            self.keys.set(fetching.provider, set);
        }
        if step.fetched || step.failure.is_some() {
            polled.ended.push((source, step.failure));
        }
    }

    /// Why not one key of a set can be used: nothing else says so. Once for each such set.
    fn skipped_in(&mut self, source: usize, body: &[u8]) -> Vec<(usize, Skipped)> {
        let Some(fetching) = self.fetching.get_mut(source) else { return Vec::new() };
        let hash = Sha256::digest(body).into();
        if fetching.unusable.replace(hash) == Some(hash) {
            return Vec::new();
        }
        let provider = self.jwt.providers().get(fetching.provider);
        let set = provider.and_then(|provider| provider.read_keys(body)?.ok()).unwrap_or_default();
        set.skipped().iter().map(|skipped| (source, skipped.clone())).collect()
    }

    fn fetched(&self, fetching: &Fetching) -> Fetched {
        let provider = self.jwt.providers().get(fetching.provider).map(Provider::name).unwrap_or_default();
        let what = match fetching.what {
            What::Keys(_) => "keys",
            What::DenyList(_) => "deny_list",
        };
        Fetched { provider: provider.to_owned(), what }
    }
}

impl Fetching {
    fn of(index: usize, provider: &Provider, namespace: &Namespace) -> Vec<Self> {
        let name = |what: &str| namespace.key(&format!("jwt.{}.{what}", provider.name()));
        let keys = provider.fetch.as_ref().map(|(policy, rules)| Self {
            provider: index,
            what: What::Keys(Fetcher::new(&name("keys"), policy, *rules)),
            unusable: None,
        });
        let list = provider.revocation.as_ref().map(|revocation| {
            let list = Fetcher::new(&name("deny"), &revocation.fetch, revocation.max_entries);
            Self { provider: index, what: What::DenyList(list), unusable: None }
        });
        keys.into_iter().chain(list).collect()
    }
}
