//! A document that is fetched again and again (a provider's keys, its deny list): a state machine without I/O.
//!
//! Workers share two records in the host's shared data: a small one (who fetches until when, when it was last tried, how
//! often it failed, which generation the document is) which every worker reads on its tick, and the document, read when its
//! generation changes. A fetch needs the lease, taken by compare-and-swap, so one is in flight for the whole process. A
//! lease ends by itself: a worker that dies with it delays the others, and no more.

use super::failure::FetchFailure;
use super::fetch_policy::{FetchFrom, FetchPolicy};
use super::record::{DocumentRecord, Status};
use super::target::Target;
use crate::keys::{KeySet, SetRules};
use crate::token::{Json, without_bom};
use core::hash::Hash;
use core::time::Duration;
use portcullis_edge_core::{CallError, Host, HttpCall, Mono, Shared, update};
use rsa::sha2::{Digest as _, Sha256};
use std::rc::Rc;

/// Something that can be fetched.
pub trait Document: Sized {
    /// What it may be.
    type Rules: Hash;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it. The last good document then stays.
    fn read(body: &[u8], rules: &Self::Rules) -> Result<Self, FetchFailure>;

    /// How soon it should be fetched again, by its own word.
    fn refresh_hint(&self) -> Option<Duration> {
        None
    }
}

impl Document for KeySet {
    type Rules = SetRules;

    fn read(body: &[u8], rules: &SetRules) -> Result<Self, FetchFailure> {
        let set = KeySet::read(body, rules)?;
        if set.keys().is_empty() { Err(FetchFailure::NoUsableKey) } else { Ok(set) }
    }

    fn refresh_hint(&self) -> Option<Duration> {
        KeySet::refresh_hint(self)
    }
}

/// The fetching of one document, as one worker sees it.
pub struct Fetcher<D: Document> {
    policy: FetchPolicy,
    rules: D::Rules,
    status_key: String,
    document_key: String,
    status: Status,
    held: Option<Held<D>>,
    flight: Option<Flight>,
    next_id: u32,
    /// Somebody met a key id that is not in the set that is held.
    wanted: bool,
    /// At the last poll another worker was fetching, and this one's requests may wait for it.
    elsewhere: bool,
}

struct Held<D> {
    document: Rc<D>,
    /// SHA-256 of its bytes.
    hash: [u8; 32],
    fetched: Mono,
}

#[derive(Clone, Debug)]
struct Flight {
    id: u32,
    step: FlightStep,
    /// When the host must have answered; after it the call counts as timed out.
    until: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlightStep {
    Discovery,
    Document,
}

/// What a poll or an answer led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The call to make now, with the id to answer under.
    pub call: Option<(u32, HttpCall)>,
    /// The document is another than before: take [`Fetcher::get`] anew.
    pub changed: bool,
    /// Whatever requests wait for should be asked again: a fetch has ended, here or at another worker.
    pub wakes: bool,
    /// The fetch of this worker has brought the document.
    pub fetched: bool,
    /// The fetch of this worker has failed.
    pub failure: Option<FetchFailure>,
}

/// Facts for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFacts {
    /// Time since the document was fetched; nothing while there is none.
    pub age: Option<Duration>,
    /// Failures since the last success, of all workers.
    pub failures_in_a_row: u32,
}

impl<D: Document> Fetcher<D> {
    /// The fetching of the document called `name`, a name that nothing else in shared data has.
    #[must_use]
    pub fn new(name: &str, policy: &FetchPolicy, rules: D::Rules) -> Self {
        Self {
            status: Status::new(policy.fingerprint(&rules)),
            policy: policy.clone(),
            rules,
            status_key: format!("{name}.status"),
            document_key: format!("{name}.document"),
            held: None,
            flight: None,
            next_id: 0,
            wanted: false,
            elsewhere: false,
        }
    }

    /// The document, unless there is none or it is too old.
    #[must_use]
    pub fn get(&self) -> Option<Rc<D>> {
        self.held.as_ref().map(|held| Rc::clone(&held.document))
    }

    /// The largest answer, in bytes. A host that knows an answer's size can spare copying a larger one.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.policy.max_bytes
    }

    /// Facts for metrics.
    #[must_use]
    pub fn facts(&self, now: Mono) -> FetchFacts {
        let age = self.held.as_ref().map(|held| now.since(held.fetched));
        FetchFacts { age, failures_in_a_row: self.status.failures }
    }

    /// To be called on every tick, and whenever [`Fetcher::may_wait`] said so: learns what other workers fetched, drops what is
    /// too old, and starts a fetch that is due.
    pub fn poll(&mut self, host: &dyn Host) -> Step {
        let now = host.mono();
        let mut step = Step::default();
        let version = self.learn(host, &mut step);
        self.watch(now, &mut step);
        self.drop_old(now, &mut step);
        self.give_up(now, host, &mut step);
        if self.flight.is_none() && self.is_due(now) && self.status.lease_until <= now {
            step.call = self.start(now, host, version);
        }
        step
    }

    /// Whether a request should wait: a fetch is in flight, or the next poll starts one. `unknown_key`: keys are
    /// there, but not the one that the token names; then a fetch starts at most once in the policy's `cooldown`.
    pub fn may_wait(&mut self, now: Mono, unknown_key: bool) -> bool {
        // The other worker may die; then it is for this one to fetch, as soon as it may.
        self.wanted |= unknown_key && (self.is_elsewhere(now) || self.is_cooled(now));
        self.flight.is_some() || self.is_elsewhere(now) || self.is_due(now)
    }

    fn is_elsewhere(&self, now: Mono) -> bool {
        self.flight.is_none() && self.status.lease_until > now
    }

    /// A lease that has ended without news was a dead worker's: whoever waited for it must hear of that.
    fn watch(&mut self, now: Mono, step: &mut Step) {
        let is_elsewhere = self.is_elsewhere(now);
        step.wakes |= self.elsewhere && !is_elsewhere;
        self.elsewhere = is_elsewhere;
    }

    /// The host's answer to the call `id`. Answers to calls that are over (late, twice) change nothing.
    pub fn on_response(&mut self, id: u32, status: u16, body: &[u8], host: &dyn Host) -> Step {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return Step::default() };
        if status != 200 {
            return self.failed(FetchFailure::Status, host);
        }
        if body.len() > self.policy.max_bytes {
            return self.failed(FetchFailure::TooLarge, host);
        }
        match flight.step {
            FlightStep::Discovery => self.discovered(body, host),
            FlightStep::Document => self.fetched(body, host),
        }
    }

    /// The host's word that the call `id` has no answer.
    pub fn on_failure(&mut self, id: u32, error: CallError, host: &dyn Host) -> Step {
        match self.flight.take_if(|flight| flight.id == id) {
            Some(_) => self.failed(error.into(), host),
            None => Step::default(),
        }
    }

    /// Reads what the workers share. Returns the record's version for the lease.
    fn learn(&mut self, host: &dyn Host, step: &mut Step) -> Option<u32> {
        let Shared { value, version } = host.shared(&self.status_key).ok().flatten()?;
        let shared = Status::read(&value).filter(|shared| shared.fingerprint == self.status.fingerprint);
        let Some(shared) = shared else { return Some(version) };
        step.wakes = shared.generation != self.status.generation || shared.failures != self.status.failures;
        if shared.generation != self.status.generation {
            step.changed = self.adopt(host);
        }
        self.status = shared;
        Some(version)
    }

    /// Takes what another worker fetched.
    fn adopt(&mut self, host: &dyn Host) -> bool {
        let Ok(Some(shared)) = host.shared(&self.document_key) else { return false };
        let record = DocumentRecord::read(&shared.value)
            .filter(|record| record.fingerprint == self.status.fingerprint);
        let Some(record) = record else { return false };
        self.hold(record.body, record.fetched).unwrap_or(false)
    }

    /// Holds a document, and tells whether it is another one than before. Most are not, and must change nothing: who sends
    /// tokens with made-up key ids makes us fetch.
    fn hold(&mut self, body: &[u8], fetched: Mono) -> Result<bool, FetchFailure> {
        let hash = Sha256::digest(body).into();
        let changed = match &mut self.held {
            Some(held) if held.hash == hash => {
                held.fetched = fetched;
                false
            }
            _ => {
                let document = Rc::new(D::read(body, &self.rules)?);
                self.held = Some(Held { document, hash, fetched });
                true
            }
        };
        self.wanted = false;
        Ok(changed)
    }

    fn drop_old(&mut self, now: Mono, step: &mut Step) {
        if self.held.take_if(|held| now.since(held.fetched) > self.policy.max_age).is_some() {
            step.changed = true;
        }
    }

    /// A host that never answers must not hold the flight for ever.
    fn give_up(&mut self, now: Mono, host: &dyn Host, step: &mut Step) {
        if self.flight.take_if(|flight| now >= flight.until).is_some() {
            let failed = self.failed(FetchFailure::Timeout, host);
            *step = Step { changed: step.changed, ..failed };
        }
    }

    /// Asked again after `learn`: another worker may just have fetched, and what it found is all there is.
    fn is_due(&self, now: Mono) -> bool {
        now >= self.status.next || self.wanted && self.is_cooled(now)
    }

    fn is_cooled(&self, now: Mono) -> bool {
        !self.status.tried() || now >= self.status.attempted.plus(self.policy.cooldown)
    }

    fn start(&mut self, now: Mono, host: &dyn Host, version: Option<u32>) -> Option<(u32, HttpCall)> {
        let lease_until = now.plus(self.policy.lease());
        let taken = Status { lease_until, attempted: now, ..self.status };
        if host.swap_shared(&self.status_key, &taken.write(), version) != Ok(true) {
            return None;
        }
        self.status = taken;
        self.wanted = false;
        Some(match &self.policy.from {
            FetchFrom::Document(target) => {
                let target = target.clone();
                self.call(FlightStep::Document, &target, now)
            }
            FetchFrom::Issuer { at, .. } => {
                let target = at.clone();
                self.call(FlightStep::Discovery, &target, now)
            }
        })
    }

    fn call(&mut self, step: FlightStep, target: &Target, now: Mono) -> (u32, HttpCall) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let until = now.plus(self.policy.timeout.saturating_add(FetchPolicy::GRACE));
        self.flight = Some(Flight { id, step, until });
        let cluster = match (step, &self.policy.from) {
            (FlightStep::Document, FetchFrom::Issuer { .. }) => self.policy.jwks_cluster.clone(),
            _ => self.policy.cluster.clone(),
        };
        let accept = match step {
            FlightStep::Discovery => "application/json",
            FlightStep::Document => self.policy.accept,
        };
        let mut headers = vec![
            (":method", "GET".to_owned()),
            (":authority", target.authority.clone()),
            (":path", target.path.clone()),
            ("accept", accept.to_owned()),
        ];
        let is_first_host = target.authority == self.policy.from.first().authority;
        let credential = self.policy.authorization.as_ref().filter(|_| is_first_host);
        headers.extend(credential.map(|credential| ("authorization", credential.value().to_owned())));
        (id, HttpCall { cluster, headers, body: Vec::new(), timeout: self.policy.timeout })
    }

    /// OpenID Connect Discovery 1.0 section 4.3: the document must name the very issuer that it was asked of.
    fn discovered(&mut self, body: &[u8], host: &dyn Host) -> Step {
        let FetchFrom::Issuer { issuer, .. } = &self.policy.from else { return Step::default() };
        let target = Json::parse(without_bom(body)).ok().and_then(|json| {
            let text = |name| json.root().member(name).and_then(|value| value.text());
            text("issuer").filter(|found| found == issuer)?;
            Target::parse(text("jwks_uri")?)
        });
        match target {
            Some(target) => {
                Step { call: Some(self.call(FlightStep::Document, &target, host.mono())), ..Step::default() }
            }
            None => self.failed(FetchFailure::Discovery, host),
        }
    }

    fn fetched(&mut self, body: &[u8], host: &dyn Host) -> Step {
        let now = host.mono();
        let changed = match self.hold(body, now) {
            Ok(changed) => changed,
            Err(failure) => return self.failed(failure, host),
        };
        let record = DocumentRecord { fingerprint: self.status.fingerprint, fetched: now, body };
        publish(host, &self.document_key, &record.write());
        let generation = self.status.generation.wrapping_add(1);
        let next = now.plus(self.until_refresh());
        self.status = Status { lease_until: now, failures: 0, generation, next, ..self.status };
        publish(host, &self.status_key, &self.status.write());
        Step { changed, wakes: true, fetched: true, ..Step::default() }
    }

    /// The policy's `refresh`, or what the document asks for if that is sooner; never sooner than the policy's `cooldown`.
    fn until_refresh(&self) -> Duration {
        let (refresh, cooldown) = (self.policy.refresh, self.policy.cooldown);
        let hint = self.held.as_ref().and_then(|held| held.document.refresh_hint());
        hint.map_or(refresh, |hint| hint.max(cooldown).min(refresh))
    }

    fn failed(&mut self, failure: FetchFailure, host: &dyn Host) -> Step {
        let now = host.mono();
        let failures = self.status.failures.saturating_add(1);
        let next = now.plus(self.policy.backoff(failures));
        self.status = Status { lease_until: now, failures, next, ..self.status };
        publish(host, &self.status_key, &self.status.write());
        Step { wakes: true, failure: Some(failure), ..Step::default() }
    }
}

/// Writes over whatever stands there: only the holder of the lease comes here. A swap that fails is somebody who thought the
/// lease had ended; where it fails for good, the next fetch mends the rest.
fn publish(host: &dyn Host, key: &str, value: &[u8]) {
    update(host, key, |bytes| (value.clone_into(bytes), true)).unwrap_or_default();
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;
