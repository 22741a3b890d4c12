//! Failed logins: a client's network that fails too often may not log in for a while, nor may anybody as an account that failed too often.
//!
//! Times of failures are kept, so that "5 within 300 s" means any 300 s. They stand in a fixed table of blocks. A block that is full
//! gives up a network that is not blocked, the one with fewest failures; never one that is blocked. So a flood can make the gateway
//! forget failures only by failing as often itself, and blocks never. Accounts have a table of their own: whoever makes up accounts
//! pushes out no network.

use crate::abuse_section::RawLogins;
use crate::cells::Cells;
use crate::compile::plain_hash;
use crate::key::add_network;
use crate::secret::{Hashed, Secret};
use crate::store::{Numbered, StoreError};
use core::net::IpAddr;
use core::time::Duration;
use portcullis_edge_core::{Class, Denial, Host, Mode, Mono, Namespace, Reason, update};

/// Too many logins from the client's network, or as this account, have failed.
pub const LOGIN_BLOCKED: Reason =
    Reason::new("login_blocked", Class::Blocked, "Too many failed logins; try again later");

/// Nobody can tell which account a login is for.
pub const LOGIN_UNREADABLE: Reason =
    Reason::new("login_unreadable", Class::Malformed, "The request body cannot be read");

/// The compiled rule.
#[derive(Clone, Debug)]
pub struct Logins {
    hash: u64,
    routes: Vec<bool>,
    statuses: Vec<u16>,
    failures: usize,
    account_failures: usize,
    within: u64,
    block_for: u64,
    mode: Mode,
}

/// What a worker needs to count failures.
pub struct LoginState {
    secret: Secret,
    secret_key: String,
    networks: Numbered,
    accounts: Numbered,
    pub(crate) cells: Cells,
}

/// Whose failures are counted. No account is kept, only its hash under the process's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    kind: SuspectKind,
    hashed: Hashed,
}

/// What kind of suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SuspectKind {
    /// A client's network.
    Network,
    /// An account, as a login names it.
    Account,
}

const BLOCK_MASK: u64 = 0xff;
/// Networks, or accounts, of a block.
const WAYS: usize = 16;

/// What came of a login's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It was no failure.
    Nothing,
    /// A failure, one of so many.
    Failure(usize),
    /// The failure that blocks the suspect.
    Blocks,
    /// A failure that found no room: all others of its block are blocked.
    NoRoom,
}

impl LoginState {
    /// Of the instance with this namespace.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            secret: Secret::default(),
            secret_key: namespace.key("limits/secret"),
            networks: Numbered::new(namespace.key("logins/")),
            accounts: Numbered::new(namespace.key("accounts/")),
            cells: Cells::default(),
        }
    }

    fn block(&mut self, suspect: Suspect) -> &str {
        let table = match suspect.kind {
            SuspectKind::Network => &mut self.networks,
            SuspectKind::Account => &mut self.accounts,
        };
        table.name(suspect.hashed.place & BLOCK_MASK)
    }
}

impl Logins {
    pub(crate) fn new(raw: &RawLogins, routes: &[&str]) -> Self {
        Self {
            hash: plain_hash(&format!("{} {} {}", raw.failures, raw.within, raw.block_for)),
            routes: routes.iter().map(|route| raw.routes.iter().any(|r| r == route)).collect(),
            statuses: raw.statuses.clone(),
            failures: usize::try_from(raw.failures).unwrap_or(usize::MAX),
            account_failures: raw
                .account
                .as_ref()
                .map_or(usize::MAX, |account| usize::try_from(account.failures).unwrap_or(usize::MAX)),
            within: nanos(raw.within.0),
            block_for: nanos(raw.block_for.0),
            mode: raw.mode,
        }
    }

    /// Its enforcement mode.
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

    /// A client's network.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn network(
        &self,
        network: Option<IpAddr>,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Suspect, StoreError> {
        let mut hasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(self.hash);
        add_network(network, &mut hasher);
        Ok(Suspect { kind: SuspectKind::Network, hashed: hasher.finish() })
    }

    /// An account; one that differs in upper and lower case, or in spaces around it, is the same.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn account(
        &self,
        account: &str,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Suspect, StoreError> {
        let mut hasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(self.hash);
        hasher.part(account.trim().to_lowercase().as_bytes());
        Ok(Suspect { kind: SuspectKind::Account, hashed: hasher.finish() })
    }

    /// Whether a suspect may not log in now. The mode is the caller's to heed.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn blocked(
        &self,
        suspect: Suspect,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Option<Denial>, StoreError> {
        let now = host.mono().0;
        let block = host.shared(state.block(suspect))?.map(|shared| shared.value);
        let cells = read(&block.unwrap_or_default());
        let until = cells.iter().find(|cell| cell.print == suspect.hashed.print).map_or(0, |cell| cell.until);
        // A clock that was set back blocks nobody for longer than a block lasts.
        let left = until.saturating_sub(now).min(self.block_for);
        Ok((left > 0).then(|| Denial::new(LOGIN_BLOCKED).retry_after(Duration::from_nanos(left))))
    }

    /// Notes the status that a suspect's login was answered with.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn note(
        &self,
        suspect: Suspect,
        status: u16,
        state: &mut LoginState,
        host: &dyn Host,
    ) -> Result<Noted, StoreError> {
        if !self.is_failure(status) {
            return Ok(Noted::Nothing);
        }
        let now = host.mono().0;
        let (noted, evicted) = update(host, state.block(suspect), |block| {
            let mut cells = read(block);
            let (noted, evicted) = self.fail(&mut cells, suspect, now);
            *block = write(&cells);
            ((noted, evicted), noted != Noted::NoRoom)
        })?;
        state.cells.count(evicted, noted == Noted::NoRoom);
        Ok(noted)
    }

    /// What came of a failure, and whether another suspect had to go for it.
    fn fail(&self, cells: &mut Vec<Cell>, suspect: Suspect, now: u64) -> (Noted, bool) {
        let print = suspect.hashed.print;
        for cell in cells.iter_mut() {
            cell.times.retain(|time| *time <= now && now.saturating_sub(*time) < self.within);
        }
        cells.retain(|cell| cell.print == print || cell.until > now || !cell.times.is_empty());
        let is_full = cells.len() >= WAYS && !cells.iter().any(|cell| cell.print == print);
        let Some(cell) = find_or_make(cells, print, now) else { return (Noted::NoRoom, false) };
        let most = match suspect.kind {
            SuspectKind::Network => self.failures,
            SuspectKind::Account => self.account_failures,
        };
        (self.fail_in(cell, most, now), is_full)
    }

    fn fail_in(&self, cell: &mut Cell, most: usize, now: u64) -> Noted {
        cell.times.push(now);
        if cell.until > now {
            // Logins that were under way when it was blocked.
            cell.times.clear();
            return Noted::Failure(most);
        }
        if cell.times.len() < most {
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

/// A suspect that has failed: until when it is blocked, and when it failed.
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
