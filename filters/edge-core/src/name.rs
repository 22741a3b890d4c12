use core::fmt;

/// A header name as it may stand in a policy: an RFC 9110 token, kept in the spelling the policy uses and compared in
/// lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName {
    lower: String,
}

impl HeaderName {
    /// Parses a field name (RFC 9110 section 5.1). Pseudo headers (`:path`) are not field names.
    ///
    /// # Errors
    /// Says what a name may be made of.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_token = !text.is_empty() && text.bytes().all(is_token_byte);
        if !is_token {
            return Err("a header name: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 section 5.1)");
        }
        Ok(Self { lower: text.to_ascii_lowercase() })
    }

    /// The name in lower case, as hosts keep it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.lower
    }

    /// Whether `other` is this name to *somebody*: compared without case, and with all punctuation alike, because backends
    /// that turn headers into variables (CGI and its heirs) cannot tell `X_User_Role` or `X.User.Role` from `X-User-Role`.
    #[must_use]
    pub fn is_spelt_like(&self, other: &[u8]) -> bool {
        spelt_alike(self.lower.as_bytes(), other)
    }
}

/// What a byte of a name is to somebody: letters without case, and all punctuation alike.
#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which would say so")]
const FOLDED: [u8; 256] = {
    let mut folded = [b'-'; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        if byte.is_ascii_alphanumeric() {
            folded[byte as usize] = byte.to_ascii_lowercase();
        }
        byte = byte.saturating_add(1);
    }
    folded
};

/// A number below 2^`bits`, of which numbers that lie close together have different ones; `bits` is from 1 to 32. Fibonacci hashing: the
/// upper bits of a product with 2^32 divided by the golden ratio.
#[inline]
#[must_use]
pub const fn fibonacci_hash(number: u32, bits: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1) >> u32::BITS.saturating_sub(bits)
}

/// The same byte for all that [`HeaderName::is_spelt_like`] takes for one.
#[must_use]
#[inline]
pub fn folded(byte: u8) -> u8 {
    FOLDED.get(usize::from(byte)).copied().unwrap_or(byte)
}

/// Whether two names are one to somebody: see [`HeaderName::is_spelt_like`].
#[must_use]
#[inline]
pub fn spelt_alike(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| folded(*a) == folded(*b))
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lower)
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn underscore_and_case_do_not_hide_a_name() {
        let role = HeaderName::parse("X-User-Role").unwrap();
        assert!(role.is_spelt_like(b"x_user-role"));
        assert!(role.is_spelt_like(b"X_User_Role"));
        assert!(role.is_spelt_like(b"x.user.role"));
        assert!(!role.is_spelt_like(b"x-user-rolex"));
        assert!(!role.is_spelt_like(b"x-user-id"));
    }

    #[test]
    fn only_tokens_are_names() {
        for bad in ["", "a b", ":path", "x\r\ny", "é"] {
            assert!(HeaderName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_shown_in_lower_case() {
        assert_eq!(HeaderName::parse("X-User-Role").unwrap().to_string(), "x-user-role");
    }
}
