//! A token among the subprotocols that a WebSocket's client offers (RFC 6455 section 11.3.4): a browser can set no other header.
//!
//! Two forms are customary, and both are read. The marker stands before the token as an offer of its own (`bearer, eyJ..`), or in the
//! same offer with a dot between (`bearer.eyJ..`). A marker that begins with `base64url.` is followed by the token in base64url, as
//! Kubernetes has it (`base64url.bearer.authorization.k8s.io.ZXlK..`).

use super::base64url;
use portcullis_edge_core::Headers;
use std::borrow::Cow;

pub(super) const HEADER: &str = "sec-websocket-protocol";

/// Markers whose token is encoded once more.
const ENCODED: &str = "base64url.";

/// One offer.
enum Offer<'h> {
    /// Another subprotocol.
    Other(&'h [u8]),
    /// The marker alone; the token is the next offer.
    Marker,
    /// The marker and the token.
    Token(&'h [u8]),
}

/// The offers of a request, in their order.
fn offers<'h>(headers: &'h Headers, marker: &str) -> impl Iterator<Item = Offer<'h>> {
    let lines = headers.all(HEADER).flat_map(|line| line.split(|byte| *byte == b','));
    let words = lines.map(<[u8]>::trim_ascii).filter(|word| !word.is_empty());
    let mut is_next = false;
    words.map(move |word| {
        if core::mem::take(&mut is_next) {
            return Offer::Token(word);
        }
        match word.strip_prefix(marker.as_bytes()) {
            Some([]) => {
                is_next = true;
                Offer::Marker
            }
            Some([b'.', token @ ..]) => Offer::Token(token),
            _ => Offer::Other(word),
        }
    })
}

/// The tokens behind `marker`.
pub(super) fn tokens<'h>(headers: &'h Headers, marker: &str) -> impl Iterator<Item = Cow<'h, [u8]>> {
    let is_encoded = marker.starts_with(ENCODED);
    let tokens = offers(headers, marker).filter_map(|offer| match offer {
        Offer::Token(token) if !token.is_empty() => Some(token),
        _ => None,
    });
    // What cannot be decoded is a token all the same: a malformed one.
    tokens.map(move |token| match is_encoded.then(|| base64url::decode(token)).flatten() {
        Some(token) => Cow::Owned(token),
        None => Cow::Borrowed(token),
    })
}

/// The other offers, as a header's value; nothing if there are none.
pub(super) fn without(headers: &Headers, marker: &str) -> Option<Vec<u8>> {
    let others = offers(headers, marker).filter_map(|offer| match offer {
        Offer::Other(word) => Some(word),
        Offer::Marker | Offer::Token(_) => None,
    });
    let others: Vec<&[u8]> = others.collect();
    (!others.is_empty()).then(|| others.join(&b", "[..]))
}

/// Whether the client offers the marker and no other subprotocol. Browsers end a connection whose server takes none of their offers,
/// and the service has not seen this one.
pub(super) fn is_only(headers: &Headers, marker: &str) -> bool {
    let mut has_marker = false;
    let others = offers(headers, marker).any(|offer| {
        has_marker |= matches!(offer, Offer::Marker);
        matches!(offer, Offer::Other(_))
    });
    has_marker && !others
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(lines: &[&str], marker: &str) -> (Vec<String>, Option<String>, bool) {
        let headers = Headers::from_pairs(lines.iter().map(|line| (HEADER, line.as_bytes())));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let found = tokens(&headers, marker).map(|token| text(&token)).collect();
        (found, without(&headers, marker).map(|rest| text(&rest)), is_only(&headers, marker))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_token_stands_behind_its_marker_in_two_forms() {
        assert_eq!(read(&["bearer, a.b.c"], "bearer"), (vec!["a.b.c".to_owned()], None, true));
        assert_eq!(read(&["chat, bearer,a.b.c"], "bearer"), (vec!["a.b.c".to_owned()], some("chat"), false));
        assert_eq!(
            read(&["bearer.a.b.c", "chat, v2"], "bearer"),
            (vec!["a.b.c".to_owned()], some("chat, v2"), false)
        );
        assert_eq!(
            read(&["bearer", "a.b.c"], "bearer"),
            (vec!["a.b.c".to_owned()], None, true),
            "over two lines"
        );
    }

    #[test]
    fn kubernetes_encodes_it_once_more() {
        let marker = "base64url.bearer.authorization.k8s.io";
        let (found, rest, _) =
            read(&["base64url.bearer.authorization.k8s.io.YS5iLmM, v4.channel.k8s.io"], marker);
        assert_eq!((found, rest), (vec!["a.b.c".to_owned()], some("v4.channel.k8s.io")));
        assert_eq!(read(&["base64url.bearer.authorization.k8s.io.%%"], marker).0, ["%%"]);
    }

    #[test]
    fn what_only_looks_like_the_marker_is_another_protocol() {
        let others = "Bearer, bearers, xbearer, bearer-a";
        assert_eq!(read(&[others], "bearer"), (vec![], some(others), false));
        assert_eq!(read(&["bearer"], "bearer"), (vec![], None, true), "no token behind it");
        assert_eq!(read(&[], "bearer"), (vec![], None, false), "no offer at all");
        let joined = read(&["bearer.a.b.c"], "bearer");
        assert_eq!(joined, (vec!["a.b.c".to_owned()], None, false), "the marker alone was not offered");
        assert_eq!(read(&["bearer., chat"], "bearer"), (vec![], some("chat"), false), "an empty one");
        assert_eq!(read(&["bearer, a, bearer.b"], "bearer").0, ["a", "b"], "two are two");
    }
}
