use crate::Headers;

/// What the client asked for, read from the host once.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The request's headers, pseudo headers (`:method`, `:path`, `:authority`) included.
    pub headers: Headers,
    /// The peer's address as the host tells it (`ip:port`, `[ip]:port` or `ip`); empty where it was not asked for.
    pub peer: Vec<u8>,
}

impl RequestHead {
    /// `:method`; empty when the host gave none.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.headers.first(":method").unwrap_or_default()
    }

    /// `:authority` (in HTTP/1.1 `Host`); empty when there is none.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.headers.first(":authority").unwrap_or_default()
    }

    /// `:path` with its query; empty when there is none (CONNECT, broken requests).
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.headers.first(":path").unwrap_or_default()
    }

    /// Whether the client speaks gRPC (`content-type: application/grpc`, `application/grpc+proto`, ...): a denial then
    /// needs a `grpc-status`.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        let content_type = self.headers.first("content-type").unwrap_or_default();
        content_type
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn head(content_type: &str) -> RequestHead {
        let headers = Headers::from_pairs([("content-type", content_type.as_bytes())]);
        RequestHead { headers, peer: Vec::new() }
    }

    #[test]
    fn grpc_is_told_by_its_content_type_and_not_by_a_lookalike() {
        assert!(head("application/grpc").is_grpc());
        assert!(head("application/grpc+proto").is_grpc());
        assert!(!head("application/grpc-web").is_grpc());
        assert!(!head("application/json").is_grpc());
    }

    #[test]
    fn what_a_client_asked_for_is_in_the_pseudo_headers() {
        let pairs = [(":method", b"PUT".as_slice()), (":authority", b"a.example:8080"), (":path", b"/a?b=c")];
        let head = RequestHead { headers: Headers::from_pairs(pairs), peer: Vec::new() };
        let asked = (head.method(), head.authority(), head.path());
        assert_eq!(asked, (&b"PUT"[..], &b"a.example:8080"[..], &b"/a?b=c"[..]));
        let nothing = RequestHead::default();
        assert!(nothing.method().is_empty() && nothing.authority().is_empty() && nothing.path().is_empty());
    }
}
