//! One snapshot of a header map, as the host handed it over.

use crate::fibonacci_hash;
use core::fmt;

/// Where an entry's name and value lie in the snapshot's buffer.
#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    name: (u32, u32),
    value: (u32, u32),
}

/// Tells most names apart in one comparison: a request is asked for some twenty headers, and has as many.
#[inline]
fn tag(name: &[u8]) -> u32 {
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    match name {
        [.., a, b, c] => length << 24 | u32::from_le_bytes([*a, *b, *c, 0]),
        _ => length << 24,
    }
}

/// One bit of 64, by a name's tag: what a map has no name of, it is not searched for.
#[inline]
const fn presence(tag: u32) -> u64 {
    1 << fibonacci_hash(tag, u64::BITS.trailing_zeros())
}

/// A header map: names (lower case) to bytes, in order, duplicates kept.
///
/// The map is read from the host **once**, as one blob, and parsed in place: no header is copied until somebody needs it.
/// Values are bytes because clients send bytes; a UTF-8 assumption about a header has crashed gateways before.
///
/// ```
/// use portcullis_edge_core::Headers;
/// let headers = Headers::from_pairs([("accept", b"*/*".as_slice()), ("x", b"\xff"), ("x", b"2")]);
/// assert_eq!(headers.first("accept"), Some(b"*/*".as_slice()));
/// assert_eq!(headers.all("x").count(), 2);
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    blob: Vec<u8>,
    entries: Vec<Entry>,
    /// The bits of all names.
    present: u64,
}

/// The blob is not a serialised header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadersError;

impl Headers {
    /// Parses the proxy-wasm serialisation of a map: a little-endian `u32` count, then for each pair the `u32` sizes of
    /// name and value, then each name and value followed by one NUL.
    ///
    /// # Errors
    /// When sizes and blob disagree. An empty blob is an empty map: hosts answer that where a map is gone.
    pub fn from_blob(blob: Vec<u8>) -> Result<Self, HeadersError> {
        if blob.is_empty() {
            return Ok(Self::default());
        }
        let entries = parse(&blob).ok_or(HeadersError)?;
        let present = entries.iter().fold(0, |all, entry| all | presence(entry.tag));
        Ok(Self { blob, entries, present })
    }

    /// Builds a map from pairs; for tests, the command line and anything else without a host.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            let lower = name.to_ascii_lowercase();
            let name = headers.append(lower.as_bytes());
            let value = headers.append(value);
            let tag = tag(lower.as_bytes());
            headers.present |= presence(tag);
            headers.entries.push(Entry { tag, name, value });
        }
        headers
    }

    fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.blob.len();
        self.blob.extend_from_slice(bytes);
        // A map of 4 GiB would be empty from there on.
        (u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(self.blob.len()).unwrap_or(u32::MAX))
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        self.blob.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The entries under `name` (lower case), in order.
    #[inline]
    fn under<'h>(&'h self, name: &[u8]) -> impl Iterator<Item = &'h Entry> {
        let wanted = tag(name);
        let searched = if self.present & presence(wanted) == 0 { &[] } else { &*self.entries };
        searched.iter().filter(move |entry| entry.tag == wanted && self.slice(entry.name) == name)
    }

    /// All pairs, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (self.slice(e.name), self.slice(e.value)))
    }

    /// The first value under `name` (lower case). Where a second value would matter, use [`Headers::all`].
    #[must_use]
    #[inline]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.under(name.as_bytes()).next().map(|entry| self.slice(entry.value))
    }

    /// Every value under `name` (lower case), in order.
    pub fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.under(name.as_bytes()).map(|entry| self.slice(entry.value))
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()))
            .finish()
    }
}

fn parse(blob: &[u8]) -> Option<Vec<Entry>> {
    let (count, rest) = blob.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let sizes = rest.get(..count.checked_mul(8)?)?;
    let mut at = sizes.len().checked_add(4)?;
    let mut entries = Vec::with_capacity(count);
    for pair in sizes.chunks_exact(8) {
        let (name, value) = pair.split_first_chunk::<4>()?;
        let name = part(&mut at, *name, blob)?;
        let value = part(&mut at, value.try_into().ok()?, blob)?;
        let tag = tag(blob.get(name.0 as usize..name.1 as usize)?);
        entries.push(Entry { tag, name, value });
    }
    Some(entries)
}

/// Where the next name or value of this size lies; one NUL stands behind it.
fn part(at: &mut usize, size: [u8; 4], blob: &[u8]) -> Option<(u32, u32)> {
    let start = *at;
    let end = start.checked_add(usize::try_from(u32::from_le_bytes(size)).ok()?)?;
    *at = end.checked_add(1)?;
    (*at <= blob.len()).then_some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn blob(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
        for (n, v) in pairs {
            out.extend((n.len() as u32).to_le_bytes());
            out.extend((v.len() as u32).to_le_bytes());
        }
        for part in pairs.iter().flat_map(|(n, v)| [n, v]) {
            out.extend_from_slice(part);
            out.push(0);
        }
        out
    }

    #[test]
    fn keeps_order_duplicates_and_bytes_that_are_no_text() {
        let headers = Headers::from_blob(blob(&[(b":path", b"/a"), (b"x", b"\xff"), (b"x", b"")])).unwrap();
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [(&b":path"[..], &b"/a"[..]), (&b"x"[..], &b"\xff"[..]), (&b"x"[..], &b""[..])]);
    }

    #[test]
    fn names_that_look_alike_at_their_end_or_are_short_stay_apart() {
        let pairs = [
            (&b"x-user-id"[..], &b"1"[..]),
            (b"y-user-id", b"2"),
            (b"x-id", b"3"),
            (b"id", b"4"),
            (b"te", b"5"),
            (b"", b"6"),
        ];
        let headers = Headers::from_blob(blob(&pairs)).unwrap();
        for (name, value) in pairs {
            let name = core::str::from_utf8(name).unwrap();
            assert_eq!(headers.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        assert_eq!(headers.first("z-user-id"), None);
    }

    #[test]
    fn an_empty_blob_is_an_empty_map() {
        assert!(Headers::from_blob(Vec::new()).unwrap().is_empty());
        let two = Headers::from_pairs([("x", b"1".as_slice()), ("x", b"2")]);
        assert!(!two.is_empty());
        assert_eq!(two.len(), 2);
    }

    /// What makes a search short: names of one request have tags of their own, and rarely share a bit.
    #[test]
    fn usual_names_are_told_apart_without_comparing_them() {
        let names = [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "content-length",
            "content-type",
            "cookie",
            "origin",
            "te",
            "traceparent",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id",
        ];
        let tags = BTreeSet::from(names.map(|name| tag(name.as_bytes())));
        assert_eq!(tags.len(), names.len());
        let bits = tags.iter().fold(0, |bits, tag| bits | presence(*tag));
        assert!(bits.count_ones() >= 12, "{bits:b}");
    }

    #[test]
    fn a_blob_cut_anywhere_is_an_error_and_never_a_panic() {
        let whole = blob(&[(b"name", b"value"), (b"other", b"\x00\x01")]);
        for end in 1..whole.len() {
            assert_eq!(Headers::from_blob(whole[..end].to_vec()).err(), Some(HeadersError), "cut at {end}");
        }
    }

    #[test]
    fn sizes_that_overflow_are_an_error() {
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        bytes.extend(u32::MAX.to_le_bytes());
        assert!(Headers::from_blob(bytes).is_err());
        assert!(Headers::from_blob(u32::MAX.to_le_bytes().to_vec()).is_err());
    }

    #[test]
    fn debug_shows_names_and_never_values() {
        let shown = format!("{:?}", Headers::from_pairs([("Authorization", b"Bearer s3cret".as_slice())]));
        assert_eq!(shown, r#"["authorization"]"#);
    }
}
