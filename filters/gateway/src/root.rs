//! The plugin in one worker: its policy, its metrics, its tick.

use crate::errands::Errands;
use crate::held::{Calls, SOON};
use crate::host;
use crate::http::Http;
use crate::stats::Stats;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Mono};
use portcullis_jwt::Tokens;
use portcullis_metrics::GatewayMetrics;
use portcullis_pipeline::{Pipeline, Worker};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};
use std::rc::Rc;

/// What the streams of a worker share.
pub struct Shared {
    /// The compiled policy.
    pub pipeline: Pipeline,
    /// What the worker has learnt: tokens, keys.
    pub worker: RefCell<Worker>,
    /// What the worker waits for.
    pub calls: RefCell<Calls>,
    /// What the root context is to do for its streams.
    pub errands: Errands,
    /// What of the cache's counts is in the metrics already.
    pub cache_told: Cell<[u64; 3]>,
    /// The worker's metrics.
    pub stats: RefCell<Stats>,
    /// When they were last handed over.
    flushed: Cell<Option<Mono>>,
    /// The time between ticks.
    tick: Cell<Duration>,
}

impl Shared {
    /// Counts; a callback inside another cannot, and there is none.
    pub fn with_metrics(&self, count: impl FnOnce(&mut GatewayMetrics)) {
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            count(stats.metrics());
        }
    }

    fn flush_period(&self) -> Duration {
        Duration::from_millis(self.pipeline.policy().metrics.flush_millis)
    }

    /// Sets the time between ticks. A host begins to count anew each time it is told, so it is told of changes only: else a dense
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

    fn flush(&self) {
        self.flushed.set(Some(host::mono()));
        self.measure();
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            stats.flush();
        }
    }

    /// Ticks come sooner while requests wait, and the metrics are many. A tick may come a little early by this clock.
    fn flush_if_due(&self) {
        if self.flushed.get().is_none() || self.until_flush() <= SOON {
            self.flush();
        }
    }

    /// Whether anything is fetched under this policy.
    fn fetches(&self) -> bool {
        self.worker.try_borrow().is_ok_and(|w| w.tokens.as_ref().is_some_and(Tokens::fetches))
    }
}

/// The root context.
pub struct Root {
    context: u32,
    shared: Option<Rc<Shared>>,
}

impl Root {
    pub fn new(context: u32) -> Self {
        Self { context, shared: None }
    }

    fn load(&mut self, size: usize) -> Result<(), Vec<ConfigError>> {
        // A policy that cannot be read is no policy, which is an error of its own.
        let text = host::configuration(size).unwrap_or_default();
        let pipeline = Pipeline::compile(&text)?;
        let metrics = pipeline.policy().build_metrics().map_err(|error| vec![error])?;
        let stats = RefCell::new(Stats::define(metrics));
        let (worker, calls) = (RefCell::new(pipeline.worker()), RefCell::default());
        let (cache_told, flushed, tick) = (Cell::default(), Cell::default(), Cell::default());
        let errands = Errands::of(self.context);
        let shared = Shared { pipeline, worker, calls, errands, cache_told, stats, flushed, tick };
        self.shared = Some(Rc::new(shared));
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.shared.iter().for_each(|shared| shared.errands.end());
    }
}

impl Context for Root {
    /// The worker ends or the policy is replaced: hand over what was counted.
    fn on_done(&mut self) -> bool {
        self.shared.iter().for_each(|shared| shared.flush());
        true
    }

    fn on_http_call_response(&mut self, call: u32, num_headers: usize, _: usize, _: usize) {
        if let Some(shared) = &self.shared {
            shared.on_call_response(call, num_headers, self.context);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.load(size) {
            Ok(()) => {
                // Calls cannot be made while the proxy starts: keys are fetched at the first tick.
                let period = |s: &Rc<Shared>| if s.fetches() { SOON } else { s.flush_period() };
                self.shared.iter().for_each(|shared| shared.tick_every(period(shared)));
                true
            }
            Err(errors) => {
                host::log(
                    LogLevel::Critical,
                    &format!("portcullis: the policy was rejected, {} errors", errors.len()),
                );
                errors
                    .iter()
                    .for_each(|error| host::log(LogLevel::Critical, &format!("portcullis: {error}")));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.flush_if_due();
        if shared.fetches() {
            shared.poll(self.context);
        }
    }

    /// No queue: a stream of ours has an errand for the root.
    fn on_queue_ready(&mut self, _: u32) {
        self.shared.iter().for_each(|shared| shared.errands.run());
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let shared = Rc::clone(self.shared.as_ref()?);
        Some(Box::new(Http::new(shared, context)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
