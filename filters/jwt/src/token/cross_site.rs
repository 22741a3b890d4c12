//! Whether a page of another site has made a browser send a request with a cookie (cross-site request forgery).
//!
//! A browser attaches cookies by itself, so a token in a cookie says who owns the browser and not whose page asks. The headers that
//! tell are `Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454 section 7); a page can write neither. A request with
//! neither comes from an old browser or from no browser, and cannot be told from a forged one.

use portcullis_edge_core::RequestHead;

/// Whether the request changes something, as far as its method says: everything but the safe methods (RFC 9110 section 9.2.1). The
/// handshake of a WebSocket is a GET and opens a channel for everything else.
pub(crate) fn is_unsafe(head: &RequestHead) -> bool {
    let is_safe = matches!(head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    let opens_channel = head.headers.all("upgrade").any(|value| !value.is_empty());
    !is_safe || opens_channel
}

/// Whether a page of this very host asks, the user himself, or a page of one of `origins`.
pub(crate) fn is_allowed(head: &RequestHead, origins: &[String]) -> bool {
    let Ok(site) = only(head, "sec-fetch-site") else { return false };
    let Ok(origin) = only(head, "origin") else { return false };
    let is_listed = origin.is_some_and(|origin| origins.iter().any(|listed| listed.as_bytes() == origin));
    is_listed
        || match site {
            Some(site) => matches!(site, b"same-origin" | b"none"),
            // A browser without fetch metadata: the origin's host must be the one that is asked.
            None => origin.is_some_and(|origin| is_of_host(origin, head)),
        }
}

/// The only value of a header, or none; two are no answer.
fn only<'h>(head: &'h RequestHead, name: &'static str) -> Result<Option<&'h [u8]>, ()> {
    let mut values = head.headers.all(name);
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The scheme is not compared: what was TLS for the client may be plain text here. `null` is nobody's origin.
fn is_of_host(origin: &[u8], head: &RequestHead) -> bool {
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    let asked = head.headers.first(":authority").filter(|asked| !asked.is_empty());
    host.zip(asked).is_some_and(|(host, asked)| host.eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_edge_core::Headers;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn head(pairs: &[(&str, &str)]) -> RequestHead {
        let pairs = pairs.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers = Headers::from_pairs([(":authority", &b"shop.example"[..])].into_iter().chain(pairs));
        RequestHead { headers, peer: Vec::new() }
    }

    #[test]
    fn only_the_safe_methods_are_safe_and_a_websocket_is_not() {
        let method = |method| is_unsafe(&head(&[(":method", method)]));
        assert_eq!(["GET", "HEAD", "OPTIONS", "TRACE"].map(method), [false; 4]);
        assert_eq!(["POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", ""].map(method), [true; 7]);
        assert!(is_unsafe(&head(&[(":method", "GET"), ("upgrade", "websocket")])));
    }

    #[test]
    fn a_page_of_another_site_may_not_and_one_of_this_or_a_listed_one_may() {
        let listed = ["https://app.example".to_owned()];
        let is_allowed = |pairs: &[(&str, &str)]| is_allowed(&head(pairs), &listed);
        for pairs in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://shop.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")],
            &[("origin", "https://app.example")],
            &[("origin", "https://shop.example")],
            &[("origin", "http://SHOP.example")],
        ] {
            assert!(is_allowed(pairs), "{pairs:?}");
        }
        for pairs in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "https://shop.example.evil.example")],
            &[("origin", "https://evil.example/https://shop.example")],
            &[("origin", "shop.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://blog.shop.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://app.example"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "SAME-ORIGIN")],
        ] {
            assert!(!is_allowed(pairs), "{pairs:?}");
        }
    }
}
