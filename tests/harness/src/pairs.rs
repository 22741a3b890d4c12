//! The serialized form of a header map: count, sizes, then NUL-terminated names and values, all integers little-endian.

/// Larger blobs than this become an empty list, as in Envoy.
const MAX_BLOB: usize = 1024 * 1024;
/// More pairs than this become an empty list, as in Envoy.
const MAX_PAIRS: usize = 1024;

/// Serializes pairs. No pairs still give a count of zero: callers that want "nothing at all" check before.
pub(crate) fn serialize<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let mut out = (pairs.clone().count() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs.clone() {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend(name);
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}

/// Parses pairs; what is malformed or too large gives no pairs at all, as in Envoy.
pub(crate) fn parse(blob: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    if blob.len() > MAX_BLOB {
        return Vec::new();
    }
    try_parse(blob).unwrap_or_default()
}

fn try_parse(blob: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let count = word(blob, 0)?;
    if count > MAX_PAIRS {
        return None;
    }
    let mut at = 4 + count * 8;
    let mut pairs = Vec::with_capacity(count);
    for i in 0..count {
        let name = terminated(blob, &mut at, word(blob, 4 + i * 8)?)?;
        let value = terminated(blob, &mut at, word(blob, 8 + i * 8)?)?;
        pairs.push((name, value));
    }
    (at == blob.len()).then_some(pairs)
}

fn word(blob: &[u8], at: usize) -> Option<usize> {
    let bytes = blob.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

fn terminated(blob: &[u8], at: &mut usize, len: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(len)?;
    let text = blob.get(*at..end)?.to_vec();
    if blob.get(end) != Some(&0) {
        return None;
    }
    *at = end + 1;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_round_trip_with_their_bytes() {
        let pairs = [(b"a".to_vec(), b"\xff\0x".to_vec()), (b"".to_vec(), b"".to_vec())];
        let blob = serialize(pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
        assert_eq!(parse(&blob), pairs);
    }

    #[test]
    fn a_blob_that_lies_about_its_lengths_gives_no_pairs() {
        let mut blob = serialize([(&b"name"[..], &b"value"[..])].into_iter());
        blob[4] = 0xff;
        assert!(parse(&blob).is_empty());
        assert!(parse(&u32::MAX.to_le_bytes()).is_empty());
    }

    #[test]
    fn bytes_behind_the_last_pair_void_them_all() {
        let mut blob = serialize([(&b"name"[..], &b"value"[..])].into_iter());
        blob.push(0);
        assert!(parse(&blob).is_empty());
    }

    #[test]
    fn more_than_a_thousand_and_twenty_four_pairs_give_none() {
        let pair = (&b"a"[..], &b"b"[..]);
        assert_eq!(parse(&serialize(std::iter::repeat_n(pair, 1024))).len(), 1024);
        assert!(parse(&serialize(std::iter::repeat_n(pair, 1025))).is_empty());
    }
}
