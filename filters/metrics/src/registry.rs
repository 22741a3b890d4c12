//! Families and series, bounded.

use crate::stat::{self, Stat, StatId};
use crate::{Family, Kind};
use core::hash::{Hash as _, Hasher as _};
use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// A family in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyId(usize);

/// A series in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId(usize);

pub(crate) struct Series {
    pub family: FamilyId,
    pub values: Vec<String>,
    pub first_stat: usize,
}

/// All families and series. Series are added and never removed; their number has a limit.
pub struct Registry {
    families: Vec<Family>,
    /// By family: what each bucket's stat is named by (see [`stat::le_tags`]).
    le_tags: Vec<Vec<String>>,
    series: Vec<Series>,
    /// The series, to be found by family and values. Thousands are made at every start, so there is no key of their own and no
    /// hash that withstands an enemy: what clients send never comes here but as a status.
    places: HashTable<SeriesId>,
    stats: usize,
    max_series: usize,
}

/// Separates the parts of a key; policies cannot contain it.
const SEPARATOR: char = '\u{1f}';

fn place<S: AsRef<str>>(family: FamilyId, values: &[S]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_usize(family.0);
    values.iter().for_each(|value| value.as_ref().hash(&mut hasher));
    hasher.finish()
}

impl Registry {
    /// An empty registry that takes up to `max_series` series.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self {
            families: Vec::new(),
            le_tags: Vec::new(),
            series: Vec::new(),
            places: HashTable::new(),
            stats: 0,
            max_series,
        }
    }

    /// Takes no more than `max_series` from here on.
    pub fn limit(&mut self, max_series: usize) {
        self.max_series = max_series;
    }

    /// Adds a family.
    pub fn family(&mut self, family: Family) -> FamilyId {
        self.le_tags.push(stat::le_tags(family.kind));
        self.families.push(family);
        FamilyId(self.families.len().saturating_sub(1))
    }

    /// The series with these label values, added if new; `None` when the registry is full.
    pub fn series(&mut self, family: FamilyId, values: &[&str]) -> Option<SeriesId> {
        if let Some(known) = self.known(family, values) {
            return Some(known);
        }
        if self.series.len() >= self.max_series {
            return None;
        }
        let width = stat::width(self.families.get(family.0)?.kind);
        let id = SeriesId(self.series.len());
        let first_stat = self.stats;
        self.stats = self.stats.checked_add(width)?;
        self.series.push(Series {
            family,
            values: values.iter().map(ToString::to_string).collect(),
            first_stat,
        });
        let series = &self.series;
        let place = |id: &SeriesId| series.get(id.0).map_or(0, |s| place(s.family, &s.values));
        self.places.insert_unique(self::place(family, values), id, place);
        Some(id)
    }

    /// The series with these label values, if there is one.
    #[must_use]
    pub fn known(&self, family: FamilyId, values: &[&str]) -> Option<SeriesId> {
        let is_it = |id: &SeriesId| {
            let series = self.series.get(id.0).filter(|series| series.family == family);
            series.is_some_and(|series| series.values.iter().map(String::as_str).eq(values.iter().copied()))
        };
        self.places.find(place(family, values), is_it).copied()
    }

    fn key(&self, family: FamilyId, values: &[&str]) -> Option<String> {
        let mut key = self.families.get(family.0)?.name.clone();
        for value in values {
            key.push(SEPARATOR);
            key.push_str(value);
        }
        Some(key)
    }

    /// The keys of the series whose stats begin at `first` or later; what [`Registry::adopt`] reads.
    #[must_use]
    pub fn keys_from(&self, first: usize) -> Vec<String> {
        let born = self.series.iter().filter(|s| s.first_stat >= first);
        born.filter_map(|s| self.key(s.family, &s.values.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect()
    }

    /// Family and label values of a key; `None` when it fits no family.
    #[must_use]
    pub fn parse_key<'k>(&self, key: &'k str) -> Option<(FamilyId, Vec<&'k str>)> {
        let mut parts = key.split(SEPARATOR);
        let name = parts.next()?;
        let values: Vec<&str> = parts.collect();
        let family = self.families.iter().position(|f| f.name == name && f.labels.len() == values.len())?;
        Some((FamilyId(family), values))
    }

    /// Adds the series of a key that another registry made.
    pub fn adopt(&mut self, key: &str) -> Option<SeriesId> {
        let (family, values) = self.parse_key(key)?;
        self.series(family, &values)
    }

    /// Number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Number of stats of all series.
    #[must_use]
    pub fn stat_count(&self) -> usize {
        self.stats
    }

    /// The stats from `first` on, each with its name for the host: what to define at start-up (from 0) and after series were
    /// added (from the count before).
    pub fn stats_from(&self, first: usize) -> impl Iterator<Item = (StatId, Stat)> + '_ {
        self.series.iter().filter(move |s| s.first_stat >= first).flat_map(|series| {
            let family = self.families.get(series.family.0);
            let le_tags = self.le_tags.get(series.family.0).map(Vec::as_slice).unwrap_or_default();
            family.into_iter().flat_map(|f| stat::stats_of(f, le_tags, &series.values, series.first_stat))
        })
    }

    pub(crate) fn first_stat(&self, series: SeriesId) -> Option<(usize, Kind)> {
        let series = self.series.get(series.0)?;
        Some((series.first_stat, self.families.get(series.family.0)?.kind))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Family, &Series)> {
        self.series.iter().filter_map(|s| Some((self.families.get(s.family.0)?, s)))
    }

    pub(crate) fn by_family(&self) -> impl Iterator<Item = (&Family, impl Iterator<Item = &Series>)> {
        self.families
            .iter()
            .enumerate()
            .map(|(index, family)| (family, self.series.iter().filter(move |s| s.family == FamilyId(index))))
    }
}
