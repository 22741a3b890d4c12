//! The gateway's side.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use core::fmt;
use hmac::{Hmac, Mac};
use portcullis_edge_core::{HeaderName, Wall};
use sha2::Sha256;

/// What a signature vouches for: the values of these headers as the backend gets them, empty for one that is not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    /// `X-Source`.
    pub source: &'a [u8],
    /// `X-Request-ID`.
    pub request_id: &'a [u8],
    /// The header with the user.
    pub user: &'a [u8],
    /// The header with the roles.
    pub role: &'a [u8],
}

/// Signs requests.
#[derive(Clone)]
pub struct Signer {
    header: HeaderName,
    secret: Vec<u8>,
}

/// Shows no secret.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.header.as_str())
    }
}

impl Signer {
    pub(crate) fn new(header: HeaderName, secret: Vec<u8>) -> Self {
        Self { header, secret }
    }

    /// The header with the signature.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// The value of the header, at this time.
    #[must_use]
    pub fn sign(&self, claims: &Claims<'_>, at: Wall) -> Vec<u8> {
        let seconds = seconds(at).to_string();
        let Some(mac) = mac(&self.secret, seconds.as_bytes(), claims) else { return Vec::new() };
        let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("t={seconds};v1={signature}").into_bytes()
    }
}

pub(crate) const fn seconds(at: Wall) -> u64 {
    at.0 / 1_000_000_000
}

/// None cannot be: HMAC takes keys of any length.
pub(crate) fn mac(secret: &[u8], seconds: &[u8], claims: &Claims<'_>) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(b"v1");
    // A header's value has no line break, so that no two messages are one.
    for part in [seconds, claims.source, claims.request_id, claims.user, claims.role] {
        mac.update(b"\n");
        mac.update(part);
    }
    Some(mac)
}
