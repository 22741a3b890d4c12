//! The id that joins a request's log lines, its upstream request and its answer.

use portcullis_edge_core::Headers;

pub(crate) const HEADER: &str = "x-request-id";

/// Longest id taken over from outside, in bytes.
const MAX_LENGTH: usize = 128;

/// A request's id.
#[derive(Debug)]
pub(crate) enum RequestId {
    /// The one in the request's headers, found fit.
    InHeaders,
    /// One of ours.
    Ours(String),
}

impl RequestId {
    /// The id a trusted party put into `headers`, if there is exactly one and it is fit for a log line and a header; else a
    /// new one from 16 random bytes.
    pub fn choose(headers: &Headers, trusted: bool, random: impl FnOnce() -> [u8; 16]) -> Self {
        let mut given = headers.all(HEADER);
        let fit = given.next().is_some_and(is_fit) && given.next().is_none();
        if trusted && fit { Self::InHeaders } else { Self::Ours(uuid_v4(random())) }
    }

    /// The id that an answer carries which the proxy gave before any filter saw the request; else a new one.
    pub fn of_answer(answer: &Headers, random: impl FnOnce() -> [u8; 16]) -> Self {
        let given = answer.first(HEADER).filter(|id| is_fit(id)).and_then(|id| core::str::from_utf8(id).ok());
        Self::Ours(given.map_or_else(|| uuid_v4(random()), str::to_owned))
    }

    pub fn text<'a>(&'a self, headers: &'a Headers) -> &'a str {
        match self {
            Self::Ours(id) => id,
            Self::InHeaders => {
                headers.first(HEADER).and_then(|id| core::str::from_utf8(id).ok()).unwrap_or_default()
            }
        }
    }

    /// The id, if the request's headers do not carry it yet.
    pub fn to_send(&self) -> Option<&str> {
        match self {
            Self::Ours(id) => Some(id),
            Self::InHeaders => None,
        }
    }
}

/// Bytes that an id may be made of: looked up, because it is asked of every byte of every request's id.
#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which would say so")]
const FIT: [bool; 256] = {
    let mut fit = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        let is_mark = matches!(byte, b'-' | b'_' | b'.' | b':' | b'+' | b'/' | b'=');
        fit[byte as usize] = is_mark || byte.is_ascii_alphanumeric();
        byte = byte.saturating_add(1);
    }
    fit
};

fn is_fit(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| FIT.get(usize::from(*byte)).copied().unwrap_or_default();
    !id.is_empty() && id.len() <= MAX_LENGTH && id.iter().all(is_plain)
}

/// RFC 9562 section 5.4.
fn uuid_v4(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let versioned = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn chosen(ids: &[&[u8]], trusted: bool) -> String {
        let headers = Headers::from_pairs(ids.iter().map(|id| (HEADER, *id)));
        RequestId::choose(&headers, trusted, || [0xff; 16]).text(&headers).to_owned()
    }

    const OURS: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

    #[test]
    fn a_trusted_id_is_kept_and_a_strangers_replaced() {
        assert_eq!(chosen(&[b"abc-1"], true), "abc-1");
        assert_eq!(chosen(&[b"abc-1"], false), OURS);
        assert_eq!(chosen(&[], true), OURS);
    }

    #[test]
    fn an_id_that_could_break_a_line_or_is_ambiguous_is_replaced_even_if_trusted() {
        let long = vec![b'a'; MAX_LENGTH + 1];
        for ids in [&[&b"a\nb"[..]][..], &[b"\xff"], &[b""], &[b"a b"], &[&long], &[b"a", b"b"]] {
            assert_eq!(chosen(ids, true), OURS, "{ids:?}");
        }
    }
}
