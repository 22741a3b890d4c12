/// Where a fetch goes: the pieces of an absolute http(s) URL that an Envoy callout needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `:authority`.
    pub authority: String,
    /// `:path`, query included.
    pub path: String,
}

impl Target {
    /// Parses an absolute URL. `http` or `https` only (the cluster decides about TLS), no user, no fragment, ASCII.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, ""),
        };
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        let is_path = |b: u8| b.is_ascii_graphic() && b != b'#';
        let fine = !authority.is_empty() && authority.bytes().all(is_host) && path.bytes().all(is_path);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        fine.then(|| Self { authority: authority.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_url_becomes_authority_and_path() {
        let parse = |url| Target::parse(url).map(|t| (t.authority, t.path));
        let target = |a: &str, p: &str| Some((a.to_owned(), p.to_owned()));
        assert_eq!(parse("https://idp.example/a/keys?x=1"), target("idp.example", "/a/keys?x=1"));
        assert_eq!(parse("http://[::1]:8080"), target("[::1]:8080", "/"));
        assert_eq!(parse("https://idp?x"), target("idp", "/?x"));
        for bad in [
            "",
            "idp/keys",
            "ftp://idp/",
            "https://",
            "https:///x",
            "https://u:p@idp/",
            "https://idp/a b",
            "https://idp/#x",
            "https://i\r\ndp/",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
