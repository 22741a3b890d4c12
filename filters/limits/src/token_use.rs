//! Tokens that are used in too many places: from more networks of clients, within a time, than one bearer has.
//!
//! The first so many networks of a time are known to a token, and go on; requests from any other are refused. Whoever came first is
//! taken for the bearer. What is known stands in a fixed table of blocks; a block that is full gives up the token that was used longest
//! ago. A worker that has just seen a token pass from a network does not ask again for a while.

use crate::abuse_section::RawTokens;
use crate::cells::Cells;
use crate::compile::plain_hash;
use crate::key::add_network;
use crate::secret::{Hashed, KeyHasher, Secret};
use crate::store::{Numbered, StoreError};
use core::net::IpAddr;
use core::time::Duration;
use portcullis_edge_core::{Class, Host, Mode, Mono, Namespace, Reason, update};

/// A token was used from more networks than it may.
pub const TOKEN_ABUSED: Reason =
    Reason::new("token_abuse", Class::Blocked, "This token is in use in too many places");

/// The compiled rule.
#[derive(Clone, Debug)]
pub struct TokenUse {
    hash: u64,
    networks: usize,
    within: u64,
    mode: Mode,
}

const BLOCK_MASK: u64 = 0x3ff;
/// Tokens of a block.
const WAYS: usize = 16;
/// Pairs of token and network that a worker remembers.
const REMEMBERED: usize = 1024;
/// For how long at most, or a tenth of the rule's time.
const REMEMBER: Duration = Duration::from_secs(30);

/// What a worker needs to look at tokens.
pub struct TokenUseState {
    secret: Secret,
    secret_key: String,
    blocks: Numbered,
    /// By their hash: pair, and until when it need not be asked about.
    remembered: Vec<(u64, u64)>,
    pub(crate) cells: Cells,
}

impl TokenUseState {
    /// Of the instance with this namespace.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            secret: Secret::default(),
            secret_key: namespace.key("limits/secret"),
            blocks: Numbered::new(namespace.key("tokens-in-use/")),
            remembered: vec![(0, 0); REMEMBERED],
            cells: Cells::default(),
        }
    }

    fn slot(&mut self, pair: Hashed) -> Option<&mut (u64, u64)> {
        // A place has 64 bits, and an index in wasm has 32.
        let index = usize::try_from(pair.place.checked_rem(REMEMBERED as u64)?).ok()?;
        self.remembered.get_mut(index)
    }
}

impl TokenUse {
    pub(crate) fn new(raw: &RawTokens) -> Self {
        Self {
            hash: plain_hash(&format!("{} {}", raw.networks, raw.within)),
            networks: usize::try_from(raw.networks).unwrap_or(usize::MAX),
            within: nanos(raw.within.0),
            mode: raw.mode,
        }
    }

    /// Its enforcement mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the token with this id may be used from this network; notes that it is.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn may_use(
        &self,
        token: u64,
        network: Option<IpAddr>,
        state: &mut TokenUseState,
        host: &dyn Host,
    ) -> Result<bool, StoreError> {
        let now = host.mono().0;
        let mut hasher: KeyHasher = state.secret.hasher(&state.secret_key, host)?;
        hasher.number(self.hash);
        hasher.number(token);
        let key = hasher.finish();
        add_network(network, &mut hasher);
        let pair = hasher.finish();
        let known = state.slot(pair).is_some_and(|(known, until)| *known == pair.print && now < *until);
        if known {
            return Ok(true);
        }
        let name = state.blocks.name(key.place & BLOCK_MASK);
        let (may, evicted) = update(host, name, |block| {
            let mut cells = read(block);
            let (may, evicted) = self.note(&mut cells, key.print, pair.print, now);
            *block = write(&cells);
            ((may, evicted), may)
        })?;
        state.cells.count(evicted, false);
        let until = now.saturating_add((self.within / 10).min(nanos(REMEMBER)));
        if let Some(slot) = state.slot(pair).filter(|_| may) {
            *slot = (pair.print, until);
        }
        Ok(may)
    }

    /// Whether the token may be used, and whether another had to go for it.
    fn note(&self, cells: &mut Vec<Cell>, token: u64, network: u64, now: u64) -> (bool, bool) {
        for cell in cells.iter_mut() {
            cell.seen.retain(|(_, at)| *at <= now && now.saturating_sub(*at) < self.within);
        }
        cells.retain(|cell| !cell.seen.is_empty());
        let evicted = cells.len() >= WAYS && !cells.iter().any(|cell| cell.token == token);
        if !cells.iter().any(|cell| cell.token == token) {
            if cells.len() >= WAYS {
                let last = |cell: &Cell| cell.seen.iter().map(|(_, at)| *at).max();
                let oldest =
                    cells.iter().enumerate().min_by_key(|(_, cell)| last(cell)).map(|(index, _)| index);
                oldest.map(|index| cells.swap_remove(index));
            }
            cells.push(Cell { token, seen: Vec::new() });
        }
        let Some(cell) = cells.iter_mut().find(|cell| cell.token == token) else { return (true, evicted) };
        if let Some((_, at)) = cell.seen.iter_mut().find(|(known, _)| *known == network) {
            *at = now;
            return (true, evicted);
        }
        let has_room = cell.seen.len() < self.networks;
        if has_room {
            cell.seen.push((network, now));
        }
        (has_room, evicted)
    }
}

/// A token, and the networks that it was used from, with the last time.
struct Cell {
    token: u64,
    seen: Vec<(u64, u64)>,
}

/// Each cell: token, number of networks, networks with their times.
fn read(bytes: &[u8]) -> Vec<Cell> {
    let mut words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let mut cells = Vec::new();
    while let (Some(token), Some(count)) = (words.next(), words.next()) {
        let pairs = core::iter::from_fn(|| Some((words.next()?, words.next()?)));
        cells.push(Cell { token, seen: pairs.take(usize::try_from(count).unwrap_or(usize::MAX)).collect() });
    }
    cells
}

fn write(cells: &[Cell]) -> Vec<u8> {
    let words = cells.iter().flat_map(|cell| {
        let count = u64::try_from(cell.seen.len()).unwrap_or(0);
        [cell.token, count].into_iter().chain(cell.seen.iter().flat_map(|(network, at)| [*network, *at]))
    });
    words.flat_map(u64::to_le_bytes).collect()
}

fn nanos(duration: Duration) -> u64 {
    Mono(0).plus(duration).0
}
