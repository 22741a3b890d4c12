//! The table of tats: a fixed number of blocks in shared data, each with room for a fixed number of keys.
//!
//! Shared data never forgets a key, so the table's keys are numbered and fixed: memory for a million clients is memory for one table.
//! A key of a limit belongs to one block. A block forgets a key once all of its quota is there again, which loses nothing.
//!
//! # When a block is full
//! A flood of addresses may fill a block with keys that all have used some quota. The newcomer then takes the place of the least used
//! key of its own limit **and its tat** (the Space-Saving algorithm, in units of time). So for each limit and block this holds: *a key
//! that was put out has used no more than the least used key that has a place.* All tats drain alike, one second a second, so it holds
//! at any later time too, and whoever comes back and takes over the least tat is never given more than it had: **no flood gives anybody
//! a request back.** The price is paid by newcomers: they begin with up to what the keys of their limit in that block have used,
//! divided by their number. They do so, even where there is room again, until the last key that was put out has its quota back.
//!
//! A limit that has no key in a full block takes a place from the limit that has most. By the same rule, every key of it that was there
//! has all of its quota again. (That needs fewer limits than places in a block; the policy's compilation sees to it.)

use crate::gcra::{Judged, Rate};
use crate::secret::Hashed;
use crate::store::{Numbered, StoreError};
use portcullis_edge_core::{Host, update};

/// Bytes of a cell: 16 bits for the limit, 48 for the key, 64 for its tat.
const CELL: usize = 16;
const TAG_SHIFT: u32 = 48;
const PRINT_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// Which limit a cell belongs to; not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub u16);

/// What is to be charged.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Whose quota.
    pub key: Hashed,
    /// Of which limit.
    pub tag: Tag,
    /// The limit's rate.
    pub rate: Rate,
    /// Units.
    pub cost: u64,
    /// Nanoseconds of the monotonic clock.
    pub now: u64,
}

impl Charge {
    fn cell(&self) -> u64 {
        u64::from(self.tag.0) << TAG_SHIFT | (self.key.print & PRINT_MASK)
    }
}

/// What came of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// What the limit says.
    pub judged: Judged,
    /// Whether the block was full, so that the key began with what another had used.
    pub crowded: bool,
    /// Whether a key that had used some quota had to go.
    pub evicted: bool,
}

/// A worker's view of the table.
pub struct Table {
    names: Numbered,
    mask: u64,
    ways: usize,
}

impl Table {
    /// The table whose blocks stand in shared data under `prefix` and a number: 2 to the power of `bits` blocks of `ways` keys.
    #[must_use]
    pub fn new(prefix: String, bits: u32, ways: usize) -> Self {
        let mask = 1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
        Self { names: Numbered::new(prefix), mask, ways }
    }

    /// Charges a key of a limit, and says what is left.
    ///
    /// # Errors
    /// When the shared value cannot be changed; nothing is charged then.
    pub fn charge(&mut self, charge: &Charge, host: &dyn Host) -> Result<Charged, StoreError> {
        let (name, ways) = (self.names.name(charge.key.place & self.mask), self.ways);
        Ok(update(host, name, |block| charge_in(block, ways, charge))?)
    }

    /// What the limit would say of a request, without charging it.
    ///
    /// # Errors
    /// When the host cannot say.
    pub fn look(&mut self, charge: &Charge, host: &dyn Host) -> Result<Charged, StoreError> {
        let (name, ways) = (self.names.name(charge.key.place & self.mask), self.ways);
        Ok(update(host, name, |block| (charge_in(block, ways, charge).0, false))?)
    }
}

fn charge_in(block: &mut Vec<u8>, ways: usize, charge: &Charge) -> (Charged, bool) {
    let wanted = charge.cell();
    let place = match position(block, wanted) {
        Some((index, tat)) => Place { index: Some(index), tat, crowded: false },
        None => make_room(block, ways, charge),
    };
    let judged = charge.rate.judge(place.tat, charge.now, charge.cost);
    let mut evicted = false;
    if let Some(tat) = judged.tat {
        let put_out = place.index.and_then(|index| cells(block).nth(index)).filter(|(id, _)| *id != wanted);
        put(block, place.index, wanted, tat);
        evicted = put_out.is_some();
        put_out.into_iter().for_each(|(_, tat)| note_put_out(block, tat));
    }
    (Charged { judged, crowded: place.crowded, evicted }, judged.is_admitted())
}

/// Where a key's cell goes.
struct Place {
    /// In the place of this cell; `None`: at the end.
    index: Option<usize>,
    /// What it begins with.
    tat: u64,
    /// Whether that is not its own.
    crowded: bool,
}

/// The id of the cell whose tat is the latest of all keys that were put out. It needs no place, and goes like any cell.
const PUT_OUT: u64 = 0;

fn note_put_out(block: &mut Vec<u8>, tat: u64) {
    let known = position(block, PUT_OUT);
    let latest = known.map_or(tat, |(_, known)| known.max(tat));
    put(block, known.map(|(index, _)| index), PUT_OUT, latest);
}

fn cells(block: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let number = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).map_or(0, u64::from_le_bytes);
    block.chunks_exact(CELL).map(move |cell| {
        let (id, tat) = cell.split_at(CELL / 2);
        (number(id), number(tat))
    })
}

fn position(block: &[u8], wanted: u64) -> Option<(usize, u64)> {
    cells(block).enumerate().find(|(_, (id, _))| *id == wanted).map(|(index, (_, tat))| (index, tat))
}

/// A place for a newcomer. Keys whose quota is whole again go.
fn make_room(block: &mut Vec<u8>, ways: usize, charge: &Charge) -> Place {
    let kept: Vec<_> = cells(block).filter(|(_, tat)| *tat > charge.now).collect();
    block.clear();
    kept.iter().for_each(|(id, tat)| put(block, None, *id, *tat));
    let own = u64::from(charge.tag.0);
    let put_out = kept.iter().find(|(id, _)| *id == PUT_OUT).map(|(_, tat)| *tat);
    let is_full = kept.iter().filter(|(id, _)| *id != PUT_OUT).count() >= ways;
    match (is_full, least_of(block, own)) {
        (false, least) => {
            let tat = least.zip(put_out).map_or(0, |((_, least), put_out)| least.min(put_out));
            Place { index: None, tat, crowded: tat > charge.now }
        }
        (true, Some((index, tat))) => Place { index: Some(index), tat, crowded: true },
        (true, None) => {
            let victim = largest_tag(block).and_then(|tag| least_of(block, tag));
            Place { index: victim.map(|(index, _)| index), tat: 0, crowded: true }
        }
    }
}

/// The least used key of a limit: its index and tat.
fn least_of(block: &[u8], tag: u64) -> Option<(usize, u64)> {
    let of_tag = cells(block).enumerate().filter(|(_, (id, _))| id >> TAG_SHIFT == tag && *id != PUT_OUT);
    of_tag.map(|(index, (_, tat))| (index, tat)).min_by_key(|(_, tat)| *tat)
}

/// The limit with most keys in a block.
fn largest_tag(block: &[u8]) -> Option<u64> {
    let tags = || cells(block).filter(|(id, _)| *id != PUT_OUT).map(|(id, _)| id >> TAG_SHIFT);
    tags().max_by_key(|tag| tags().filter(|other| other == tag).count())
}

fn put(block: &mut Vec<u8>, index: Option<usize>, id: u64, tat: u64) {
    let mut cell = [0_u8; CELL];
    let (front, back) = cell.split_at_mut(CELL / 2);
    front.copy_from_slice(&id.to_le_bytes());
    back.copy_from_slice(&tat.to_le_bytes());
    match index.and_then(|index| block.chunks_exact_mut(CELL).nth(index)) {
        Some(place) => place.copy_from_slice(&cell),
        None => block.extend_from_slice(&cell),
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
#[path = "table_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
