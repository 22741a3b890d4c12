//! What the fixed tables could not keep. Each worker counts its own.

use crate::{ConcurrencyState, LimitState, LoginState, TokenUseState};
use portcullis_metrics::labels;

labels! {
    /// the table: of what clients have used of limits, of failed logins, of tokens in use, of requests at once
    pub enum CellTable {
        Limits = "limits",
        Logins = "failed_logins",
        Tokens = "tokens_in_use",
        Places = "requests_at_once",
    }
}

/// What a table could not keep since its worker began; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// Entries that went before their time, for others.
    pub evicted: u64,
    /// What found no room, and is not counted.
    pub refused: u64,
}

impl Cells {
    /// One of several outcomes of a change.
    pub(crate) fn count(&mut self, evicted: bool, refused: bool) {
        self.evicted = self.evicted.saturating_add(evicted.into());
        self.refused = self.refused.saturating_add(refused.into());
    }

    /// What has come since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            evicted: self.evicted.saturating_sub(before.evicted),
            refused: self.refused.saturating_sub(before.refused),
        }
    }
}

macro_rules! tell_cells {
    ($($state:ty),+) => { $(
        impl $state {
            /// What its table could not keep.
            #[must_use]
            pub const fn cells(&self) -> Cells {
                self.cells
            }
        }
    )+ };
}

tell_cells!(LimitState, LoginState, TokenUseState, ConcurrencyState);
