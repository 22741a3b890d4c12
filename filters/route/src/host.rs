//! Host names: which routes a request's authority is asked at.
//!
//! A name is compared without its port, without regard to case, and without one dot at its end. The exact name wins over every
//! wildcard, a longer wildcard over a shorter one, and what no route names is the default host. A host has its own routes
//! and no others: a path that only another host has is no path of it.

use std::collections::HashMap;

/// A host name, or a family of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// `*.example.com`: what ends in `.example.com` and has something before it. The text begins with the dot.
    Wildcard(String),
}

impl HostPattern {
    /// Parses `api.example.com` or `*.example.com`.
    ///
    /// ```
    /// use portcullis_route::HostPattern;
    /// assert_eq!(HostPattern::parse("*.Example.com").unwrap().to_string(), "*.example.com");
    /// assert!(HostPattern::parse("api.example.com:443").is_err());
    /// ```
    ///
    /// # Errors
    /// A sentence that says what a host looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix('*') {
            Some(suffix) => match suffix.strip_prefix('.').is_some_and(is_name) {
                true => Ok(Self::Wildcard(suffix.to_owned())),
                false => Err(EXPECTED.to_owned()),
            },
            None if is_name(&lower) => Ok(Self::Exact(lower)),
            None => Err(EXPECTED.to_owned()),
        }
    }
}

const EXPECTED: &str =
    "a host name without port such as `api.example.com`, or `*.example.com` for all names below one";

/// Labels of letters, digits, `-` and `_` with dots between (RFC 1123 section 2.1, and what DNS has beside it); so is an IPv4 address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl core::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// Finds the virtual host of an authority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    exact: HashMap<Vec<u8>, usize>,
    /// The longest first.
    wildcards: Vec<(Vec<u8>, usize)>,
}

impl Hosts {
    pub fn build<'a>(patterns: impl Iterator<Item = (&'a HostPattern, usize)>) -> Self {
        let mut hosts = Self::default();
        for (pattern, index) in patterns {
            match pattern {
                HostPattern::Exact(name) => drop(hosts.exact.insert(name.clone().into_bytes(), index)),
                HostPattern::Wildcard(suffix) => hosts.wildcards.push((suffix.clone().into_bytes(), index)),
            }
        }
        hosts.wildcards.sort_by_key(|(suffix, _)| core::cmp::Reverse(suffix.len()));
        hosts
    }

    /// Whether routes name hosts at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// The virtual host of `authority`, if any route names it.
    pub fn find(&self, authority: &[u8]) -> Option<usize> {
        let name = bare(authority).to_ascii_lowercase();
        if let Some(index) = self.exact.get(&name) {
            return Some(*index);
        }
        let is_below = |suffix: &[u8]| name.len() > suffix.len() && name.ends_with(suffix);
        self.wildcards.iter().find(|(suffix, _)| is_below(suffix)).map(|(_, index)| *index)
    }
}

/// An authority without its port, and without the dot that ends an absolute name.
fn bare(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|b| *b == b':');
    // A colon inside brackets belongs to an IPv6 address.
    let port = colon.filter(|at| !authority.iter().skip(*at).any(|b| *b == b']'));
    let name = port.and_then(|at| authority.get(..at)).unwrap_or(authority);
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn hosts(patterns: &[&str]) -> Hosts {
        let parsed: Vec<_> = patterns.iter().map(|text| HostPattern::parse(text).unwrap()).collect();
        Hosts::build(parsed.iter().enumerate().map(|(index, pattern)| (pattern, index)))
    }

    #[test]
    fn one_name_in_all_its_spellings_is_one_host() {
        let hosts = hosts(&["api.example.com"]);
        for spelling in [
            "api.example.com",
            "API.Example.COM",
            "api.example.com:443",
            "api.example.com.",
            "api.example.com.:80",
        ] {
            assert_eq!(hosts.find(spelling.as_bytes()), Some(0), "{spelling}");
        }
        for other in [
            "example.com",
            "xapi.example.com",
            "api.example.com..",
            "api.example.com.evil.net",
            "",
            ":80",
            "[::1]:80",
        ] {
            assert_eq!(hosts.find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_exact_name_wins_and_then_the_longest_wildcard() {
        let hosts = hosts(&["*.example.com", "*.shop.example.com", "eu.shop.example.com"]);
        assert_eq!(hosts.find(b"eu.shop.example.com"), Some(2));
        assert_eq!(hosts.find(b"us.shop.example.com"), Some(1));
        assert_eq!(hosts.find(b"shop.example.com"), Some(0));
        assert_eq!(hosts.find(b"example.com"), None);
        assert_eq!(hosts.find(b".example.com"), None);
        assert_eq!(hosts.find(b"\xff.example.com"), Some(0));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for wrong in
            ["", "*", "*.", "*example.com", "a..b", "a.b.", "a:80", "a.*.b", "https://a", "a b", "[::1]"]
        {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
