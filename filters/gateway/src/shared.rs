//! What the streams of a worker share, and its tick.

use crate::expiring::Expiring;
use crate::host;
use crate::proxy::ThisProxy;
use crate::root_calls::RootCalls;
use crate::stats::Stats;
use crate::stream::Stream;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{CallToken, ConfigError, Mono};
use portcullis_jwt::{CacheCounts, CallId, Tokens};
use portcullis_pipeline::{GUARDS, GatewayMetrics, Guards, Pages, Pipeline, TOKENS, Waiting, Worker};
use std::collections::HashMap;
use std::rc::Rc;

/// The tick while requests wait: how soon a fetch begins, and how soon the fetch of another worker is heard of.
pub const SOON: Duration = Duration::from_millis(2);

/// What the streams of a worker share.
pub struct Shared {
    /// The compiled policy.
    pub pipeline: Pipeline,
    /// What the worker has learnt: tokens, keys.
    pub worker: RefCell<Worker>,
    /// The requests that wait.
    pub waiting: RefCell<Waiting<ClientIp, Rc<Stream>>>,
    /// Fetches under way.
    pub fetching: RefCell<HashMap<CallToken, CallId>>,
    /// The calls that the root context makes for its streams.
    pub root_calls: RootCalls,
    /// Streams that end when their tokens expire.
    pub expiring: Expiring,
    /// The worker's metrics.
    pub stats: RefCell<Stats>,
    /// The page of metrics.
    pub pages: Pages,
    /// What of the cache's counts is in the metrics already.
    pub cache_counted: Cell<CacheCounts>,
    /// Where log lines are left: `%FILTER_STATE(wasm.portcullis_log:PLAIN)%` in an access log format, where there is one instance.
    pub log_line: String,
    /// When the metrics were last handed over.
    flushed: Cell<Option<Mono>>,
    /// The time between ticks.
    tick: Cell<Duration>,
}

impl Shared {
    /// What a worker begins with, under the policy in `json`. `root` is the root's context.
    ///
    /// # Errors
    /// Every mistake in the policy.
    pub fn load(json: &[u8], root: u32) -> Result<Self, Vec<ConfigError>> {
        let pipeline = Pipeline::compile(json)?;
        let metrics = pipeline.metrics().map_err(|error| vec![error])?;
        Ok(Self {
            worker: RefCell::new(pipeline.worker(worker_number())),
            waiting: RefCell::new(Waiting::new(pipeline.places())),
            fetching: RefCell::default(),
            root_calls: RootCalls::of(root),
            expiring: Expiring::default(),
            stats: RefCell::new(Stats::define(metrics, &pipeline.namespace())),
            pages: Pages::new(&pipeline.namespace(), &pipeline.policy().hash),
            cache_counted: Cell::default(),
            log_line: pipeline.namespace().log_line(),
            flushed: Cell::default(),
            tick: Cell::default(),
            pipeline,
        })
    }

    /// Counts; a callback inside another cannot, and there is none.
    pub fn with_metrics(&self, count: impl FnOnce(&mut GatewayMetrics)) {
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            count(stats.metrics());
        }
    }

    /// Does something with the worker's tokens; nothing where the policy has none.
    pub fn with_tokens<T>(&self, run: impl FnOnce(&mut Tokens) -> T) -> Option<T> {
        // Built without tokens, the module has no code for them either.
        if TOKENS { self.worker.try_borrow_mut().ok()?.tokens.as_mut().map(run) } else { None }
    }

    /// Does something with what the worker knows of limits and breakers.
    pub fn with_guards<T>(&self, run: impl FnOnce(&mut Guards) -> T) -> Option<T> {
        if GUARDS {
            self.worker.try_borrow_mut().ok().map(|mut worker| run(&mut worker.guards))
        } else {
            None
        }
    }

    /// Whether anything is fetched under this policy.
    pub fn fetches(&self) -> bool {
        TOKENS && self.worker.try_borrow().is_ok_and(|w| w.tokens.as_ref().is_some_and(Tokens::fetches))
    }

    /// Sets the time between ticks. A host begins to count anew each time it is set, so only changes are handed on: else a dense
    /// row of requests that begin to wait would put the tick off for ever.
    pub fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::tick_every(period);
        }
    }

    /// The time to the next tick where nothing is waited for.
    pub fn until_flush(&self) -> Duration {
        let since = self.flushed.get().map_or(Duration::ZERO, |flushed| host::mono().since(flushed));
        self.flush_period().saturating_sub(since).max(SOON)
    }

    /// The time between flushes.
    pub fn flush_period(&self) -> Duration {
        Duration::from_millis(self.pipeline.policy().metrics.flush_millis)
    }

    /// Hands over what was counted.
    pub fn flush(&self) {
        self.flushed.set(Some(host::mono()));
        self.measure();
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            stats.flush();
        }
    }

    /// The worker ends, or its policy.
    pub fn end(&self) {
        self.measure();
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            stats.metrics().ends();
            stats.flush();
        }
    }

    /// Ticks come sooner while requests wait, and the metrics are many. A tick may come a little early by this clock.
    pub fn flush_if_due(&self) {
        let since = self.flushed.get().map(|flushed| host::mono().since(flushed));
        if since.is_none() || self.until_flush() <= SOON {
            if since.is_some_and(|since| since >= self.flush_period().saturating_mul(2)) {
                self.with_metrics(GatewayMetrics::late_tick);
            }
            self.flush();
        }
    }

    /// Brings the gauges up to date: the age of what is fetched, what the cache did, how many requests wait.
    pub fn measure(&self) {
        let policy = self.pipeline.policy();
        let seen = self.with_guards(|guards| (guards.breaker_states(policy, &ThisProxy), guards.cells()));
        self.with_metrics(|metrics| {
            metrics.alive();
            if let Some((states, cells)) = seen {
                metrics.breaker_states(&states, Guards::auth_state(policy, &states));
                cells.into_iter().for_each(|(table, cells)| metrics.cells(table, cells));
            }
        });
        let held = self.waiting.try_borrow().map_or(0, |waiting| waiting.held());
        let facts = self.with_tokens(|tokens| {
            let ages: Vec<_> = tokens.facts(host::mono()).map(|(_, facts)| facts.age).collect();
            (ages, tokens.cache_counts())
        });
        let Some((ages, cache)) = facts else { return };
        let before = self.cache_counted.replace(cache);
        self.with_metrics(|metrics| {
            metrics.waiting(u64::try_from(held).unwrap_or(u64::MAX));
            metrics.cache(cache.since(before));
            let ages = ages.iter().map(|age| age.map(|age| age.as_secs())).enumerate();
            ages.for_each(|(index, age)| metrics.document_age(index, age));
        });
    }
}

thread_local! {
    /// The VM's number, for its whole life.
    static NUMBER: u32 = {
        let [.., a, b, c, d] = host::random_16();
        u32::from_le_bytes([a, b, c, d])
    };
}

/// Tells this VM from the proxy's others, under this policy and the next.
fn worker_number() -> u32 {
    NUMBER.with(|number| *number)
}
