//! The backend's side.

use crate::sign::{Claims, mac, seconds};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use hmac::Mac as _;
use portcullis_edge_core::{Class, HeaderName, Headers, Mode, Networks, Reason, Wall, spelt_alike};

/// The request does not come from the gateway.
pub const INVALID_SOURCE: Reason = Reason::new(
    "invalid_source",
    Class::PermissionDenied,
    "Requests to this service come through its gateway",
);

/// What a request needs.
#[derive(Clone, Debug)]
pub struct Required {
    pub(crate) header: HeaderName,
    pub(crate) value: Vec<u8>,
    pub(crate) signature: Option<RequiredSignature>,
    pub(crate) exempt: Networks,
    pub(crate) mode: Mode,
}

/// Which signatures are good.
#[derive(Clone)]
pub(crate) struct RequiredSignature {
    pub header: HeaderName,
    pub secrets: Vec<Vec<u8>>,
    pub max_age: Duration,
}

/// Shows no secret.
impl fmt::Debug for RequiredSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequiredSignature({})", self.header.as_str())
    }
}

/// Why a request is not taken for the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The header is not there.
    Missing,
    /// It has another value, or several.
    Value,
    /// The signature is not there.
    Unsigned,
    /// It is not one, or none of the secrets made it for these headers.
    Signature,
    /// It is too old, or of a time that has not come.
    Expired,
}

impl Wrong {
    /// As log lines show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Value => "value",
            Self::Unsigned => "unsigned",
            Self::Signature => "signature",
            Self::Expired => "expired",
        }
    }
}

impl Required {
    /// Enforcement mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The names of the headers that are looked at.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        core::iter::once(self.header.as_str()).chain(self.signature.iter().map(|s| s.header.as_str()))
    }

    /// Whether clients of this network need nothing.
    #[must_use]
    pub fn exempts(&self, network: Option<IpAddr>) -> bool {
        network.is_some_and(|address| self.exempt.contains(address))
    }

    /// Whether a trailer would say anew, to a backend that merges trailers into the headers, what was checked in these. `identity` are the
    /// headers that the gateway tells users by.
    #[must_use]
    pub fn is_checked(&self, trailer: &[u8], identity: (&str, &str)) -> bool {
        let signed = self.signature.iter().flat_map(|_| [REQUEST_ID, identity.0, identity.1]);
        self.headers().chain(signed).any(|name| spelt_alike(name.as_bytes(), trailer))
    }

    /// Checks a request's headers at this time. A second spelling of one of them, which a backend may take for it, is wrong. `user` and `role` name the headers that the gateway tells users by.
    ///
    /// # Errors
    /// Why it is not the gateway's, and whether that is the first header's fault.
    pub fn check(&self, headers: &Headers, (user, role): (&str, &str), at: Wall) -> Result<(), Wrong> {
        let source = only(headers, self.header.as_str())
            .map_err(|missing| if missing { Wrong::Missing } else { Wrong::Value })?;
        if source != self.value || has_twin(headers, self.header.as_str()) {
            return Err(Wrong::Value);
        }
        let Some(signature) = &self.signature else { return Ok(()) };
        if [REQUEST_ID, user, role, signature.header.as_str()].iter().any(|name| has_twin(headers, name)) {
            return Err(Wrong::Signature);
        }
        let joined = |name: &str| headers.all(name).collect::<Vec<_>>().join(&b","[..]);
        let (request_id, user, role) = (joined(REQUEST_ID), joined(user), joined(role));
        let claims = Claims { source, request_id: &request_id, user: &user, role: &role };
        signature.check(headers, &claims, at)
    }
}

impl RequiredSignature {
    fn check(&self, headers: &Headers, claims: &Claims<'_>, at: Wall) -> Result<(), Wrong> {
        let value = only(headers, self.header.as_str())
            .map_err(|missing| if missing { Wrong::Unsigned } else { Wrong::Signature })?;
        let (time, given) = read(value).ok_or(Wrong::Signature)?;
        let is_good = |secret: &Vec<u8>| {
            // The comparison takes the same time for all wrong ones.
            !secret.is_empty()
                && mac(secret, time, claims).is_some_and(|mac| mac.verify_slice(&given).is_ok())
        };
        if !self.secrets.iter().any(is_good) {
            return Err(Wrong::Signature);
        }
        let signed: u64 =
            core::str::from_utf8(time).ok().and_then(|t| t.parse().ok()).ok_or(Wrong::Signature)?;
        let is_fresh = seconds(at).abs_diff(signed) <= self.max_age.as_secs();
        if is_fresh { Ok(()) } else { Err(Wrong::Expired) }
    }
}

const REQUEST_ID: &str = "x-request-id";

/// Whether a header is there under another spelling of its name.
fn has_twin(headers: &Headers, name: &str) -> bool {
    headers.iter().any(|(other, _)| other != name.as_bytes() && spelt_alike(name.as_bytes(), other))
}

/// The one value of a header; whether it is missing, if there is not exactly one.
fn only<'h>(headers: &'h Headers, name: &str) -> Result<&'h [u8], bool> {
    let mut all = headers.all(name);
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        (first, _) => Err(first.is_none()),
    }
}

/// Time and signature.
fn read(value: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let rest = value.strip_prefix(b"t=")?;
    let end = rest.iter().position(|byte| *byte == b';')?;
    let (time, rest) = rest.split_at_checked(end)?;
    let signature = rest.strip_prefix(b";v1=")?;
    Some((time, BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
