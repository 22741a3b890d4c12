//! gRPC clients get the proxy's errors as 200 with a `grpc-status`. In metrics and logs they are the HTTP errors they are.

use portcullis_edge_core::Headers;

/// The HTTP status that a response's `grpc-status` stands for (google.rpc.Code); `None` where it has none, or 0.
pub(crate) fn http_equivalent(response: &Headers) -> Option<u16> {
    let code: u8 = core::str::from_utf8(response.first("grpc-status")?).ok()?.parse().ok()?;
    match code {
        0 => None,
        3 => Some(400),
        16 => Some(401),
        7 => Some(403),
        5 | 12 => Some(404),
        8 => Some(429),
        14 => Some(503),
        4 => Some(504),
        _ => Some(500),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_code_stands_for_the_status_that_an_http_client_would_have_got() {
        for (code, status) in [
            (&b"0"[..], None),
            (b"1", Some(500)),
            (b"3", Some(400)),
            (b"4", Some(504)),
            (b"5", Some(404)),
            (b"7", Some(403)),
            (b"8", Some(429)),
            (b"12", Some(404)),
            (b"13", Some(500)),
            (b"14", Some(503)),
            (b"16", Some(401)),
            (b"", None),
            (b"ok", None),
        ] {
            let headers = Headers::from_pairs([("grpc-status", code)]);
            assert_eq!(http_equivalent(&headers), status, "{}", code.escape_ascii());
        }
        assert_eq!(http_equivalent(&Headers::default()), None);
    }
}
