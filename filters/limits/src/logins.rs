//! Failed logins: a client's network that fails too often may not log in for a while.
//!
//! Times of failures are kept, so that "5 within 300 s" means any 300 s. They stand in a fixed table of blocks. A block that is full
//! gives up a network that is not blocked, the one with fewest failures; never one that is blocked. So a flood can make the gateway
//! forget failures only by failing as often itself, and blocks never.

use crate::abuse_section::RawLogins;
use crate::cells::Cells;
use crate::compile::plain_hash;
use crate::key::add_network;
use crate::secret::{Hashed, Secret};
use crate::store::{Numbered, StoreError, update};
use core::net::IpAddr;
use core::time::Duration;
use portcullis_edge_core::{Class, Denial, Host, Mode, Mono, Namespace, Reason};

/// Too many logins from the client's network have failed.
pub const LOGIN_BLOCKED: Reason =
    Reason::new("login_blocked", Class::Blocked, "Too many failed logins; try again later");

/// The compiled rule.
#[derive(Clone, Debug)]
pub struct Logins {
    hash: u64,
    routes: Vec<bool>,
    statuses: Vec<u16>,
    failures: usize,
    within: u64,
    block_for: u64,
    mode: Mode,
}

/// What a worker needs to count failures.
pub struct LoginState {
    secret: Secret,
    secret_key: String,
    blocks: Numbered,
    pub(crate) cells: Cells,
}

const BLOCK_MASK: u64 = 0xff;
/// Networks of a block.
const WAYS: usize = 16;

/// What came of a login's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It was no failure.
    Nothing,
    /// A failure, one of so many.
    Failure(usize),
    /// The failure that blocks the network.
    Blocks,
    /// A failure that found no room: all networks of its block are blocked.
    NoRoom,
}

impl LoginState {
    /// Of the instance with this namespace.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            secret: Secret::default(),
            secret_key: namespace.key("limits/secret"),
            blocks: Numbered::new(namespace.key("logins/")),
            cells: Cells::default(),
        }
    }
}

impl Logins {
    pub(crate) fn new(raw: &RawLogins, routes: &[&str]) -> Self {
        Self {
            hash: plain_hash(&format!("{} {} {}", raw.failures, raw.within, raw.block_for)),
            routes: routes.iter().map(|route| raw.routes.iter().any(|r| r == route)).collect(),
            statuses: raw.statuses.clone(),
            failures: usize::try_from(raw.failures).unwrap_or(usize::MAX),
            within: nanos(raw.within.0),
            block_for: nanos(raw.block_for.0),
            mode: raw.mode,
        }
    }

    /// How seriously it is meant.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a route is one to log in by.
    #[must_use]
    pub fn is_login(&self, route: Option<usize>) -> bool {
        route.and_then(|route| self.routes.get(route)).copied().unwrap_or(false)
    }

    /// Whether an answer with this status is a failed login.
    #[must_use]
    pub fn is_failure(&self, status: u16) -> bool {
        self.statuses.contains(&status)
    }

    /// Whether a network may not log in now. The mode is the caller's to heed.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn blocked(
        &self,
        network: Option<IpAddr>,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Option<Denial>, StoreError> {
        let key = self.key(network, state, host)?;
        let now = host.mono().0;
        let block = host.shared(state.blocks.name(key.place & BLOCK_MASK))?.map(|shared| shared.value);
        let cells = read(&block.unwrap_or_default());
        let until = cells.iter().find(|cell| cell.print == key.print).map_or(0, |cell| cell.until);
        // A clock that was set back blocks nobody for longer than a block lasts.
        let left = until.saturating_sub(now).min(self.block_for);
        Ok((left > 0).then(|| Denial::new(LOGIN_BLOCKED).retry_after(Duration::from_nanos(left))))
    }

    /// Notes the status that a login was answered with.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn note(
        &self,
        network: Option<IpAddr>,
        status: u16,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Noted, StoreError> {
        if !self.is_failure(status) {
            return Ok(Noted::Nothing);
        }
        let key = self.key(network, state, host)?;
        let now = host.mono().0;
        let (noted, evicted) = update(host, state.blocks.name(key.place & BLOCK_MASK), |block| {
            let mut cells = read(block);
            let (noted, evicted) = self.fail(&mut cells, key.print, now);
            *block = write(&cells);
            ((noted, evicted), noted != Noted::NoRoom)
        })?;
        state.cells.count(evicted, noted == Noted::NoRoom);
        Ok(noted)
    }

    fn key(
        &self,
        network: Option<IpAddr>,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Hashed, StoreError> {
        let mut hasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(self.hash);
        add_network(network, &mut hasher);
        Ok(hasher.finish())
    }

    /// What came of a failure, and whether another network had to go for it.
    fn fail(&self, cells: &mut Vec<Cell>, print: u64, now: u64) -> (Noted, bool) {
        for cell in cells.iter_mut() {
            cell.times.retain(|time| *time <= now && now.saturating_sub(*time) < self.within);
        }
        cells.retain(|cell| cell.print == print || cell.until > now || !cell.times.is_empty());
        let is_full = cells.len() >= WAYS && !cells.iter().any(|cell| cell.print == print);
        let Some(cell) = find_or_make(cells, print, now) else { return (Noted::NoRoom, false) };
        (self.fail_in(cell, now), is_full)
    }

    fn fail_in(&self, cell: &mut Cell, now: u64) -> Noted {
        cell.times.push(now);
        if cell.until > now {
            // Logins that were under way when it was blocked.
            cell.times.clear();
            return Noted::Failure(self.failures);
        }
        if cell.times.len() < self.failures {
            return Noted::Failure(cell.times.len());
        }
        cell.times.clear();
        cell.until = now.saturating_add(self.block_for);
        Noted::Blocks
    }
}

fn find_or_make(cells: &mut Vec<Cell>, print: u64, now: u64) -> Option<&mut Cell> {
    if !cells.iter().any(|cell| cell.print == print) {
        if cells.len() >= WAYS {
            let free = cells.iter().enumerate().filter(|(_, cell)| cell.until <= now);
            let (index, _) = free.min_by_key(|(_, cell)| (cell.times.len(), cell.times.last().copied()))?;
            cells.swap_remove(index);
        }
        cells.push(Cell { print, until: 0, times: Vec::new() });
    }
    cells.iter_mut().find(|cell| cell.print == print)
}

/// A network that has failed: until when it is blocked, and when it failed.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    print: u64,
    until: u64,
    times: Vec<u64>,
}

/// Each cell: key, end of the block, number of times, times.
fn read(bytes: &[u8]) -> Vec<Cell> {
    let mut words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let mut cells = Vec::new();
    while let (Some(print), Some(until), Some(count)) = (words.next(), words.next(), words.next()) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        cells.push(Cell { print, until, times: words.by_ref().take(count).collect() });
    }
    cells
}

fn write(cells: &[Cell]) -> Vec<u8> {
    let words = cells.iter().flat_map(|cell| {
        let count = u64::try_from(cell.times.len()).unwrap_or(0);
        [cell.print, cell.until, count].into_iter().chain(cell.times.iter().copied())
    });
    words.flat_map(u64::to_le_bytes).collect()
}

fn nanos(duration: Duration) -> u64 {
    Mono(0).plus(duration).0
}
