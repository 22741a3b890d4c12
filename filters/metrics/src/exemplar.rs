//! Exemplars: which trace was the last to fall into a bucket.

use rustc_hash::FxHashMap;

/// A trace that something counted belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// The trace's id: 32 hexadecimal digits.
    pub trace: [u8; 32],
    /// When it was counted, in milliseconds since 1970.
    pub at_millis: u64,
}

impl Exemplar {
    /// The trace's id as text.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        core::str::from_utf8(&self.trace).unwrap_or_default()
    }
}

/// The last of each bucket that has had one. No more than there are buckets, and none where nothing is traced.
#[derive(Default)]
pub(crate) struct Exemplars(FxHashMap<usize, (Exemplar, u64)>);

impl Exemplars {
    pub fn keep(&mut self, stat: usize, exemplar: Exemplar, micros: u64) {
        self.0.insert(stat, (exemplar, micros));
    }

    pub fn of(&self, stat: usize) -> Option<&(Exemplar, u64)> {
        self.0.get(&stat)
    }
}
