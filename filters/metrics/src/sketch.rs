//! Who occurs most, in bounded memory: the space-saving sketch (Metwally, Agrawal, El Abbadi 2005).

use rustc_hash::FxHashMap;

/// How many candidates are watched for each one that may be named.
const WATCHED_PER_NAME: usize = 4;

/// A candidate is named once it has surely occurred this often.
const WORTH_A_NAME: u64 = 8;

/// After so many occurrences all counts are halved, so that who was heavy long ago does not stay so.
const MEMORY: u64 = 1 << 16;

/// Counts of the texts that occur most.
///
/// A text that occurs more often than one time in `capacity` is among the watched ones, whatever else occurs; each count is too
/// high by at most its error.
pub(crate) struct Sketch {
    capacity: usize,
    watched: Vec<Watched>,
    places: FxHashMap<Box<str>, usize>,
    total: u64,
}

struct Watched {
    text: Box<str>,
    count: u64,
    error: u64,
}

impl Sketch {
    /// One that is to name at most `names` texts.
    pub fn new(names: usize) -> Self {
        let capacity = names.saturating_mul(WATCHED_PER_NAME).max(1);
        Self { capacity, watched: Vec::new(), places: FxHashMap::default(), total: 0 }
    }

    /// Counts a text; whether it is one of the heavy ones.
    pub fn offer(&mut self, text: &str) -> bool {
        self.fade();
        self.total = self.total.saturating_add(1);
        let place = self.places.get(text).copied().unwrap_or_else(|| self.watch(text));
        let Some(watched) = self.watched.get_mut(place) else { return false };
        watched.count = watched.count.saturating_add(1);
        let surely = watched.count.saturating_sub(watched.error);
        let share = u64::try_from(self.capacity).unwrap_or(u64::MAX);
        surely >= WORTH_A_NAME && surely.saturating_mul(share) >= self.total
    }

    /// Begins to watch a text, in the place of the lightest one if there is no room.
    fn watch(&mut self, text: &str) -> usize {
        let new = Watched { text: text.into(), count: 0, error: 0 };
        let place = self.watched.len();
        if place < self.capacity {
            self.places.insert(new.text.clone(), place);
            self.watched.push(new);
            return place;
        }
        let lightest = self.watched.iter_mut().enumerate().min_by_key(|(_, watched)| watched.count);
        let Some((place, old)) = lightest else { return place };
        self.places.remove(&old.text);
        let count = old.count;
        *old = Watched { count, error: count, ..new };
        self.places.insert(text.into(), place);
        place
    }

    fn fade(&mut self) {
        if self.total >= MEMORY {
            self.total /= 2;
            for watched in &mut self.watched {
                watched.count /= 2;
                watched.error /= 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_heavy_are_found_in_a_flood_of_others_and_memory_stays_the_same() {
        let mut sketch = Sketch::new(4);
        let mut named = std::collections::BTreeSet::new();
        for n in 0..100_000_u32 {
            let text = if n % 5 == 0 { format!("heavy-{}", n % 3) } else { format!("once-{n}") };
            if sketch.offer(&text) {
                named.insert(text);
            }
        }
        assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), ["heavy-0", "heavy-1", "heavy-2"]);
        assert_eq!((sketch.watched.len(), sketch.places.len()), (16, 16));
    }

    #[test]
    fn a_few_occurrences_make_nobody_heavy() {
        let mut sketch = Sketch::new(64);
        let heavy = (0..WORTH_A_NAME).map(|_| sketch.offer("a")).collect::<Vec<_>>();
        assert_eq!(heavy.iter().filter(|heavy| **heavy).count(), 1);
        assert_eq!(heavy.last(), Some(&true));
    }

    #[test]
    fn who_was_heavy_long_ago_makes_room() {
        let mut sketch = Sketch::new(1);
        assert!((0..MEMORY).filter(|_| sketch.offer("old")).count() > 0);
        let now_heavy = (0..MEMORY * 4).filter(|_| sketch.offer("new")).count();
        assert!(now_heavy > 0);
        assert!((0..4).all(|n| !sketch.offer(&format!("once-{n}"))));
    }
    #[test]
    fn after_so_many_occurrences_all_counts_weigh_half() {
        let mut sketch = Sketch::new(1);
        for (text, times) in [("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 14)] {
            (0..times).for_each(|_| _ = sketch.offer(text));
        }
        let counts = |sketch: &Sketch| -> Vec<_> {
            sketch
                .watched
                .iter()
                .map(|watched| (watched.text.to_string(), watched.count, watched.error))
                .collect()
        };
        let of = |text: &str, count, error| (text.to_owned(), count, error);
        // The lightest one went for the last, which may have occurred as often as that before.
        assert_eq!(counts(&sketch), [of("e", 24, 10), of("b", 20, 0), of("c", 30, 0), of("d", 40, 0)]);
        sketch.total = MEMORY;
        assert!(!sketch.offer("d"), "20 of half of all so far");
        assert_eq!(counts(&sketch), [of("e", 12, 5), of("b", 10, 0), of("c", 15, 0), of("d", 21, 0)]);
        assert_eq!(sketch.total, MEMORY / 2 + 1);
    }
}
