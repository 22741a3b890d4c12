//! Verified tokens, so that a token seen again costs one hash and one comparison.
//!
//! An entry answers for a whole token, byte by byte; the hash only finds it. It holds what the provider's checks found, and
//! when that holds; which provider a route would ask is compared again at every use, so an entry never answers for a route
//! that would have asked another. Only good tokens are kept, so nobody fills the cache with garbage.

use crate::token::Identity;
use core::hash::{BuildHasherDefault, Hasher};
use lru::LruCache;
use portcullis_edge_core::Wall;
use std::rc::Rc;

/// What an entry takes beside its token and identity: two pointers, links, hash slot, allocator.
const OVERHEAD: usize = 160;

/// A cache of verified tokens, bounded in bytes; the one used longest ago leaves first.
pub struct TokenCache {
    entries: LruCache<Box<[u8]>, Rc<Identity>, BuildHasherDefault<TailHasher>>,
    bytes: usize,
    limit: usize,
    generation: u64,
    evictions: u64,
}

impl TokenCache {
    /// A cache of at most `limit` bytes; 0 keeps nothing.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let entries = LruCache::unbounded_with_hasher(BuildHasherDefault::default());
        Self { entries, bytes: 0, limit, generation: 0, evictions: 0 }
    }

    /// The token's identity, if it is known and good at `now` under the keys of `generation`.
    pub fn get(&mut self, token: &[u8], now: Wall, generation: u64) -> Option<Rc<Identity>> {
        if self.generation != generation {
            self.clear(generation);
            return None;
        }
        let identity = self.entries.get(token)?;
        if identity.is_good_at(now) {
            return Some(Rc::clone(identity));
        }
        self.remove(token);
        None
    }

    /// Keeps a verified token.
    pub fn put(&mut self, token: &[u8], identity: &Rc<Identity>, generation: u64) {
        if self.generation != generation {
            self.clear(generation);
        }
        let cost = cost(token, identity);
        if cost > self.limit {
            return;
        }
        while self.bytes.saturating_add(cost) > self.limit {
            let Some((token, identity)) = self.entries.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(self::cost(&token, &identity));
            self.evictions = self.evictions.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(cost);
        if let Some((token, old)) = self.entries.push(token.into(), Rc::clone(identity)) {
            self.bytes = self.bytes.saturating_sub(self::cost(&token, &old));
        }
    }

    fn remove(&mut self, token: &[u8]) {
        if let Some(identity) = self.entries.pop(token) {
            self.bytes = self.bytes.saturating_sub(cost(token, &identity));
        }
    }

    fn clear(&mut self, generation: u64) {
        self.entries.clear();
        self.bytes = 0;
        self.generation = generation;
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many tokens have had to leave for others.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Tokens in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What a worker's caches of tokens have done. Each only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Tokens that were known to be good.
    pub hits: u64,
    /// Tokens that had to be checked.
    pub misses: u64,
    /// Good tokens that left for want of memory.
    pub evictions: u64,
    /// Tokens that were known to be inactive.
    pub inactive_hits: u64,
    /// Inactive tokens that left for others.
    pub inactive_evictions: u64,
}

impl CacheCounts {
    /// What was added since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            evictions: self.evictions.saturating_sub(before.evictions),
            inactive_hits: self.inactive_hits.saturating_sub(before.inactive_hits),
            inactive_evictions: self.inactive_evictions.saturating_sub(before.inactive_evictions),
        }
    }
}

fn cost(token: &[u8], identity: &Identity) -> usize {
    [token.len(), identity.bytes(), OVERHEAD].iter().sum()
}

/// Shows no token.
impl core::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TokenCache({} tokens, {} of {} bytes)", self.entries.len(), self.bytes, self.limit)
    }
}

/// Hashes the last 16 bytes: the end of a signature, as random as a hash of the whole would be. Who wants two verified tokens
/// with the same end must forge one.
#[derive(Default)]
struct TailHasher(u64);

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.rchunks(8).take(2) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Folded multiply: both the table's index (low bits) and its tag (high bits) depend on every bit.
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let wide = u128::from(self.0 ^ word).wrapping_mul(ODD);
        #[allow(clippy::cast_possible_truncation)]
        let folded = (wide ^ wide.wrapping_shr(64)) as u64;
        self.0 = folded;
    }

    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn identity(user: &str) -> Rc<Identity> {
        let user = Some(user.into());
        Rc::new(Identity { user, from: Wall(10), until: Wall(20), ..Identity::of_claims("{}") })
    }

    fn user(cache: &mut TokenCache, token: &[u8], now: u64, generation: u64) -> Option<String> {
        cache.get(token, Wall(now), generation).and_then(|i| i.user().map(str::to_owned))
    }

    #[test]
    fn tokens_with_the_same_hash_stay_apart() {
        let tail = "0123456789abcdef";
        let [a, b] = ["a", "b"].map(|head| format!("{head}{tail}").into_bytes());
        let hash = |token: &[u8]| {
            let mut hasher = TailHasher::default();
            core::hash::Hash::hash(token, &mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&a), hash(&b), "the test needs a collision");
        let mut cache = TokenCache::new(10_000);
        cache.put(&a, &identity("alice"), 0);
        assert_eq!(user(&mut cache, &b, 15, 0), None);
        cache.put(&b, &identity("bob"), 0);
        assert_eq!(user(&mut cache, &a, 15, 0).as_deref(), Some("alice"));
        assert_eq!(user(&mut cache, &b, 15, 0).as_deref(), Some("bob"));
    }

    #[test]
    fn an_entry_ends_with_its_token_and_with_the_keys() {
        let mut cache = TokenCache::new(10_000);
        cache.put(b"t", &identity("alice"), 0);
        assert!(user(&mut cache, b"t", 10, 0).is_some());
        assert!(user(&mut cache, b"t", 19, 0).is_some());
        assert!(!cache.is_empty());
        assert_eq!(user(&mut cache, b"t", 20, 0), None, "past exp");
        assert_eq!((cache.len(), cache.bytes()), (0, 0), "and what is past takes no room");
        cache.put(b"t", &identity("alice"), 0);
        assert_eq!(user(&mut cache, b"t", 9, 0), None, "before nbf, after a clock that jumped back");
        cache.put(b"t", &identity("alice"), 0);
        assert_eq!(user(&mut cache, b"t", 15, 1), None, "other keys");
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_leaves_first() {
        let limit = 20_000;
        let mut cache = TokenCache::new(limit);
        for i in 0..100_000_u32 {
            cache.put(&i.to_le_bytes().repeat(8), &identity("somebody"), 0);
            if i % 7 == 0 {
                assert!(
                    cache.get(&0_u32.to_le_bytes().repeat(8), Wall(15), 0).is_some(),
                    "used all the time"
                );
            }
            assert!(cache.bytes() <= limit);
        }
        assert!(cache.len() > 10);
        assert_eq!(cache.evictions(), 100_000 - cache.len() as u64);
        assert!(cache.get(&1_u32.to_le_bytes().repeat(8), Wall(15), 0).is_none());
        let bytes: usize = cache.entries.iter().map(|(token, identity)| cost(token, identity)).sum();
        assert_eq!(bytes, cache.bytes(), "the count is exact");
    }

    #[test]
    fn a_token_that_is_put_again_takes_its_room_once() {
        let mut cache = TokenCache::new(10_000);
        cache.put(b"t", &identity("alice"), 0);
        let once = cache.bytes();
        cache.put(b"t", &identity("alice"), 0);
        assert_eq!((cache.len(), cache.bytes(), cache.evictions()), (1, once, 0));
        cache.put(b"t", &identity("alicia"), 0);
        assert_eq!((cache.len(), cache.bytes()), (1, once + 1));
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_pushes_nothing_out() {
        let mut cache = TokenCache::new(1_000);
        cache.put(b"small", &identity("a"), 0);
        cache.put(&[b'x'; 2_000], &identity("b"), 0);
        assert_eq!(cache.len(), 1);
        let mut off = TokenCache::new(0);
        off.put(b"t", &identity("a"), 0);
        assert!(off.is_empty());
    }

    #[test]
    fn a_token_that_just_fits_is_kept_and_two_that_fill_the_cache_stay_both() {
        let bytes = {
            let mut cache = TokenCache::new(10_000);
            cache.put(b"1", &identity("a"), 0);
            cache.bytes()
        };
        let kept = |limit: usize| {
            let mut cache = TokenCache::new(limit);
            cache.put(b"1", &identity("a"), 0);
            cache.put(b"2", &identity("a"), 0);
            (cache.len(), cache.evictions())
        };
        assert_eq!(kept(bytes - 1), (0, 0));
        assert_eq!(kept(bytes), (1, 1));
        assert_eq!(kept(2 * bytes - 1), (1, 1));
        assert_eq!(kept(2 * bytes), (2, 0));
    }

    fn hash(tail: u128) -> u64 {
        let mut hasher = TailHasher::default();
        core::hash::Hash::hash(&tail.to_le_bytes()[..], &mut hasher);
        hasher.finish()
    }

    /// So many ends of signatures that look random.
    fn tails(count: u128) -> impl Iterator<Item = u128> {
        (1..=count).map(|n| n.wrapping_mul(0x9ddf_ea08_eb38_2d69_c6a4_a793_5bd1_e995_u128).rotate_left(61))
    }

    #[test]
    fn every_bit_of_a_signature_s_end_counts_for_its_hash() {
        for tail in tails(64) {
            let changed = (0..128).filter(|bit| hash(tail) != hash(tail ^ (1 << bit)));
            assert_eq!(changed.count(), 128, "{tail:x}");
        }
    }

    #[test]
    fn hashes_spread_over_all_places_and_tags_of_a_table() {
        let (mut places, mut tags) = ([0; 256], [0; 128]);
        for hash in tails(4096).map(hash) {
            places[usize::from(hash.to_le_bytes()[0])] += 1;
            tags[usize::from(hash.to_be_bytes()[0] >> 1)] += 1;
        }
        assert!(places.iter().all(|count| (1..64).contains(count)), "{places:?}");
        assert!(tags.iter().all(|count| (1..128).contains(count)), "{tags:?}");
    }
}
