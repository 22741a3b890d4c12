//! Counting in the VM.

use crate::{Kind, Registry, SeriesId, StatId};

/// What a flush does to a stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Added to what the other workers have added. Below zero for gauges only; never zero.
    Add(i64),
    /// In the place of whatever was there: all workers tell the same level, and the last word counts.
    Set(i64),
}

/// What changed since the last flush, per stat. One per VM; hosts keep the totals.
#[derive(Default)]
pub struct Accumulator {
    /// By stat. A histogram's buckets hold what fell into each alone; the flush makes them cumulative, so that an
    /// observation touches two slots whatever the number of buckets. A gauge's hold a signed difference.
    pending: Vec<u64>,
    /// Levels told since the last flush. Few, and not on a request's path.
    levels: Vec<(StatId, i64)>,
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

    /// Adds to a gauge that is the sum of what the workers have.
    pub fn shift(&mut self, registry: &Registry, series: SeriesId, by: i64) {
        let Some((stat, Kind::Gauge)) = registry.first_stat(series) else { return };
        // In two's complement, subtracting is adding.
        let slot = self.slot(stat, registry.stat_count());
        slot.into_iter().for_each(|value| *value = value.wrapping_add_signed(by));
    }

    /// Sets a gauge that is the same whoever tells it.
    pub fn set(&mut self, registry: &Registry, series: SeriesId, level: i64) {
        let Some((stat, Kind::Gauge)) = registry.first_stat(series) else { return };
        match self.levels.iter_mut().find(|(told, _)| told.0 == stat) {
            Some((_, old)) => *old = level,
            None => self.levels.push((StatId(stat), level)),
        }
    }

    fn bump(&mut self, stat: usize, by: u64, stats: usize) {
        if let Some(value) = self.slot(stat, stats) {
            *value = value.saturating_add(by);
        }
    }

    fn slot(&mut self, stat: usize, stats: usize) -> Option<&mut u64> {
        if self.pending.len() < stats {
            self.pending.resize(stats, 0);
        }
        self.pending.get_mut(stat)
    }

    /// Hands every change to `flush` and forgets it.
    pub fn drain(&mut self, registry: &Registry, mut flush: impl FnMut(StatId, Change)) {
        for (family, series) in registry.all() {
            let end = series.first_stat.saturating_add(crate::stat::width(family.kind));
            let Some(slots) = self.pending.get_mut(series.first_stat..end) else { continue };
            match family.kind {
                Kind::Counter | Kind::Gauge => {}
                Kind::Histogram(bounds) => make_cumulative(slots, bounds.len()),
            }
            for (stat, value) in (series.first_stat..).zip(slots) {
                if *value != 0 {
                    flush(StatId(stat), Change::Add(difference(family.kind, core::mem::take(value))));
                }
            }
        }
        self.levels.drain(..).for_each(|(stat, level)| flush(stat, Change::Set(level)));
    }
}

fn difference(kind: Kind, value: u64) -> i64 {
    match kind {
        Kind::Gauge => value.cast_signed(),
        Kind::Counter | Kind::Histogram(_) => i64::try_from(value).unwrap_or(i64::MAX),
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

    fn changes(acc: &mut Accumulator, registry: &Registry) -> Vec<Change> {
        let mut out = Vec::new();
        acc.drain(registry, |_, change| out.push(change));
        out
    }

    fn drain(acc: &mut Accumulator, registry: &Registry) -> Vec<(usize, i64)> {
        let mut out = Vec::new();
        acc.drain(registry, |stat, change| match change {
            Change::Add(by) => out.push((stat.0, by)),
            Change::Set(_) => panic!("set"),
        });
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

    #[test]
    fn a_shared_gauge_is_flushed_as_its_signed_difference_and_not_at_all_when_that_is_none() {
        let (registry, series) = registry(Kind::Gauge);
        let mut acc = Accumulator::default();
        acc.shift(&registry, series, 5);
        acc.shift(&registry, series, -7);
        assert_eq!(changes(&mut acc, &registry), [Change::Add(-2)]);
        acc.shift(&registry, series, 3);
        acc.shift(&registry, series, -3);
        assert_eq!(changes(&mut acc, &registry), []);
    }

    #[test]
    fn of_a_level_only_the_last_word_is_flushed_and_zero_is_a_level() {
        let (registry, series) = registry(Kind::Gauge);
        let mut acc = Accumulator::default();
        acc.set(&registry, series, -1);
        acc.set(&registry, series, 0);
        assert_eq!(changes(&mut acc, &registry), [Change::Set(0)]);
        assert_eq!(changes(&mut acc, &registry), []);
    }

    #[test]
    fn a_gauge_takes_no_counts_and_a_counter_no_levels() {
        let (gauges, gauge) = registry(Kind::Gauge);
        let (counters, counter) = registry(Kind::Counter);
        let mut acc = Accumulator::default();
        acc.add(&gauges, gauge, 1);
        acc.observe(&gauges, gauge, 1);
        acc.set(&counters, counter, 1);
        acc.shift(&counters, counter, 1);
        assert_eq!(changes(&mut acc, &counters), []);
    }
}
