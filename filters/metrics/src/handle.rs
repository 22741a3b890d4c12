//! What a stage counts with.

use crate::registry::Declared;
use crate::{Domains, Exemplar, Family, Kind, Registry, Vocabulary};
use core::marker::PhantomData;

/// A family to count in: where its series lie in the registry. One that the policy has no use for takes everything and keeps nothing.
struct Handle<D> {
    declared: Declared,
    domains: PhantomData<fn() -> D>,
}

impl<D: Domains> Handle<D> {
    fn build(registry: &mut Registry, family: Option<&'static Family>, vocabulary: &Vocabulary) -> Self {
        let declared = family.map(|family| registry.declare(family, vocabulary));
        Self { declared: declared.unwrap_or_default(), domains: PhantomData }
    }

    /// The first stat of the series with these values.
    #[inline]
    fn stat(&self, registry: &mut Registry, values: &D::Values<'_>, width: usize) -> Option<usize> {
        let block = self.declared.block?;
        if let Some(offset) = D::offset(values, &self.declared.axes) {
            return Some(self.declared.first_stat.wrapping_add(offset.wrapping_mul(width)));
        }
        let spelling = D::spell(values, &self.declared.axes)?;
        registry.open(block, spelling)
    }
}

/// A family that only grows.
pub struct Counter<D>(Handle<D>);

/// A family that goes up and down.
pub struct Gauge<D>(Handle<D>);

/// A family of durations.
pub struct Histogram<D> {
    handle: Handle<D>,
    bounds: &'static [u64],
}

impl<D: Domains> Counter<D> {
    #[doc(hidden)]
    pub fn build(registry: &mut Registry, family: Option<&'static Family>, vocabulary: &Vocabulary) -> Self {
        Self(Handle::build(registry, family, vocabulary))
    }

    /// Counts one.
    #[inline]
    pub fn inc(&self, registry: &mut Registry, values: D::Values<'_>) {
        self.add(registry, values, 1);
    }

    /// Counts `by`.
    #[inline]
    pub fn add(&self, registry: &mut Registry, values: D::Values<'_>, by: u64) {
        if let Some(stat) = self.0.stat(registry, &values, 1) {
            registry.bump(stat, by);
        }
    }
}

impl<D: Domains> Gauge<D> {
    #[doc(hidden)]
    pub fn build(registry: &mut Registry, family: Option<&'static Family>, vocabulary: &Vocabulary) -> Self {
        Self(Handle::build(registry, family, vocabulary))
    }

    /// Adds to a gauge that is the sum of what the workers have.
    pub fn shift(&self, registry: &mut Registry, values: D::Values<'_>, by: i64) {
        if let Some(stat) = self.0.stat(registry, &values, 1) {
            registry.shift(stat, by);
        }
    }

    /// Sets a gauge that is the same whoever tells it.
    pub fn set(&self, registry: &mut Registry, values: D::Values<'_>, level: i64) {
        if let Some(stat) = self.0.stat(registry, &values, 1) {
            registry.set(stat, level);
        }
    }
}

impl<D: Domains> Histogram<D> {
    #[doc(hidden)]
    pub fn build(registry: &mut Registry, family: Option<&'static Family>, vocabulary: &Vocabulary) -> Self {
        let bounds = match family.map(|family| family.kind) {
            Some(Kind::Histogram(bounds)) => bounds,
            _ => &[],
        };
        Self { handle: Handle::build(registry, family, vocabulary), bounds }
    }

    /// Adds a duration, in microseconds.
    #[inline]
    pub fn observe(&self, registry: &mut Registry, values: D::Values<'_>, micros: u64) {
        self.observe_traced(registry, values, micros, None);
    }

    /// The same of something that belongs to a trace.
    #[inline]
    pub fn observe_traced(
        &self,
        registry: &mut Registry,
        values: D::Values<'_>,
        micros: u64,
        exemplar: Option<Exemplar>,
    ) {
        let sum = self.bounds.len().wrapping_add(2);
        let Some(first) = self.handle.stat(registry, &values, sum.wrapping_add(1)) else { return };
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(exemplar) = exemplar {
            registry.keep_exemplar(first.wrapping_add(bucket), exemplar, micros);
        }
        registry.bump(first.wrapping_add(bucket), 1);
        registry.bump(first.wrapping_add(sum), micros);
    }
}
