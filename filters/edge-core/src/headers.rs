//! One snapshot of a header map, as the host handed it over.

use core::fmt;

/// Where an entry's name and value lie in the snapshot's buffer.
#[derive(Clone, Copy)]
struct Entry {
    name: (usize, usize),
    value: (usize, usize),
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
        Ok(Self { blob, entries })
    }

    /// Builds a map from pairs; for tests, the command line and anything else without a host.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            let name = headers.append(name.to_ascii_lowercase().as_bytes());
            let value = headers.append(value);
            headers.entries.push(Entry { name, value });
        }
        headers
    }

    fn append(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.blob.len();
        self.blob.extend_from_slice(bytes);
        (start, self.blob.len())
    }

    fn slice(&self, (start, end): (usize, usize)) -> &[u8] {
        self.blob.get(start..end).unwrap_or_default()
    }

    /// All pairs, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (self.slice(e.name), self.slice(e.value)))
    }

    /// The first value under `name` (lower case). Where a second value would matter, use [`Headers::all`].
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, v)| v)
    }

    /// Every value under `name` (lower case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, v)| v)
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
    let count = read_u32(blob, 0)?;
    let mut sizes_at = 4_usize;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    if at > blob.len() {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let name_size = read_u32(blob, sizes_at)?;
        let value_size = read_u32(blob, sizes_at.checked_add(4)?)?;
        sizes_at = sizes_at.checked_add(8)?;
        let name = (at, at.checked_add(name_size)?);
        let start = name.1.checked_add(1)?;
        let value = (start, start.checked_add(value_size)?);
        at = value.1.checked_add(1)?;
        entries.push(Entry { name, value });
    }
    (at <= blob.len()).then_some(entries)
}

fn read_u32(blob: &[u8], at: usize) -> Option<usize> {
    let bytes = blob.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn an_empty_blob_is_an_empty_map() {
        assert!(Headers::from_blob(Vec::new()).unwrap().is_empty());
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
