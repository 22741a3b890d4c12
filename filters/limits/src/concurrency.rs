//! How many requests of one key may be under way at once.
//!
//! A place is taken when a request comes in and given back when its stream ends, whatever became of it. Places stand in shared data as
//! rows of (key, worker, number): a worker whose VM died gives nothing back, so rows of a worker that has not been heard of for a while
//! do not count. Rows live in a fixed table of blocks, like limits; a block that is full counts no new keys.

use crate::cells::Cells;
use crate::compile::plain_hash;
use crate::concurrency_rows::{Row, rows, written};
use crate::key::{Caller, KeyPart};
use crate::limits::kind_of;
use crate::metrics::LimitKind;
use crate::secret::{Hashed, Secret};
use crate::section::rule_names;
use crate::store::{Numbered, StoreError};
use core::time::Duration;
use deserr::Deserr;
use portcullis_edge_core::{
    Class, ConfigError, ConfigErrors, Denial, Host, Mode, Mono, Named, Namespace, Node, Reason,
    check_label_name, update,
};
use schemars::JsonSchema;

/// As many requests are under way as may be.
pub const TOO_MANY_AT_ONCE: Reason =
    Reason::new("too_many_at_once", Class::RateLimited, "Too many requests at once");

/// `concurrency`: how many requests may be under way at once, by name of the limit. Requests that wait (for keys, for an auth service)
/// and upgraded connections count until they end.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawConcurrency {
    /// The limits, by name: letters, digits and `_`. The name is the label `type` of the metrics.
    #[deserr(default)]
    #[schemars(default, extend("propertyNames" = rule_names()))]
    pub rules: Named<RawPlaces>,
}

/// One limit of requests at once.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawPlaces {
    /// What it counts by, all parts together: `[ip]`, `[route]`, `[ip, service]` (the share that one client may hold of a service).
    pub key: Vec<KeyPart>,
    /// How many at once.
    #[schemars(range(min = 1))]
    pub limit: u32,
    /// Only requests to routes with these paths (default: all requests).
    #[deserr(default)]
    #[schemars(default)]
    pub routes: Vec<String>,
    /// Only requests to upgrade the connection, such as to a WebSocket (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub upgrades_only: bool,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// The limits of requests at once.
#[derive(Clone, Debug, Default)]
pub struct Concurrency {
    rules: Vec<Places>,
}

#[derive(Clone, Debug)]
struct Places {
    name: String,
    key: Vec<KeyPart>,
    hash: u64,
    limit: u32,
    routes: Option<Vec<bool>>,
    route_ids: Vec<u64>,
    upgrades_only: bool,
    mode: Mode,
}

impl RawConcurrency {
    /// Checks the section, which stands at `at`; `routes` are the paths of the policy's routes, by index.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, routes: &[&str]) -> Result<Concurrency, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let place = at.key("rules");
        for (name, raw) in self.rules.iter() {
            errors.extend(raw.check(name, &place.key(name), routes));
        }
        let on = self.rules.iter().filter(|(_, raw)| raw.mode != Mode::Off);
        let rules = on.map(|(name, raw)| raw.compile(name, routes)).collect();
        if errors.is_empty() { Ok(Concurrency { rules }) } else { Err(errors) }
    }
}

impl RawPlaces {
    fn check(&self, name: &str, at: &Node, routes: &[&str]) -> Vec<ConfigError> {
        let mut errors: Vec<_> = check_label_name(name, at).into_iter().collect();
        if self.limit == 0 {
            errors.push(at.key("limit").error("`0`", "a whole number, 1 or more"));
        }
        if let Some(index) = self.key.iter().position(KeyPart::needs_subject) {
            let expected =
                "`ip`, `route`, `service` or `header:NAME`: places are taken before the token is looked at";
            errors.push(at.key("key").index(index).error("a part of the token", expected));
        }
        let unknown = self.routes.iter().enumerate().filter(|(_, route)| !routes.contains(&route.as_str()));
        errors.extend(unknown.map(|(index, route)| {
            let found = format!("`{}`", route.escape_debug());
            let error = at.key("routes").index(index).error(found, "the path of a route, as it stands there");
            error.near(route, routes.iter().copied())
        }));
        errors
    }

    fn compile(&self, name: &str, routes: &[&str]) -> Places {
        let named = |route: &&str| self.routes.iter().any(|r| r == route);
        Places {
            name: name.to_owned(),
            key: self.key.clone(),
            // Not of the limit: who is under way stays so when it changes.
            hash: plain_hash(&format!("{name} {:?}", self.key)),
            limit: self.limit,
            routes: (!self.routes.is_empty()).then(|| routes.iter().map(named).collect()),
            route_ids: routes.iter().map(|route| plain_hash(route)).collect(),
            upgrades_only: self.upgrades_only,
            mode: self.mode,
        }
    }
}

/// Places that a request holds; to be given back.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "places that are not given back are lost"]
pub struct Held(Vec<Hashed>);

impl Held {
    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the limits say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The places that it holds from here on.
    pub held: Held,
    /// Limits that were reached: index and mode.
    pub hits: Vec<(usize, Mode)>,
    /// Why it is refused.
    pub denial: Option<Denial>,
    /// Why limits could not be counted; the request passes.
    pub failures: Vec<StoreError>,
    /// How many keys found no room in the table.
    pub crowded: u32,
}

/// How often a worker tells that it lives.
const BEAT: Duration = Duration::from_secs(5);

/// When a worker that has written nothing counts as dead.
const DEAD: Duration = Duration::from_secs(60);

/// When it is worth trying again: nobody knows when a request ends.
const SOON: Duration = Duration::from_secs(1);

const BLOCK_MASK: u64 = 0x3ff;
/// Rows of a block.
const ROWS: usize = 64;
/// Most workers that are remembered.
const WORKERS: usize = 256;

/// What a worker needs to count.
pub struct ConcurrencyState {
    secret: Secret,
    secret_key: String,
    blocks: Numbered,
    workers_key: String,
    own: u32,
    beaten: Option<u64>,
    /// Workers that have not been heard of. One that is not known yet has just begun.
    dead: Vec<u32>,
    /// Places that could not be given back yet.
    owed: Vec<Hashed>,
    pub(crate) cells: Cells,
}

impl ConcurrencyState {
    /// Of the worker with this number, which stays the same under a new policy, of the instance with this namespace.
    #[must_use]
    pub fn new(namespace: &Namespace, own: u32) -> Self {
        Self {
            secret: Secret::default(),
            secret_key: namespace.key("limits/secret"),
            blocks: Numbered::new(namespace.key("places/")),
            workers_key: namespace.key("workers"),
            own,
            beaten: None,
            dead: Vec::new(),
            owed: Vec::new(),
            cells: Cells::default(),
        }
    }

    /// Tells the others that this worker lives, learns who does not, and gives back what could not be given back before. To be called
    /// on every tick.
    pub fn beat(&mut self, host: &dyn Host) {
        let (own, now) = (self.own, host.mono().0);
        if self.beaten.is_some_and(|at| now >= at && now.saturating_sub(at) < nanos(BEAT)) {
            return;
        }
        let written = update(host, &self.workers_key, |bytes| (note_living(bytes, own, now), true));
        if let Ok(dead) = written {
            self.dead = dead;
            self.beaten = Some(now);
        }
        let owed = core::mem::take(&mut self.owed);
        owed.into_iter().for_each(|place| self.leave(place, host));
    }

    /// Takes a place. `Ok(None)`: there is none. `Ok(Some(false))`: there is no room to count it.
    fn take(
        &mut self,
        place: Hashed,
        limit: u32,
        own: u32,
        host: &dyn Host,
    ) -> Result<Option<bool>, StoreError> {
        let (name, dead) = (self.blocks.name(place.place & BLOCK_MASK), &self.dead);
        let taken = update(host, name, |block| {
            let mut rows = rows(block);
            rows.retain(|row| row.count > 0 && !dead.contains(&row.worker));
            let taken = rows.iter().filter(|row| row.print == place.print).map(|row| row.count);
            if taken.fold(0, u32::saturating_add) >= limit {
                return (None, false);
            }
            let has_room = rows.len() < ROWS;
            let mine = rows.iter_mut().find(|row| row.print == place.print && row.worker == own);
            match mine {
                Some(row) => row.count = row.count.saturating_add(1),
                None if has_room => rows.push(Row { print: place.print, worker: own, count: 1 }),
                None => return (Some(false), false),
            }
            *block = written(&rows);
            (Some(true), true)
        });
        Ok(taken?)
    }

    fn leave(&mut self, place: Hashed, host: &dyn Host) {
        let own = self.own;
        let left = update(host, self.blocks.name(place.place & BLOCK_MASK), |block| {
            let mut rows = rows(block);
            let mine = rows.iter_mut().filter(|row| row.print == place.print && row.worker == own);
            mine.for_each(|row| row.count = row.count.saturating_sub(1));
            rows.retain(|row| row.count > 0);
            *block = written(&rows);
            ((), true)
        });
        if left.is_err() {
            self.owed.push(place);
        }
    }
}

impl Concurrency {
    /// The names of all limits, by index.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// What a limit counts by.
    #[must_use]
    pub fn kind(&self, index: usize) -> LimitKind {
        kind_of(self.rules.get(index).map(|rule| rule.key.as_slice()).unwrap_or_default())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Takes a place of every limit that concerns the request, up to the first that has none; then it holds none.
    pub fn take(&self, caller: &Caller<'_>, state: &mut ConcurrencyState, host: &dyn Host) -> Taken {
        let mut taken = Taken::default();
        for (index, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.concerns(caller)) {
            match rule.take(caller, state, host) {
                Ok((place, Some(true))) => taken.held.0.push(place),
                Ok((_, Some(false))) => {
                    taken.crowded = taken.crowded.saturating_add(1);
                    state.cells.count(false, true);
                }
                Ok((_, None)) => {
                    taken.hits.push((index, rule.mode));
                    if rule.mode == Mode::Enforce {
                        taken.denial = Some(Denial::new(TOO_MANY_AT_ONCE).retry_after(SOON));
                        self.leave(core::mem::take(&mut taken.held), state, host);
                        break;
                    }
                }
                Err(error) => taken.failures.push(error),
            }
        }
        taken
    }

    /// Gives places back.
    pub fn leave(&self, held: Held, state: &mut ConcurrencyState, host: &dyn Host) {
        held.0.into_iter().for_each(|place| state.leave(place, host));
    }
}

impl Places {
    fn concerns(&self, caller: &Caller<'_>) -> bool {
        let named = |routes: &Vec<bool>| caller.route.and_then(|r| routes.get(r)).copied().unwrap_or(false);
        self.routes.as_ref().is_none_or(named) && (!self.upgrades_only || is_upgrade(caller))
    }

    fn take(
        &self,
        caller: &Caller<'_>,
        state: &mut ConcurrencyState,
        host: &dyn Host,
    ) -> Result<(Hashed, Option<bool>), StoreError> {
        state.beat(host);
        let own = state.own;
        let mut hasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(self.hash);
        let route = caller.route.and_then(|route| self.route_ids.get(route)).copied().unwrap_or(0);
        self.key.iter().for_each(|part| {
            part.add(caller, route, &mut hasher);
        });
        let place = hasher.finish();
        Ok((place, state.take(place, self.limit, own, host)?))
    }
}

/// HTTP/1.1 (RFC 9110 section 7.8), or an extended CONNECT (RFC 8441), which Envoy shows in the same form.
fn is_upgrade(caller: &Caller<'_>) -> bool {
    caller.headers.first("upgrade").is_some()
}

/// Notes that `own` lives, and tells who is dead. Rows of (number, time); the oldest go when there are too many.
fn note_living(bytes: &mut Vec<u8>, own: u32, now: u64) -> Vec<u32> {
    let read = |row: &[u8]| {
        let (worker, at) = row.split_first_chunk()?;
        Some((u32::from_le_bytes(*worker), u64::from_le_bytes(at.try_into().ok()?)))
    };
    let mut known: Vec<(u32, u64)> = bytes.chunks_exact(12).filter_map(read).collect();
    known.retain(|(worker, _)| *worker != own);
    known.push((own, now));
    let surplus = known.len().saturating_sub(WORKERS);
    known.sort_by_key(|(_, at)| *at);
    known.drain(..surplus);
    bytes.clear();
    for (worker, at) in &known {
        bytes.extend(worker.to_le_bytes());
        bytes.extend(at.to_le_bytes());
    }
    let is_dead = |at: u64| now.saturating_sub(at) >= nanos(DEAD);
    known.into_iter().filter(|(_, at)| is_dead(*at)).map(|(worker, _)| worker).collect()
}

fn nanos(duration: Duration) -> u64 {
    Mono(0).plus(duration).0
}

#[cfg(test)]
#[path = "concurrency_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
