//! Bodies as they pass.

use crate::budget::Budget;
use crate::metrics::Skipped;
use crate::section::Side;
use core::fmt;
use serde_json::value::RawValue;

/// What was seen of a body.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    /// What its bytes were taken from.
    budget: Budget,
    /// Why it is not looked into.
    skipped: Option<Skipped>,
}

/// A body may hold what nobody else is to see.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("bytes", &self.bytes.len()).field("skipped", &self.skipped).finish()
    }
}

/// The bodies of a request and of its answer, as far as events look at them.
#[derive(Debug, Default)]
pub struct Bodies {
    /// The request's; nothing where no event looks at it.
    pub request: Option<Body>,
    /// The answer's.
    pub response: Option<Body>,
}

impl Bodies {
    /// A side's.
    #[must_use]
    pub fn of(&self, side: Side) -> Option<&Body> {
        match side {
            Side::Request => self.request.as_ref(),
            Side::Response => self.response.as_ref(),
        }
    }

    /// The same, to be added to.
    pub fn of_mut(&mut self, side: Side) -> Option<&mut Body> {
        match side {
            Side::Request => self.request.as_mut(),
            Side::Response => self.response.as_mut(),
        }
    }
}

impl Body {
    /// A body of which nothing has come; what does is kept as long as `budget` has room.
    #[must_use]
    pub fn new(budget: &Budget) -> Self {
        Self { bytes: Vec::new(), budget: budget.clone(), skipped: None }
    }

    /// Says that a body has this content coding (RFC 9110 section 8.4): only plain ones are looked into.
    pub fn coded(&mut self, coding: &[u8]) {
        if !coding.trim_ascii().eq_ignore_ascii_case(b"identity") {
            self.skip(Skipped::Encoded);
        }
    }

    /// Whether it is looked into.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.skipped.is_none()
    }

    /// How many bytes more there is room for; 0 where it is not looked into.
    #[must_use]
    pub fn room(&self, most: usize) -> usize {
        if self.skipped.is_some() { 0 } else { most.saturating_sub(self.bytes.len()) }
    }

    /// Takes the next part, of `size` bytes in all, of which `read` has as many as there was room for.
    pub fn take(&mut self, read: &[u8], size: usize) {
        if read.len() < size {
            self.skip(Skipped::TooLarge);
        } else if self.skipped.is_none() && !self.budget.take(read.len()) {
            self.skip(Skipped::NoRoom);
        } else if self.skipped.is_none() {
            self.bytes.extend_from_slice(read);
        }
    }

    fn skip(&mut self, why: Skipped) {
        self.skipped.get_or_insert(why);
        self.budget.give_back(core::mem::take(&mut self.bytes).len());
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<&RawValue, Skipped> {
        match self.skipped {
            Some(why) => Err(why),
            None => serde_json::from_slice(&self.bytes).map_err(|_| Skipped::NotJson),
        }
    }
}

/// However a request ends, its bytes are free again.
impl Drop for Body {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.len());
    }
}
