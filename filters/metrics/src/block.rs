//! A family under a policy: its series, as places and not as objects.

use crate::domain::Spelling;
use crate::sketch::Sketch;
use crate::stat::{self, le_tags, tag, width};
use crate::{Axis, Family, OTHER, Row, Stat, Values, Vocabulary};
use std::rc::Rc;

/// A family whose series exist. The series that the policy makes possible are every combination of the axes' values, in
/// row-major order from `first_stat` on; none of them is an object of its own, because thousands are made at every start.
pub(crate) struct Block {
    pub family: &'static Family,
    pub axes: Rc<[Axis]>,
    /// The labels of each axis's values, twice: as parts of stat names, and as they stand between braces in a text.
    spelt: Vec<Vec<Spelt>>,
    /// The family's name for each value of the axis that its name has in it; or its only name.
    names: Vec<String>,
    /// Which axis that is.
    name_axis: Option<usize>,
    name_of: Vec<usize>,
    les: Vec<String>,
    pub first_stat: usize,
    pub series: usize,
    /// By key: who is heavy, where only the heaviest are named.
    pub sketches: Vec<Option<Sketch>>,
    instance: Spelt,
}

/// The labels of a value.
#[derive(Clone, Default)]
pub(crate) struct Spelt {
    pub tags: String,
    pub labels: String,
}

impl Spelt {
    fn of(family: &Family, labels: &[&'static str], row: &[impl AsRef<str>]) -> Self {
        let mut spelt = Self::default();
        let in_name = family.in_name();
        for (label, value) in labels.iter().zip(row).filter(|(label, _)| Some(**label) != in_name) {
            spelt.push(label, value.as_ref());
        }
        spelt
    }

    fn push(&mut self, label: &str, value: &str) {
        self.tags.push_str(&tag(label, value));
        if !self.labels.is_empty() {
            self.labels.push(',');
        }
        self.labels.push_str(&[label, "=\"", &escaped(value), "\""].concat());
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The label that tells the series of several instances apart.
pub(crate) const INSTANCE: &str = "portcullis_instance";

impl Block {
    /// The series of `family` that `vocabulary` makes possible; `None` if there are none.
    pub fn build(family: &'static Family, vocabulary: &Vocabulary, first_stat: usize) -> Option<Self> {
        let axes: Rc<[Axis]> = family.keys.iter().map(|key| (key.axis)(vocabulary)).collect();
        let series = axes.iter().map(|axis| axis.rows().len()).fold(1, usize::saturating_mul);
        if series == 0 || !vocabulary.allows(family.when) {
            return None;
        }
        let keys = family.keys.iter().zip(axes.iter());
        let spell = |(key, axis): (&crate::Key, &Axis)| {
            axis.rows().iter().map(|row| Spelt::of(family, key.labels, row)).collect()
        };
        let spelt = keys.map(spell).collect();
        let mut instance = Spelt::default();
        if !vocabulary.instance().is_empty() {
            instance.push(INSTANCE, vocabulary.instance());
        }
        let sketches = family.keys.iter().map(|key| match key.about.values {
            Values::Heaviest(most) => Some(Sketch::new(most)),
            _ => None,
        });
        let sketches = sketches.collect();
        let (name_axis, names, name_of) = names(family, &axes);
        let les = le_tags(family.kind);
        Some(Self {
            family,
            axes,
            spelt,
            names,
            name_axis,
            name_of,
            les,
            first_stat,
            series,
            sketches,
            instance,
        })
    }

    /// The family's names: more than one where its name has a label in it.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The help that goes with a name.
    pub fn help(&self, name: usize) -> String {
        let value = self.name_axis.and_then(|axis| {
            let row = self.name_of.iter().position(|of| *of == name)?;
            let column = name_column(self.family, axis)?;
            self.axes.get(axis)?.rows().get(row)?.get(column)
        });
        self.family.filled(self.family.help, value.map_or("", |value| value))
    }

    /// The values of the series at `offset`, as places on the axes, last first.
    fn places(&self, mut offset: usize) -> impl Iterator<Item = (usize, usize)> {
        self.axes.iter().enumerate().rev().map(move |(key, axis)| {
            let length = axis.rows().len().max(1);
            let place = offset.checked_rem(length).unwrap_or(0);
            offset = offset.checked_div(length).unwrap_or(0);
            (key, place)
        })
    }

    /// The labels of the series at `offset`, one part for each key, and which of the names it has.
    pub fn spelt(&self, offset: usize) -> (Vec<&Spelt>, usize) {
        let mut parts = vec![&self.instance];
        let mut name = 0;
        for (key, place) in self.places(offset) {
            if self.name_axis == Some(key) {
                name = self.name_of.get(place).copied().unwrap_or(0);
            }
            parts.extend(self.spelt.get(key).and_then(|spelt| spelt.get(place)));
        }
        if let Some(keys) = parts.get_mut(1..) {
            keys.reverse();
        }
        (parts, name)
    }

    /// The same of a series that the axes do not have.
    pub fn spell_born(&self, values: &[String]) -> (Spelt, usize) {
        let (mut spelt, mut name, mut rest) = (self.instance.clone(), 0, values);
        for (key, axis) in self.family.keys.iter().zip(self.axes.iter()) {
            let (row, after) = rest.split_at_checked(key.labels.len()).unwrap_or_default();
            rest = after;
            if self.family.in_name().is_some_and(|label| key.labels.contains(&label)) {
                let texts: Vec<&str> = row.iter().map(String::as_str).collect();
                let place = axis.find(&texts);
                name = place.and_then(|place| self.name_of.get(place)).copied().unwrap_or(0);
            }
            let in_name = self.family.in_name();
            let pairs = key.labels.iter().zip(row).filter(|(label, _)| Some(**label) != in_name);
            pairs.for_each(|(label, value)| spelt.push(label, value));
        }
        (spelt, name)
    }

    /// The stats of a series with these labels and name.
    pub fn stats(&self, parts: &[&Spelt], name: usize) -> Vec<Stat> {
        let tags: Vec<&str> = parts.iter().map(|part| part.tags.as_str()).collect();
        let name = self.names.get(name).map_or("", String::as_str);
        stat::stats_of(self.family.kind, name, &tags, &self.les)
    }

    pub fn width(&self) -> usize {
        width(self.family.kind)
    }

    /// The place of `other` of a key, where there is one.
    pub fn other(&self, key: usize) -> Option<usize> {
        self.axes.get(key)?.find(&[OTHER])
    }

    /// Where the texts of all labels lie; `None` if this policy cannot have them.
    pub fn spelling<'t>(&self, texts: &[&'t str]) -> Option<Vec<Spelling<'t>>> {
        let mut rest = texts;
        let mut spellings = Vec::with_capacity(self.axes.len());
        for (key, axis) in self.family.keys.iter().zip(self.axes.iter()) {
            let (row, after) = rest.split_at_checked(key.labels.len())?;
            rest = after;
            spellings.push(match (axis.find(row), row) {
                (Some(place), _) => Spelling::At(place),
                (None, [text]) if (key.admits)(text) => Spelling::Text((*text).into()),
                _ => return None,
            });
        }
        rest.is_empty().then_some(spellings)
    }

    /// The offset of a series that the axes have.
    pub fn offset(&self, spellings: &[Spelling<'_>]) -> Option<usize> {
        let mut offset = 0_usize;
        for (spelling, axis) in spellings.iter().zip(self.axes.iter()) {
            let Spelling::At(place) = spelling else { return None };
            offset = offset.wrapping_mul(axis.rows().len()).wrapping_add(*place);
        }
        Some(offset)
    }

    /// The texts of all labels.
    pub fn texts(&self, spellings: &[Spelling<'_>]) -> Vec<String> {
        let row = |(spelling, axis): (&Spelling<'_>, &Axis)| -> Vec<String> {
            match spelling {
                Spelling::At(place) => {
                    let row: &[_] = axis.rows().get(*place).map(Row::as_slice).unwrap_or_default();
                    row.iter().map(|text| text.clone().into_owned()).collect()
                }
                Spelling::Text(text) => vec![text.clone().into_owned()],
            }
        };
        spellings.iter().zip(self.axes.iter()).flat_map(row).collect()
    }
}

/// Which of a key's labels stands in the family's name.
fn name_column(family: &Family, key: usize) -> Option<usize> {
    let label = family.in_name()?;
    family.keys.get(key)?.labels.iter().position(|known| *known == label)
}

/// The axis that a family's name has in it, the names, and which of them each value of that axis has.
fn names(family: &'static Family, axes: &[Axis]) -> (Option<usize>, Vec<String>, Vec<usize>) {
    let key = (0..axes.len()).find_map(|key| Some((key, name_column(family, key)?)));
    let Some((key, column)) = key else { return (None, vec![family.name.to_owned()], Vec::new()) };
    let (mut names, mut name_of) = (Vec::<String>::new(), Vec::new());
    for row in axes.get(key).map(Axis::rows).unwrap_or_default() {
        let name = family.filled(family.name, row.get(column).map_or("", |text| text));
        let known = names.iter().position(|known| *known == name);
        name_of.push(known.unwrap_or(names.len()));
        if known.is_none() {
            names.push(name);
        }
    }
    (Some(key), names, name_of)
}
