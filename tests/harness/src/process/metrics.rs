//! Metrics: the values belong to the process, the ids to a VM.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::{MetricType, Status};

/// The samples of a histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Every sample, in order.
    pub samples: Vec<u64>,
}

/// All metrics of the process. A name may stand for a counter, a gauge and a histogram at the same time.
#[derive(Debug, Default)]
pub struct Metrics {
    index: Arc<Index>,
    /// Values of counters and gauges; for histograms, how many samples there are.
    numbers: Vec<u64>,
    histograms: HashMap<usize, Histogram>,
}

/// Which metrics there are. Shared with the snapshots that bring them all back at once (see `crate::snapshot`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// By name, then by type.
    slots: BTreeMap<String, [Option<usize>; 3]>,
    kinds: Vec<(String, MetricType)>,
}

impl Index {
    fn slot(&self, name: &str, kind: MetricType) -> Option<usize> {
        self.slots.get(name)?[kind as usize]
    }

    fn add(&mut self, name: &str, kind: MetricType) -> usize {
        let slot = self.kinds.len();
        self.slots.entry(name.to_owned()).or_default()[kind as usize] = Some(slot);
        self.kinds.push((name.to_owned(), kind));
        slot
    }
}

/// The numbers at some moment, to tell what moved since then (see `Metrics::moved`).
// Metrics are only ever added, so a slot means the same later.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Vec<u64>);

impl Metrics {
    /// The counter's value; `None` if no VM ever defined it.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.index.slot(name, MetricType::Counter).map(|slot| self.numbers[slot])
    }

    /// The gauge's value; `None` if no VM ever defined it.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        self.index.slot(name, MetricType::Gauge).map(|slot| self.numbers[slot])
    }

    /// The histogram's samples; `None` if no VM ever defined it.
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        static NO_SAMPLES: Histogram = Histogram { samples: Vec::new() };
        let slot = self.index.slot(name, MetricType::Histogram)?;
        Some(self.histograms.get(&slot).unwrap_or(&NO_SAMPLES))
    }

    /// Names and types of all metrics, sorted.
    pub fn names(&self) -> impl Iterator<Item = (&str, MetricType)> {
        self.index.slots.iter().flat_map(move |(name, slots)| {
            slots.iter().flatten().map(move |slot| (name.as_str(), self.index.kinds[*slot].1))
        })
    }

    /// The numbers at this moment.
    pub fn numbers(&self) -> Numbers {
        Numbers(self.numbers.clone())
    }

    /// What moved since then: counters and gauges by their difference, histograms by their new samples.
    pub fn moved(&self, before: &Numbers) -> impl Iterator<Item = (&str, MetricType, i64)> {
        let befores = before.0.iter().copied().chain(std::iter::repeat(0));
        let by = self.numbers.iter().zip(befores).map(|(now, before)| now.wrapping_sub(before) as i64);
        self.index
            .kinds
            .iter()
            .zip(by)
            .filter(|(_, by)| *by != 0)
            .map(|((name, kind), by)| (name.as_str(), *kind, by))
    }

    /// The same by name, whatever the type.
    pub(crate) fn since(&self, before: &Numbers) -> BTreeMap<String, i64> {
        self.moved(before).map(|(name, _, by)| (name.to_owned(), by)).collect()
    }

    /// The metric of this name and type, made at zero if it is new.
    pub(crate) fn define(&mut self, kind: MetricType, name: &[u8]) -> MetricKey {
        let name = String::from_utf8_lossy(name);
        let name = stat_name(&name);
        let known = self.index.slot(name, kind);
        let slot = known.unwrap_or_else(|| Arc::make_mut(&mut self.index).add(name, kind));
        self.numbers.resize(self.index.kinds.len(), 0);
        MetricKey { kind, slot }
    }

    /// Which metrics there are now.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Makes the metrics of another index the metrics of this one, if none of these would change its slot.
    pub(crate) fn take_over(&mut self, index: &Arc<Index>) -> bool {
        let same = Arc::ptr_eq(&self.index, index);
        if !same && !self.index.kinds.is_empty() {
            return false;
        }
        self.index = index.clone();
        self.numbers.resize(index.kinds.len(), 0);
        true
    }

    /// Adds; a gauge wraps below zero as Envoy's does.
    pub(crate) fn increment(&mut self, key: MetricKey, by: i64) -> Result<(), Status> {
        let refused = key.kind == MetricType::Counter && by <= 0 || key.kind == MetricType::Histogram;
        if refused {
            return Err(Status::BadArgument);
        }
        let value = self.numbers.get_mut(key.slot).ok_or(Status::NotFound)?;
        *value = value.wrapping_add_signed(by);
        Ok(())
    }

    /// Sets a gauge, adds a sample, or (as Envoy does) adds to a counter.
    pub(crate) fn record(&mut self, key: MetricKey, with: u64) -> Result<(), Status> {
        let value = self.numbers.get_mut(key.slot).ok_or(Status::NotFound)?;
        match key.kind {
            MetricType::Counter => *value = value.wrapping_add(with),
            MetricType::Gauge => *value = with,
            MetricType::Histogram => {
                *value += 1;
                self.histograms.entry(key.slot).or_default().samples.push(with);
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, key: MetricKey) -> Result<u64, Status> {
        match key.kind {
            MetricType::Histogram => Err(Status::BadArgument),
            _ => self.numbers.get(key.slot).copied().ok_or(Status::NotFound),
        }
    }
}

/// What a metric id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricKey {
    kind: MetricType,
    slot: usize,
}

/// The metric ids of one VM: counters 4, 8, ..., gauges 5, 9, ..., histograms 6, 10, ...
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricIds {
    /// Slots by type, in the order of the ids.
    slots: [Vec<usize>; 3],
}

impl MetricIds {
    /// A new id, even for a known name, as in Envoy.
    pub fn define(&mut self, key: MetricKey) -> u32 {
        let slots = &mut self.slots[key.kind as usize];
        slots.push(key.slot);
        slots.len() as u32 * 4 + key.kind as u32
    }

    /// The key of an id: `BadArgument` for an id that can be none, `NotFound` for one that was never given out.
    pub fn get(&self, id: u32) -> Result<MetricKey, Status> {
        let kind = kind_of(id).ok_or(Status::BadArgument)?;
        let place = (id / 4).checked_sub(1).ok_or(Status::NotFound)?;
        let slot = self.slots[kind as usize].get(place as usize).ok_or(Status::NotFound)?;
        Ok(MetricKey { kind, slot: *slot })
    }
}

/// The two low bits tell the type even of an id that was never given out; 3 is none.
pub(crate) fn kind_of(id: u32) -> Option<MetricType> {
    MetricType::from_u32(id & 3)
}

/// Envoy drops dots at the end of a stat's name.
fn stat_name(name: &str) -> &str {
    name.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_type_and_a_name_defined_again_gets_a_new_one() {
        let (mut ids, mut metrics) = (MetricIds::default(), Metrics::default());
        let mut define = |kind| ids.define(metrics.define(kind, b"m"));
        assert_eq!([define(MetricType::Counter), define(MetricType::Counter)], [4, 8]);
        assert_eq!([define(MetricType::Gauge), define(MetricType::Histogram)], [5, 6]);
    }

    #[test]
    fn a_gauge_below_zero_wraps_and_a_counter_refuses() {
        let mut metrics = Metrics::default();
        let gauge = metrics.define(MetricType::Gauge, b"m");
        let counter = metrics.define(MetricType::Counter, b"m");
        assert_eq!(metrics.increment(gauge, -1), Ok(()));
        assert_eq!(metrics.gauge("m"), Some(u64::MAX));
        assert_eq!(metrics.increment(counter, 0), Err(Status::BadArgument));
    }

    #[test]
    fn what_moved_is_told_by_name() {
        let mut metrics = Metrics::default();
        let counter = metrics.define(MetricType::Counter, b"m.");
        let before = metrics.numbers();
        metrics.increment(counter, 3).unwrap();
        assert_eq!(metrics.since(&before), BTreeMap::from([("m".to_owned(), 3)]));
    }
}
