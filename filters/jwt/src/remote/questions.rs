//! Questions to auth services, of one worker: one at a time for each token, and what was answered a moment ago.
//!
//! Requests with a token that is being asked about wait for that answer. Each of them takes it once; whoever comes later finds the
//! token in the cache of good tokens, among those that are known to be inactive, or asks anew. A question that is given up (its
//! request has ended) ends the waiting.

use crate::error::Refusal;
use crate::token::Identity;
use core::num::NonZeroUsize;
use core::time::Duration;
use lru::LruCache;
use portcullis_edge_core::Mono;
use rsa::sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// How long an answer is kept for those who wait for it.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// How many inactive tokens are remembered; the one looked up longest ago leaves first.
const MAX_INACTIVE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Names a token at a provider, in 32 bytes whatever its size.
pub(crate) type TokenKey = [u8; 32];

/// Whoever holds it is asking; when it is dropped without an answer, others may ask.
pub(crate) type Asker = Rc<()>;

/// What became of a question.
pub(crate) type Verdict = Result<Rc<Identity>, Refusal>;

/// What a request with a token is to do.
pub(crate) enum Turn {
    /// Ask.
    Ask(Asker),
    /// Wait: another request is asking.
    Wait,
    /// This was answered while it waited.
    Take(Verdict),
    /// The token was called inactive a moment ago.
    Inactive,
}

/// The questions of a worker.
pub(crate) struct Questions {
    flights: HashMap<TokenKey, Flight>,
    inactive: LruCache<TokenKey, Mono>,
    /// An answer has come since this was last asked.
    wakes: bool,
    hits: u64,
    evictions: u64,
}

struct Flight {
    /// Requests that wait for the answer.
    waiting: u32,
    state: State,
}

enum State {
    Asking(Weak<()>),
    Answered(Verdict, Mono),
}

impl Default for Questions {
    fn default() -> Self {
        let (flights, inactive) = (HashMap::new(), LruCache::new(MAX_INACTIVE));
        Self { flights, inactive, wakes: false, hits: 0, evictions: 0 }
    }
}

/// The key of a token at the provider with this index.
pub(crate) fn key(provider: usize, token: &[u8]) -> TokenKey {
    Sha256::new().chain_update(provider.to_le_bytes()).chain_update(token).finalize().into()
}

impl Questions {
    /// What a request with this token is to do.
    pub(crate) fn turn(&mut self, key: TokenKey, now: Mono) -> Turn {
        if self.inactive.get(&key).is_some_and(|until| now < *until) {
            self.hits = self.hits.saturating_add(1);
            return Turn::Inactive;
        }
        let Some(flight) = self.flights.get_mut(&key) else { return self.ask(key) };
        match &flight.state {
            State::Asking(asker) if asker.strong_count() > 0 => {
                flight.waiting = flight.waiting.saturating_add(1);
                Turn::Wait
            }
            State::Answered(verdict, until) if flight.waiting > 0 && now < *until => {
                flight.waiting = flight.waiting.saturating_sub(1);
                Turn::Take(verdict.clone())
            }
            _ => self.ask(key),
        }
    }

    fn ask(&mut self, key: TokenKey) -> Turn {
        let asker = Asker::default();
        let state = State::Asking(Rc::downgrade(&asker));
        self.flights.insert(key, Flight { waiting: 0, state });
        Turn::Ask(asker)
    }

    /// Hands an answer to those who wait for it.
    pub(crate) fn answered(&mut self, key: TokenKey, verdict: Verdict, now: Mono) {
        let Some(flight) = self.flights.get_mut(&key) else { return };
        if flight.waiting == 0 {
            self.flights.remove(&key);
            return;
        }
        flight.state = State::Answered(verdict, now.plus(SHARED_FOR));
        self.wakes = true;
    }

    /// Remembers that a token is inactive.
    pub(crate) fn remember_inactive(&mut self, key: TokenKey, until: Mono) {
        let left = self.inactive.push(key, until);
        self.evictions =
            self.evictions.saturating_add(u64::from(left.is_some_and(|(other, _)| other != key)));
    }

    /// Whether those who wait should look again: an answer has come, or a question was given up.
    pub(crate) fn poll(&mut self, now: Mono) -> bool {
        let mut wakes = core::mem::take(&mut self.wakes);
        self.flights.retain(|_, flight| match &flight.state {
            State::Asking(asker) if asker.strong_count() > 0 => true,
            State::Asking(_) => {
                wakes |= flight.waiting > 0;
                false
            }
            State::Answered(_, until) => flight.waiting > 0 && now < *until,
        });
        wakes
    }

    /// How often a token was known to be inactive; only ever grows.
    pub(crate) fn inactive_hits(&self) -> u64 {
        self.hits
    }

    /// How many inactive tokens were forgotten for others; only ever grows.
    pub(crate) fn inactive_evictions(&self) -> u64 {
        self.evictions
    }
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;
