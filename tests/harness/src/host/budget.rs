//! How much a callback may hand to the host. Fuel counts instructions of the guest: without this, a loop of host calls fills the machine
//! long before its fuel is used up.

use std::fmt;

use super::Guest;
use crate::{FailureKind, Status};

/// What a host call counts, whatever it hands over.
pub(crate) const CALL: u64 = 64;
/// What is counted beside it for a thing that the host keeps: a message, a value, a metric.
const KEPT: u64 = 192;
/// What a log line is counted beside its text.
const LINE: u64 = 128;
/// Bytes of log lines that are kept, of all modules together.
const MOST_LOGGED: u64 = 256 * 1024 * 1024;

/// The callback is stopped.
#[derive(Debug)]
pub(crate) struct Exhausted(pub FailureKind);

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Exhausted {}

impl Guest<'_> {
    /// Takes so much from the callback's budget.
    pub fn spend(&self, bytes: u64) -> Result<(), Status> {
        let left = &self.data().host_budget;
        let rest = left.get().checked_sub(bytes);
        left.set(rest.unwrap_or(0));
        // The status is never seen: see `stop_if_exhausted`.
        rest.map(|_| ()).ok_or(Status::InternalFailure)
    }

    /// Takes what a thing costs that the host is going to keep.
    pub fn keep(&self) -> Result<(), Status> {
        self.spend(KEPT)
    }

    /// Whoever has used up its budget goes no further.
    pub fn stop_if_exhausted(&self) -> wasmtime::Result<()> {
        if self.data().host_budget.get() > 0 {
            return Ok(());
        }
        let kind = match self.data().process.logged.get() > MOST_LOGGED {
            true => FailureKind::TooMuchLogged { limit: MOST_LOGGED },
            false => FailureKind::TooMuchForHost { budget: self.data().settings.host_budget },
        };
        Err(Exhausted(kind).into())
    }

    /// Counts a log line that is to be kept.
    pub fn count_line(&self, text: usize) -> Result<(), Status> {
        let logged = &self.data().process.logged;
        logged.set(logged.get().saturating_add(LINE).saturating_add(text as u64));
        if logged.get() > MOST_LOGGED { self.spend(u64::MAX) } else { Ok(()) }
    }
}
