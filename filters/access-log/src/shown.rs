//! How values are shown that a line may not have as they are.

use crate::path::holds_token;
use crate::user::{loggable_user, shortened};
use core::fmt;
use core::hash::Hasher as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use siphasher::sip::SipHasher13;
use std::borrow::Cow;

/// Bytes of a hash that are shown: 128 bits.
const SHOWN: usize = 16;

/// How users stand in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// As they are.
    #[default]
    Plain,
    /// Hashed.
    Hashed,
    /// Not at all.
    Hidden,
}

/// The key of hashes. Shown nowhere.
#[derive(Clone)]
pub(crate) struct LogKey(Option<Hmac<Sha256>>);

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(..)")
    }
}

impl LogKey {
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).ok())
    }

    /// 32 hexadecimal digits of HMAC-SHA-256.
    fn hash(&self, text: &[u8]) -> Option<String> {
        let mut mac = self.0.clone()?;
        mac.update(text);
        let hash = mac.finalize().into_bytes();
        Some(hash.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl crate::Logs {
    /// A user, as lines show them.
    #[must_use]
    pub fn user<'u>(&self, user: &'u str) -> Option<Cow<'u, str>> {
        match self.users {
            Users::Plain => Some(loggable_user(user)),
            Users::Hashed => self.hash(user.as_bytes()).map(Cow::Owned),
            Users::Hidden => None,
        }
    }

    /// The hash of a text; nothing where there is no key.
    #[must_use]
    pub fn hash(&self, text: &[u8]) -> Option<String> {
        self.key.as_ref()?.hash(text)
    }
}

/// A text of a field, as a line may show it.
#[must_use]
pub fn loggable_text(text: &str, most: usize) -> Cow<'_, str> {
    if holds_token(text) { Cow::Borrowed("[token]") } else { shortened(text, most) }
}

/// A number that is the same for the same parts, and any for others.
pub(crate) fn spread(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    parts.iter().for_each(|part| {
        hasher.write(part);
        hasher.write_u8(0xff);
    });
    hasher.finish()
}
