//! Who issued a token: `iss`, which may have the tenant in it.

use core::fmt;

/// What stands for the tenant in an issuer of Microsoft's identity platform: the token's claim `tid`.
const TENANT: &str = "{tenantid}";

/// An issuer's name: a text, compared exactly (RFC 7519 section 4.1.1), or a text with `{tenantid}` in it, which stands for the value of
/// the token's own claim `tid`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer {
    text: Box<str>,
    /// Where the tenant stands.
    tenant_at: Option<usize>,
}

/// What a token says of its issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssuedBy<'t> {
    /// `iss`.
    pub iss: Option<&'t str>,
    /// `tid`.
    pub tenant: Option<&'t str>,
}

impl Issuer {
    /// The issuer of this name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), tenant_at: text.find(TENANT) }
    }

    /// Whether the tenant is left open.
    #[must_use]
    pub fn has_tenant(&self) -> bool {
        self.tenant_at.is_some()
    }

    /// Whether the token is this issuer's.
    #[must_use]
    pub fn issued(&self, by: IssuedBy<'_>) -> bool {
        let Some(iss) = by.iss else { return false };
        match (self.tenant_at, by.tenant) {
            (None, _) => *self.text == *iss,
            (Some(_), None) => false,
            (Some(_), Some(tenant)) => self.tenant_in(iss) == Some(tenant) && is_tenant(tenant),
        }
    }

    /// Whether one token could be of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.text == other.text
            || self.tenant_in(&other.text).is_some()
            || other.tenant_in(&self.text).is_some()
    }

    /// What stands in `iss` where the tenant stands here.
    fn tenant_in<'i>(&self, iss: &'i str) -> Option<&'i str> {
        let (before, rest) = self.text.split_at_checked(self.tenant_at?)?;
        iss.strip_prefix(before)?.strip_suffix(rest.strip_prefix(TENANT)?)
    }
}

/// A tenant is an id or a domain: nothing that could reach over into the rest of the issuer.
fn is_tenant(tenant: &str) -> bool {
    !tenant.is_empty() && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.text.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TEMPLATE: &str = "https://login.example/{tenantid}/v2.0";

    fn issued(issuer: &str, iss: &str, tenant: Option<&str>) -> bool {
        Issuer::new(issuer).issued(IssuedBy { iss: Some(iss), tenant })
    }

    #[test]
    fn a_tenant_in_the_issuer_is_the_token_s_own_and_nothing_but_a_tenant() {
        assert!(issued(TEMPLATE, "https://login.example/1b-2c/v2.0", Some("1b-2c")));
        for (iss, tenant) in [
            ("https://login.example/1b-2c/v2.0", None),
            ("https://login.example/1b-2c/v2.0", Some("1b-2d")),
            ("https://login.example//v2.0", Some("")),
            ("https://login.example/a/b/v2.0", Some("a/b")),
            ("https://login.example/{tenantid}/v2.0", Some("{tenantid}")),
            ("https://login.example/1b-2c/v1.0", Some("1b-2c")),
        ] {
            assert!(!issued(TEMPLATE, iss, tenant), "{iss} {tenant:?}");
        }
        assert!(issued("https://a", "https://a", None) && !issued("https://a", "https://a/", None));
        assert!(!Issuer::new("https://a").issued(IssuedBy::default()));
    }

    #[test]
    fn two_issuers_overlap_when_one_token_could_be_of_both() {
        let overlaps = |a: &str, b: &str| Issuer::new(a).overlaps(&Issuer::new(b));
        assert!(overlaps(TEMPLATE, "https://login.example/1b-2c/v2.0"));
        assert!(overlaps("https://login.example/1b-2c/v2.0", TEMPLATE));
        assert!(overlaps("https://a", "https://a"));
        assert!(!overlaps(TEMPLATE, "https://other.example/1b-2c/v2.0"));
    }
}
