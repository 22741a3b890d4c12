//! What the bodies of all requests under way may take of a VM's memory.

use core::cell::Cell;
use std::rc::Rc;

/// Bytes that are left for bodies, in one VM; its clones share them.
#[derive(Clone, Debug)]
pub struct Budget(Rc<Cell<usize>>);

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    /// Takes bytes; whether there were as many.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        left.inspect(|left| self.0.set(*left)).is_some()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes));
    }
}

impl Default for Budget {
    /// Nothing.
    fn default() -> Self {
        Self::new(0)
    }
}
