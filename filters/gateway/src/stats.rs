//! The metrics of this VM and the stats of the whole proxy.

use crate::host::{self, MetricKind};
use crate::proxy::ThisProxy;
use core::cell::RefCell;
use portcullis_edge_core::{Namespace, update};
use portcullis_metrics::{Change, Format, Stat, StatId, StatKind, exposition};
use portcullis_pipeline::GatewayMetrics;
use proxy_wasm::types::LogLevel;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

/// Where the workers of an instance tell each other of series that were born after the start: keys, one a line. Shared data never
/// forgets, so it is one value and as bounded as the registry.
const SERIES_INDEX: &str = "series";

thread_local! {
    /// Ids by name, for the life of the VM: a policy that is loaded again finds the ids of the one before.
    static IDS: RefCell<FxHashMap<String, u32>> = RefCell::default();
}

/// Metrics and the host's ids for their stats.
pub struct Stats {
    metrics: GatewayMetrics,
    /// The key of the index of series, this instance's own.
    index: String,
    /// By stat.
    ids: Vec<Option<u32>>,
    /// Keys of series born here that the index does not have yet.
    born: Vec<String>,
    /// The version of the index that was adopted last.
    adopted: Option<u32>,
}

impl Stats {
    /// Defines every stat, so that it exists at 0.
    pub fn define(metrics: GatewayMetrics, namespace: &Namespace) -> Self {
        let index = namespace.key(SERIES_INDEX);
        let mut stats = Self { metrics, index, ids: Vec::new(), born: Vec::new(), adopted: None };
        stats.define_new();
        stats
    }

    fn define_new(&mut self) {
        let registry = self.metrics.registry();
        make_room(registry.stat_count().saturating_sub(self.ids.len()));
        let ids: Vec<_> = registry.stats_from(self.ids.len()).map(id).collect();
        if ids.contains(&None) {
            host::log(LogLevel::Error, "portcullis: the host refused to define a metric; it will be missing");
        }
        self.ids.extend(ids);
    }

    /// The worker's metrics, to count in.
    pub fn metrics(&mut self) -> &mut GatewayMetrics {
        &mut self.metrics
    }

    /// Adds what this VM has counted to the proxy's stats.
    pub fn flush(&mut self) {
        self.born.extend(self.metrics.registry_mut().take_born());
        self.publish();
        self.adopt();
        self.metrics.size();
        let ids = &self.ids;
        let mut failed = 0_u64;
        self.metrics.flush(|stat, change| {
            let done = ids.get(stat.0).copied().flatten().map(|id| match change {
                Change::Add(by) => host::increment(id, by),
                Change::Set(level) => host::set_gauge(id, level),
            });
            if !matches!(done, Some(Ok(()))) {
                failed = failed.saturating_add(1);
            }
        });
        if failed > 0 {
            host::log(LogLevel::Error, &format!("portcullis: {failed} metrics were refused by the host"));
        }
    }

    /// Adds the new keys to the index, and drops from it what this policy does not know, so that it stays as bounded as the
    /// registry however often the policy is replaced. What fails is left for the next flush.
    fn publish(&mut self) {
        if self.born.is_empty() {
            return;
        }
        let (registry, born) = (self.metrics.registry(), &self.born);
        let published = update(&ThisProxy, &self.index, |index| {
            let old = String::from_utf8_lossy(index);
            let known = old.lines().filter(|key| registry.is_possible(key));
            let mut keys: BTreeSet<&str> = known.chain(born.iter().map(String::as_str)).collect();
            let last = keys.pop_last().unwrap_or_default();
            let text: String = keys.into_iter().flat_map(|key| [key, "\n"]).chain([last]).collect();
            *index = text.into_bytes();
            ((), true)
        });
        if published.is_ok() {
            self.born.clear();
        }
    }

    /// The metrics of all workers as text; what the others have not flushed yet is missing.
    pub fn text(&mut self, format: Format) -> String {
        self.flush();
        let total = |stat: StatId| {
            let id = self.ids.get(stat.0).copied().flatten();
            id.and_then(|id| host::read_metric(id).ok()).unwrap_or(0)
        };
        exposition(self.metrics.registry(), format, total)
    }

    /// Learns of series that other workers have seen.
    fn adopt(&mut self) {
        let (index, version) = host::shared(&self.index).unwrap_or_default();
        if self.adopted != Some(version) {
            self.adopted = Some(version);
            for key in String::from_utf8_lossy(&index).lines() {
                self.metrics.registry_mut().adopt(key);
            }
        }
        self.define_new();
    }
}

fn make_room(new: usize) {
    IDS.with(|ids| ids.try_borrow_mut().into_iter().for_each(|mut ids| ids.reserve(new)));
}

fn id(stat: Stat) -> Option<u32> {
    IDS.with(|ids| match ids.try_borrow_mut().ok()?.entry(stat.name) {
        Entry::Occupied(known) => Some(*known.get()),
        Entry::Vacant(new) => {
            let kind = match stat.kind {
                StatKind::Counter => MetricKind::Counter,
                StatKind::Gauge => MetricKind::Gauge,
            };
            let id = host::define_metric(kind, new.key()).ok()?;
            Some(*new.insert(id))
        }
    })
}
