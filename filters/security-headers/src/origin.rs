//! Origins, and families of them (Fetch standard, section 3.2).

/// An origin, or a family of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginRule {
    /// Every origin.
    Any,
    /// This one.
    Exact(String),
    /// Subdomains: what stands before and after the `*`.
    Subdomains {
        /// `https://`
        scheme: String,
        /// `.example.com`
        suffix: String,
    },
    /// A part of one label is free: what stands before and after the `*`.
    Label {
        /// `https://pr-`
        before: String,
        /// `.example.com`
        after: String,
    },
    /// The port is free: what stands before it, such as `http://localhost`.
    AnyPort(String),
}

impl OriginRule {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => return Some(Self::Any),
            "null" => return Some(Self::Exact("null".to_owned())),
            _ => {}
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let is_web = matches!(scheme, "http" | "https");
        match authority.split_once('*') {
            None => is_plain(authority).then(|| Self::Exact(lower.clone())),
            // An app has one origin: all of a scheme would be all apps.
            Some(_) if !is_web => None,
            Some((host, "")) => {
                let host = host.strip_suffix(':').filter(|host| is_host(host))?;
                Some(Self::AnyPort(format!("{scheme}://{host}")))
            }
            Some(("", suffix)) if suffix.starts_with('.') => is_plain(suffix)
                .then(|| Self::Subdomains { scheme: format!("{scheme}://"), suffix: suffix.to_owned() }),
            Some((before, after)) => is_label_family(before, after)
                .then(|| Self::Label { before: format!("{scheme}://{before}"), after: after.to_owned() }),
        }
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Subdomains { scheme, suffix } => between(origin, scheme, suffix, is_label_byte),
            Self::Label { before, after } => {
                between(origin, before, after, |b| b != b'.' && is_label_byte(b))
            }
            Self::AnyPort(host) => origin
                .strip_prefix(host.as_str())
                .is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_port)),
        }
    }
}

/// Whether a free part between the two belongs to one label of a name that has more.
fn is_label_family(before: &str, after: &str) -> bool {
    (before.is_empty() || is_plain(before)) && !before.contains(':') && is_plain(after) && after.contains('.')
}

/// Whether there is something between the two, and all of it as it should be.
fn between(origin: &str, before: &str, after: &str, is_fine: impl Fn(u8) -> bool) -> bool {
    let middle = origin.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    middle.is_some_and(|middle| !middle.is_empty() && middle.bytes().all(is_fine))
}

fn is_label_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'.'
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 3986 section 3.1. `ftp` and `file` are schemes whose pages browsers give the origin `null`.
fn is_scheme(text: &str) -> bool {
    let is_known_opaque = matches!(text, "ftp" | "file" | "data" | "blob" | "about");
    let is_form = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    is_form && !is_known_opaque
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b))
}

fn is_host(text: &str) -> bool {
    is_plain(text) && (!text.contains(':') || text.ends_with(']'))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn allows(rule: &str, origin: &str) -> bool {
        OriginRule::parse(rule).unwrap_or_else(|| panic!("{rule} is refused")).allows(origin)
    }

    #[test]
    fn an_app_has_an_origin_of_its_own() {
        for origin in [
            "capacitor://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
            "ionic://localhost",
        ] {
            assert!(allows(origin, origin), "{origin}");
        }
        assert!(!allows("capacitor://localhost", "http://localhost"));
    }

    #[test]
    fn a_free_port_is_a_port_and_nothing_else() {
        for origin in ["http://localhost:3000", "http://localhost:65535", "http://localhost"] {
            assert!(allows("http://localhost:*", origin), "{origin}");
        }
        for other in [
            "http://localhost.evil.net",
            "http://localhost:80.evil.net",
            "http://localhost:",
            "https://localhost:1",
            "http://localhost:123456",
        ] {
            assert!(!allows("http://localhost:*", other), "{other}");
        }
        assert!(allows("http://[::1]:*", "http://[::1]:3000"));
    }

    #[test]
    fn a_part_of_a_label_is_free_and_no_dot_is_in_it() {
        assert!(allows("https://pr-*.example.com", "https://pr-17.example.com"));
        for other in [
            "https://pr-.example.com",
            "https://pr-1.evil.example.com",
            "https://pr-1.example.com.evil.net",
            "https://xpr-1.example.com",
        ] {
            assert!(!allows("https://pr-*.example.com", other), "{other}");
        }
        assert!(allows("https://*-shop.example.com", "https://eu-shop.example.com"));
        assert!(!allows("https://*-shop.example.com", "https://evil.eu-shop.example.com"));
    }

    #[test]
    fn what_is_no_family_of_one_owner_is_refused() {
        for wrong in [
            "chrome-extension://*",
            "https://*",
            "https://pr-*",
            "https://a*b",
            "file://x",
            "https://*:*",
            "https://a.*.b:*",
            "://x",
            "https://x/y",
            "https://",
            "capacitor://localhost:*",
            "chrome-extension://*.example.com",
            "chrome-extension://pr-*.example.com",
            "https://a/b*.example.com",
            "https://a:1*.example.com",
            "https://*/.example.com",
            "https://*.example.com/",
            "http://a/b:*",
            "http://a:1:*",
            "http://:*",
        ] {
            assert!(OriginRule::parse(wrong).is_none(), "{wrong}");
        }
    }
}
