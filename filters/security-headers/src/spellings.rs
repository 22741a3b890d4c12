//! Whether a name is one of some hundred, in any spelling: asked of every header of every request, and no for nearly all.

use portcullis_edge_core::{HeaderName, fibonacci_hash, folded};

/// Bits of [`Marks`], a power of two: at a hundred names, one other name in ten has a mark of theirs.
const BITS: u32 = 1024;

/// Shortest beginning of a name that can be kept, in bytes.
const SHORTEST: usize = 4;

/// Names, and beginnings of names, that are found in any spelling (see [`HeaderName::is_spelt_like`]).
#[derive(Clone, Debug, Default)]
pub struct Spellings {
    /// By length.
    names: Vec<Vec<HeaderName>>,
    name_marks: Marks,
    families: Vec<HeaderName>,
    family_marks: Marks,
}

impl Spellings {
    /// Finds `names`, and all that begins as one of `families` does: with at least four bytes each.
    pub fn new<'n>(names: impl Iterator<Item = &'n HeaderName>, families: &[HeaderName]) -> Self {
        let mut found = Self::default();
        names.for_each(|name| found.add(name));
        families.iter().for_each(|family| found.family_marks.add(beginning(family.as_str().as_bytes())));
        found.families = families.to_vec();
        found
    }

    fn add(&mut self, name: &HeaderName) {
        let bytes = name.as_str().as_bytes();
        if self.names.len() <= bytes.len() {
            self.names.resize(bytes.len().saturating_add(1), Vec::new());
        }
        self.name_marks.add(mark(bytes));
        self.names.get_mut(bytes.len()).into_iter().for_each(|names| names.push(name.clone()));
    }

    /// Whether `name` could be one of the names, or of a family: no for most that are none.
    #[inline]
    pub fn may_have(&self, name: &[u8]) -> bool {
        self.name_marks.has(mark(name)) || self.family_marks.has(beginning(name))
    }

    /// Whether `name` is one of the names, or begins as one of the families.
    pub fn has(&self, name: &[u8]) -> bool {
        (self.name_marks.has(mark(name)) && self.is_name(name))
            || (self.family_marks.has(beginning(name)) && self.is_of_family(name))
    }

    fn is_name(&self, name: &[u8]) -> bool {
        self.names.get(name.len()).is_some_and(|names| names.iter().any(|known| known.is_spelt_like(name)))
    }

    fn is_of_family(&self, name: &[u8]) -> bool {
        let begins = |family: &HeaderName| {
            name.get(..family.as_str().len()).is_some_and(|begin| family.is_spelt_like(begin))
        };
        self.families.iter().any(begins)
    }
}

/// The same for all spellings of a name.
fn mark(name: &[u8]) -> u32 {
    let at = |place: usize| name.get(place).map_or(0, |byte| folded(*byte));
    let length = name.len();
    u32::from_le_bytes([
        at(0),
        at(length >> 1),
        at(length.saturating_sub(1)),
        u8::try_from(length).unwrap_or(u8::MAX),
    ])
}

/// The same for all names that begin alike.
fn beginning(name: &[u8]) -> u32 {
    let first: Option<[u8; SHORTEST]> = name.first_chunk().copied();
    first.map_or(0, |first| u32::from_le_bytes(first.map(folded)))
}

/// A set of marks that may hold more than was put in (a Bloom filter with one hash).
#[derive(Clone, Debug)]
struct Marks([u32; (BITS / 32) as usize]);

impl Default for Marks {
    fn default() -> Self {
        Self([0; (BITS / 32) as usize])
    }
}

impl Marks {
    fn place(mark: u32) -> (usize, u32) {
        let hash = fibonacci_hash(mark, BITS.trailing_zeros());
        ((hash >> 5) as usize, 1 << (hash & 31))
    }

    fn add(&mut self, mark: u32) {
        let (word, bit) = Self::place(mark);
        self.0.get_mut(word).into_iter().for_each(|word| *word |= bit);
    }

    #[inline]
    fn has(&self, mark: u32) -> bool {
        let (word, bit) = Self::place(mark);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reserved::RESERVED;
    use std::collections::BTreeSet;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn parsed(names: &[&str]) -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::parse(name).unwrap()).collect()
    }

    fn reserved() -> (Vec<HeaderName>, Vec<HeaderName>) {
        let of = |group: fn(&crate::Reserved) -> &'static [&'static str]| {
            parsed(&RESERVED.iter().flat_map(group).copied().collect::<Vec<_>>())
        };
        (of(|group| group.names), of(|group| group.families))
    }

    #[test]
    fn every_name_is_found_in_every_spelling_and_its_neighbours_are_not() {
        let (names, families) = reserved();
        let found = Spellings::new(names.iter(), &families);
        for name in names.iter().map(HeaderName::as_str) {
            for spelling in
                [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replace('-', ".")]
            {
                assert!(found.has(spelling.as_bytes()), "{spelling}");
            }
            let longer = format!("{name}q");
            assert!(!found.has(longer.as_bytes()), "{longer}");
            assert!(
                !found.has(&name.as_bytes()[1..])
                    || names.iter().any(|n| n.as_str().as_bytes() == &name.as_bytes()[1..]),
                "{name}"
            );
        }
        for family in families.iter().map(HeaderName::as_str) {
            let member = format!("{}Email", family.replace('-', "_"));
            assert!(found.has(member.as_bytes()) && found.has(family.as_bytes()), "{family}");
            assert!(!found.has(&family.as_bytes()[..family.len() - 1]), "{family}");
        }
    }

    #[test]
    fn what_browsers_send_has_other_marks() {
        let (names, families) = reserved();
        let found = Spellings::new(names.iter(), &families);
        let usual = [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "content-length",
            "content-type",
            "cookie",
            "dnt",
            "host",
            "if-modified-since",
            "if-none-match",
            "origin",
            "pragma",
            "priority",
            "referer",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "te",
            "upgrade-insecure-requests",
            "user-agent",
        ];
        let compared: BTreeSet<_> =
            usual.into_iter().filter(|name| found.may_have(name.as_bytes())).collect();
        assert!(compared.len() <= 3, "{compared:?}");
        assert!(usual.iter().all(|name| !found.has(name.as_bytes())));
    }

    #[test]
    fn the_empty_name_and_long_ones_are_none() {
        let names = parsed(&["x-user"]);
        let found = Spellings::new(names.iter(), &parsed(&["x-ssl-"]));
        assert!(
            !found.has(b"") && !found.has(b"x") && !found.has(&[b'x'; 70_000]) && !found.has(b"\0\0\0\0")
        );
        assert!(found.has(&[&b"X.SSL."[..], &[b'a'; 70_000]].concat()));
    }
    #[test]
    fn names_that_differ_in_the_middle_alone_have_other_marks() {
        let names = parsed(&["x-user"]);
        let found = Spellings::new(names.iter(), &[]);
        let alike = (b'a'..=b'z').filter(|middle| *middle != b's');
        let alike: Vec<_> =
            alike.filter(|middle| found.may_have(&[b'x', b'-', b'u', *middle, b'e', b'r'])).collect();
        assert!(alike.len() <= 1 && found.may_have(b"X_User"), "{alike:?}");
    }
}
