//! Families and series, bounded, and what was counted in them since the last flush.

use crate::block::{Block, INSTANCE, Spelt};
use crate::domain::Spelling;
use crate::exemplar::{Exemplar, Exemplars};
use crate::{Axis, Family, Kind, Stat, StatId, Vocabulary};
use core::hash::{Hash as _, Hasher as _};
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What a flush does to a stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Added to what the other workers have added. Below zero for gauges only; never zero.
    Add(i64),
    /// In the place of whatever was there: all workers report the same level, and the last word counts.
    Set(i64),
}

/// A series that the policy does not name: an unlisted status, a heavy client.
pub(crate) struct Born {
    pub block: usize,
    values: Vec<String>,
    pub spelt: Spelt,
    pub name: usize,
    pub first_stat: usize,
}

/// All families and series of one VM, and what this VM has counted since the last flush; hosts keep the totals. Series are added
/// and never removed; their number has a limit.
pub struct Registry {
    blocks: Vec<Block>,
    /// In the order of their stats, which all come after those of the blocks.
    born: Vec<Born>,
    /// The born series, to be found by block and values. No key of their own and no hash that withstands an enemy: what clients
    /// send never comes here but as a status, or as one of the heaviest few.
    places: HashTable<usize>,
    stats: usize,
    series: usize,
    max_series: usize,
    /// By stat. A histogram's buckets hold what fell into each alone; the flush makes them cumulative, so that an observation
    /// touches two slots whatever the number of buckets. A gauge's hold a signed difference.
    pending: Vec<u64>,
    /// Levels reported since the last flush. Few, and not on a request's path.
    levels: Vec<(StatId, i64)>,
    overflow: u64,
    published: usize,
    exemplars: Exemplars,
}

/// Separates the parts of a key; policies cannot contain it.
const SEPARATOR: char = '\u{1f}';

/// How many texts a key that names the heaviest `n` may have had before no more are named: who is heavy changes, and a host forgets
/// no series.
const NAMES_PER_HEAVIEST: usize = 4;

fn place(block: usize, values: &[String]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_usize(block);
    values.iter().for_each(|value| value.hash(&mut hasher));
    hasher.finish()
}

/// A declared family under a policy, as its handle knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// `None` if the policy has no use for the family.
    pub block: Option<usize>,
    pub first_stat: usize,
    pub axes: Rc<[Axis]>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            born: Vec::new(),
            places: HashTable::new(),
            stats: 0,
            series: 0,
            max_series: usize::MAX,
            pending: Vec::new(),
            levels: Vec::new(),
            overflow: 0,
            published: 0,
            exemplars: Exemplars::default(),
        }
    }

    /// Takes no more than `max_series` from here on.
    pub fn limit(&mut self, max_series: usize) {
        self.max_series = max_series;
    }

    /// Adds a family and every series of it that `vocabulary` makes possible.
    pub(crate) fn declare(&mut self, family: &'static Family, vocabulary: &Vocabulary) -> Declared {
        let Some(block) = Block::build(family, vocabulary, self.stats) else { return Declared::default() };
        let declared =
            Declared { block: Some(self.blocks.len()), first_stat: self.stats, axes: Rc::clone(&block.axes) };
        self.stats = self.stats.saturating_add(block.series.saturating_mul(block.width()));
        self.series = self.series.saturating_add(block.series);
        self.pending.resize(self.stats, 0);
        self.blocks.push(block);
        declared
    }

    /// Family names that are declared twice.
    #[must_use]
    pub fn doubled(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.blocks
            .iter()
            .flat_map(Block::names)
            .map(String::as_str)
            .filter(|name| !seen.insert(*name))
            .collect()
    }

    /// Adds to a slot: to a counter, a histogram's bucket, its sum.
    pub(crate) fn bump(&mut self, stat: usize, by: u64) {
        if let Some(value) = self.pending.get_mut(stat) {
            *value = value.saturating_add(by);
        }
    }

    pub(crate) fn keep_exemplar(&mut self, stat: usize, exemplar: Exemplar, micros: u64) {
        self.exemplars.keep(stat, exemplar, micros);
    }

    /// The last trace that fell into a bucket, and what it took.
    pub(crate) fn exemplar(&self, stat: usize) -> Option<&(Exemplar, u64)> {
        self.exemplars.of(stat)
    }

    pub(crate) fn shift(&mut self, stat: usize, by: i64) {
        // In two's complement, subtracting is adding.
        if let Some(value) = self.pending.get_mut(stat) {
            *value = value.wrapping_add_signed(by);
        }
    }

    pub(crate) fn set(&mut self, stat: usize, level: i64) {
        match self.levels.iter_mut().find(|(reported, _)| reported.0 == stat) {
            Some((_, old)) => *old = level,
            None => self.levels.push((StatId(stat), level)),
        }
    }

    /// The stat of a series that was not there from the start: that of the series itself if it is there or can be made, else that
    /// of `other`. Nothing that happened may go uncounted.
    pub(crate) fn open(&mut self, block: usize, mut spellings: Vec<Spelling<'_>>) -> Option<usize> {
        self.name_only_the_heaviest(block, &mut spellings);
        match self.find_or_make(block, &spellings) {
            Some(stat) => Some(stat),
            None => {
                self.overflow = self.overflow.saturating_add(1);
                let found = self.blocks.get(block)?;
                for (key, spelling) in spellings.iter_mut().enumerate() {
                    if let Spelling::Text(_) = spelling {
                        *spelling = Spelling::At(found.other(key)?);
                    }
                }
                self.find_or_make(block, &spellings)
            }
        }
    }

    fn name_only_the_heaviest(&mut self, block: usize, spellings: &mut [Spelling<'_>]) {
        let Some(block) = self.blocks.get_mut(block) else { return };
        for (key, spelling) in spellings.iter_mut().enumerate() {
            let Spelling::Text(text) = &*spelling else { continue };
            let Some(Some(sketch)) = block.sketches.get_mut(key) else { continue };
            if !sketch.offer(text) {
                *spelling = Spelling::At(block.other(key).unwrap_or(usize::MAX));
            }
        }
    }

    fn find_or_make(&mut self, block: usize, spellings: &[Spelling<'_>]) -> Option<usize> {
        let found = self.blocks.get(block)?;
        if let Some(offset) = found.offset(spellings) {
            return Some(found.first_stat.saturating_add(offset.saturating_mul(found.width())));
        }
        let values = found.texts(spellings);
        self.known(block, &values).or_else(|| self.make(block, values, spellings))
    }

    fn known(&self, block: usize, values: &[String]) -> Option<usize> {
        let is_it =
            |at: &usize| self.born.get(*at).is_some_and(|born| born.block == block && born.values == values);
        let at = self.places.find(place(block, values), is_it)?;
        self.born.get(*at).map(|born| born.first_stat)
    }

    fn make(&mut self, block: usize, values: Vec<String>, spellings: &[Spelling<'_>]) -> Option<usize> {
        if self.series >= self.max_series || self.has_named_enough(block, &values, spellings) {
            return None;
        }
        let found = self.blocks.get(block)?;
        let (spelt, name) = found.spell_born(&values);
        let first_stat = self.stats;
        self.stats = self.stats.checked_add(found.width())?;
        self.series = self.series.saturating_add(1);
        self.pending.resize(self.stats, 0);
        let (at, hash) = (self.born.len(), place(block, &values));
        self.born.push(Born { block, values, spelt, name, first_stat });
        let born = &self.born;
        let rehash = |at: &usize| born.get(*at).map_or(0, |b| place(b.block, &b.values));
        self.places.insert_unique(hash, at, rehash);
        Some(first_stat)
    }

    /// Whether a text of a key that names the heaviest only would be one too many.
    fn has_named_enough(&self, block: usize, values: &[String], spellings: &[Spelling<'_>]) -> bool {
        let Some(found) = self.blocks.get(block) else { return true };
        let mut column = 0_usize;
        for (key, spelling) in found.family.keys.iter().zip(spellings) {
            if let (crate::Values::Heaviest(most), Spelling::Text(_)) = (key.about.values, spelling) {
                let of_block = self.born.iter().filter(|born| born.block == block);
                let named: BTreeSet<_> = of_block.filter_map(|born| born.values.get(column)).collect();
                let is_new = values.get(column).is_none_or(|value| !named.contains(value));
                return is_new && named.len() >= most.saturating_mul(NAMES_PER_HEAVIEST);
            }
            column = column.saturating_add(key.labels.len());
        }
        false
    }

    /// How often something was counted under `other` for want of room since this was last asked.
    pub fn take_overflow(&mut self) -> u64 {
        core::mem::take(&mut self.overflow)
    }

    /// The keys of series born here since the last call, for the other workers to [`Registry::adopt`].
    pub fn take_born(&mut self) -> Vec<String> {
        let born = self.born.get(self.published..).unwrap_or_default().iter();
        let keys = born.filter_map(|born| self.key(born)).collect();
        self.published = self.born.len();
        keys
    }

    fn key(&self, born: &Born) -> Option<String> {
        let mut key = self.blocks.get(born.block)?.family.name.to_owned();
        for value in &born.values {
            key.push(SEPARATOR);
            key.push_str(value);
        }
        Some(key)
    }

    /// Where the series of a key lies; `None` when this policy cannot have it.
    fn parse<'k>(&self, key: &'k str) -> Option<(usize, Vec<Spelling<'k>>)> {
        let mut parts = key.split(SEPARATOR);
        let name = parts.next()?;
        let texts: Vec<&str> = parts.collect();
        let block = self.blocks.iter().position(|block| block.family.name == name)?;
        Some((block, self.blocks.get(block)?.spelling(&texts)?))
    }

    /// Whether the series of `key` can occur under this policy.
    #[must_use]
    pub fn is_possible(&self, key: &str) -> bool {
        self.parse(key).is_some()
    }

    /// Adds a series that another worker has seen born, if this policy can have it: the other may run an older policy.
    pub fn adopt(&mut self, key: &str) {
        let Some((block, spellings)) = self.parse(key) else { return };
        let is_published = self.published == self.born.len();
        self.find_or_make(block, &spellings);
        if is_published {
            self.published = self.born.len();
        }
    }

    /// Most series that there may be.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_series
    }

    /// Number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series
    }

    /// Whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series == 0
    }

    /// Number of stats of all series.
    #[must_use]
    pub fn stat_count(&self) -> usize {
        self.stats
    }

    /// The stats from `first` on, in order: what to define at start-up (from 0) and after series were added (from the count
    /// before).
    pub fn stats_from(&self, first: usize) -> impl Iterator<Item = Stat> + '_ {
        let dense = self.blocks.iter().filter(move |block| block.first_stat >= first);
        let dense = dense.flat_map(|block| {
            (0..block.series).flat_map(|offset| {
                let (parts, name) = block.spelt(offset);
                block.stats(&parts, name)
            })
        });
        let born = self.born.iter().filter(move |born| born.first_stat >= first);
        let born = born.flat_map(|born| {
            let block = self.blocks.get(born.block);
            block.map(|block| block.stats(&[&born.spelt], born.name)).unwrap_or_default()
        });
        dense.chain(born)
    }

    /// Every label that a stat's name may have in it.
    #[must_use]
    pub fn labels(families: impl Iterator<Item = &'static Family>) -> BTreeSet<&'static str> {
        let labels = families.flat_map(|family| family.labels().collect::<Vec<_>>());
        labels.chain(["le", INSTANCE]).collect()
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate()
    }

    pub(crate) fn born_in(&self, block: usize) -> impl Iterator<Item = &Born> {
        self.born.iter().filter(move |born| born.block == block)
    }

    /// Hands every change since the last flush to `flush`, and forgets it.
    pub fn flush(&mut self, mut flush: impl FnMut(StatId, Change)) {
        let Self { blocks, born, pending, levels, .. } = self;
        let dense = blocks.iter().map(|b| (b.family.kind, b.first_stat, b.series.saturating_mul(b.width())));
        let born = born.iter().filter_map(|born| {
            let block = blocks.get(born.block)?;
            Some((block.family.kind, born.first_stat, block.width()))
        });
        for (kind, first, length) in dense.chain(born) {
            let Some(slots) = pending.get_mut(first..first.saturating_add(length)) else { continue };
            drain(kind, first, slots, &mut flush);
        }
        levels.drain(..).for_each(|(stat, level)| flush(stat, Change::Set(level)));
    }
}

/// Hands over the changes of some series of one family, which are its `slots`.
fn drain(kind: Kind, first: usize, slots: &mut [u64], flush: &mut impl FnMut(StatId, Change)) {
    if let Kind::Histogram(bounds) = kind {
        slots.chunks_mut(crate::stat::width(kind)).for_each(|series| make_cumulative(series, bounds.len()));
    }
    for (stat, value) in (first..).zip(slots) {
        if *value != 0 {
            let value = core::mem::take(value);
            flush(StatId(stat), Change::Add(difference(kind, value)));
        }
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
#[path = "registry_tests.rs"]
mod tests;
