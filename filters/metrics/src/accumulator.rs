//! Counting in the VM.

use crate::{Kind, Registry, SeriesId, StatId};

/// What changed since the last flush, per stat. One per VM; hosts keep the totals.
#[derive(Default)]
pub struct Accumulator {
    /// By stat. A histogram's buckets hold what fell into each alone; the flush makes them cumulative, so that an
    /// observation touches two slots whatever the number of buckets.
    pending: Vec<u64>,
}

impl Accumulator {
    /// Adds to a counter.
    pub fn add(&mut self, registry: &Registry, series: SeriesId, by: u64) {
        if let Some((first, Kind::Counter)) = registry.first_stat(series) {
            self.bump(first, by, registry.stat_count());
        }
    }

    /// Adds a duration, in microseconds, to a histogram.
    pub fn observe(&mut self, registry: &Registry, series: SeriesId, micros: u64) {
        let Some((first, Kind::Histogram(bounds))) = registry.first_stat(series) else { return };
        let bucket = bounds.partition_point(|bound| *bound < micros);
        let sum = bounds.len().saturating_add(2);
        self.bump(first.saturating_add(bucket), 1, registry.stat_count());
        self.bump(first.saturating_add(sum), micros, registry.stat_count());
    }

    fn bump(&mut self, stat: usize, by: u64, stats: usize) {
        if self.pending.len() < stats {
            self.pending.resize(stats, 0);
        }
        if let Some(value) = self.pending.get_mut(stat) {
            *value = value.saturating_add(by);
        }
    }

    /// Hands every change to `flush` and forgets it.
    pub fn drain(&mut self, registry: &Registry, mut flush: impl FnMut(StatId, u64)) {
        for (family, series) in registry.all() {
            let end = series.first_stat.saturating_add(crate::stat::width(family.kind));
            let Some(slots) = self.pending.get_mut(series.first_stat..end) else { continue };
            match family.kind {
                Kind::Counter => {}
                Kind::Histogram(bounds) => make_cumulative(slots, bounds.len()),
            }
            for (stat, value) in (series.first_stat..).zip(slots) {
                if *value > 0 {
                    flush(StatId(stat), core::mem::take(value));
                }
            }
        }
    }
}

/// Turns per-bucket counts into counts of "this bucket or a lower one", and fills in the count.
fn make_cumulative(slots: &mut [u64], bounds: usize) {
    let mut so_far = 0_u64;
    for slot in slots.iter_mut().take(bounds.saturating_add(1)) {
        so_far = so_far.saturating_add(*slot);
        *slot = so_far;
    }
    if let Some(count) = slots.get_mut(bounds.saturating_add(1)) {
        *count = so_far;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn registry(kind: Kind) -> (Registry, SeriesId) {
        let mut registry = Registry::new(10);
        let family =
            registry.family(Family { name: "x_seconds".into(), help: String::new(), kind, labels: &[] });
        let series = registry.series(family, &[]).unwrap();
        (registry, series)
    }

    fn drain(acc: &mut Accumulator, registry: &Registry) -> Vec<(usize, u64)> {
        let mut out = Vec::new();
        acc.drain(registry, |stat, by| out.push((stat.0, by)));
        out
    }

    #[test]
    fn a_flush_hands_over_each_change_once() {
        let (registry, series) = registry(Kind::Counter);
        let mut acc = Accumulator::default();
        acc.add(&registry, series, 2);
        acc.add(&registry, series, 1);
        assert_eq!(drain(&mut acc, &registry), [(0, 3)]);
        assert_eq!(drain(&mut acc, &registry), []);
    }

    #[test]
    fn buckets_are_cumulative_and_a_bound_belongs_to_its_bucket() {
        let (registry, series) = registry(Kind::Histogram(&[10, 20]));
        let mut acc = Accumulator::default();
        for micros in [10, 11, 25] {
            acc.observe(&registry, series, micros);
        }
        // le=10: 1, le=20: 2, le=+Inf: 3, count 3, sum 46.
        assert_eq!(drain(&mut acc, &registry), [(0, 1), (1, 2), (2, 3), (3, 3), (4, 46)]);
        acc.observe(&registry, series, 15);
        assert_eq!(drain(&mut acc, &registry), [(1, 1), (2, 1), (3, 1), (4, 15)]);
    }
}
