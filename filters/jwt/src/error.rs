use core::fmt;
use portcullis_edge_core::{Class, Reason};

/// Why a token does not let a request through. A verdict, not a failure of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenError {
    /// The route requires a token and the request has none.
    Missing,
    /// Not a JWS in compact form, or header or claims are not what the RFCs say they are.
    Malformed,
    /// The token is larger than its provider accepts.
    TooLarge,
    /// More than one token in one request.
    TwoTokens,
    /// The token stands in a cookie, and a page of another site may have sent the request.
    CrossSite,
    /// The route refuses tokens and the request has one.
    Unexpected,
    /// A JWE (RFC 7516): nobody here has a key to read it.
    Encrypted,
    /// The header has `crit` (RFC 7515 section 4.1.11) or `b64` (RFC 7797): extensions that are not understood here.
    CriticalHeader,
    /// `alg` is not known here, not the provider's, or not the one that the key is bound to.
    UnsupportedAlgorithm,
    /// `typ` is not the one that the provider issues (RFC 8725 section 3.11).
    InvalidType,
    /// No provider of the route has this `iss`.
    InvalidIssuer,
    /// `aud` does not name us.
    InvalidAudience,
    /// No key of the provider has this `kid`.
    UnknownKey,
    /// The provider's keys have not been fetched yet.
    KeysPending,
    /// A key was found, and the signature is not its.
    InvalidSignature,
    /// More keys could have made the signature than may be tried for one token, and those tried have not.
    TooManyKeys,
    /// `exp` is reached.
    Expired,
    /// `nbf` is not reached.
    NotYetValid,
    /// The token lives longer than its provider allows.
    LifetimeTooLong,
    /// A claim that the provider requires is absent or has another value.
    InvalidClaim,
    /// A claim that goes into a header cannot: control characters, a wrong type, too long.
    UnmappableClaim,
    /// The token is bound to a key of its holder (`cnf`: RFC 9449, RFC 8705), which a bearer does not prove.
    ConfirmationRequired,
    /// On the deny list, or introspection says so.
    Revoked,
    /// Whether the token is revoked cannot be found out now, and the policy then refuses.
    RevocationUnknown,
}

impl TokenError {
    /// All of them, so that each reason's counter exists from the start.
    pub const ALL: [TokenError; 24] = [
        Self::Missing,
        Self::Malformed,
        Self::TooLarge,
        Self::TwoTokens,
        Self::CrossSite,
        Self::Unexpected,
        Self::Encrypted,
        Self::CriticalHeader,
        Self::UnsupportedAlgorithm,
        Self::InvalidType,
        Self::InvalidIssuer,
        Self::InvalidAudience,
        Self::UnknownKey,
        Self::KeysPending,
        Self::InvalidSignature,
        Self::TooManyKeys,
        Self::Expired,
        Self::NotYetValid,
        Self::LifetimeTooLong,
        Self::InvalidClaim,
        Self::UnmappableClaim,
        Self::ConfirmationRequired,
        Self::Revoked,
        Self::RevocationUnknown,
    ];

    /// The reason of a success in the same label.
    pub const NONE: &'static str = "none";

    /// What a denial is made of: name, class and sentence.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing => bad("missing", "A token is required"),
            Self::Malformed => bad("malformed", MALFORMED),
            Self::TooLarge => bad("too_large", MALFORMED),
            Self::TwoTokens => bad("two_tokens", "More than one token in the request"),
            Self::CrossSite => Reason::new(
                "cross_site",
                Class::OriginNotAllowed,
                "This page may not use the token in the browser's cookie",
            ),
            Self::Unexpected => bad("unexpected", "No token is accepted here"),
            Self::Encrypted => bad("encrypted", MALFORMED),
            Self::CriticalHeader => bad("critical_header", MALFORMED),
            Self::UnsupportedAlgorithm => bad("unsupported_algorithm", INVALID),
            Self::InvalidType => bad("invalid_type", INVALID),
            Self::InvalidIssuer => bad("invalid_issuer", INVALID),
            Self::InvalidAudience => bad("invalid_audience", INVALID),
            Self::UnknownKey => bad("unknown_key", INVALID),
            Self::KeysPending => unknown("keys_pending"),
            Self::InvalidSignature => bad("invalid_signature", INVALID),
            Self::TooManyKeys => bad("too_many_keys", INVALID),
            Self::Expired => bad("expired", "The token has expired"),
            Self::NotYetValid => bad("not_yet_valid", "The token is not valid yet"),
            Self::LifetimeTooLong => bad("lifetime_too_long", INVALID),
            Self::InvalidClaim => bad("invalid_claim", INVALID),
            Self::UnmappableClaim => bad("unmappable_claim", INVALID),
            Self::ConfirmationRequired => bad("confirmation_required", INVALID),
            Self::Revoked => bad("revoked", "The token has been revoked"),
            Self::RevocationUnknown => unknown("revocation_unknown"),
        }
    }

    /// The value of the label `reason` of `auth_jwt_validation_total`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.reason().name
    }

    /// The sentence for the client: which class of mistake, never internals.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.reason().message
    }

    /// Whether the token may be good and the gateway cannot tell now: 503 instead of 401.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self.reason().class, Class::Unavailable)
    }
}

const MALFORMED: &str = "The token is malformed";
const INVALID: &str = "The token is invalid";

/// The reason of a token that is missing or bad.
const fn bad(name: &'static str, message: &'static str) -> Reason {
    Reason::new(name, Class::Unauthenticated, message)
}

/// The reason of a token that cannot be checked now.
const fn unknown(name: &'static str) -> Reason {
    Reason::new(name, Class::Unavailable, "The token cannot be checked now")
}

impl From<TokenError> for Reason {
    fn from(error: TokenError) -> Self {
        error.reason()
    }
}

/// A refused token: the reason, and for operators which check refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, as counted.
    pub error: TokenError,
    /// What exactly was wrong, in words that hold nothing of the token.
    pub detail: &'static str,
    /// The index of the provider whose check it was; nothing while the token's issuer was not known yet.
    pub provider: Option<usize>,
}

impl Refusal {
    /// The same, by a provider's check.
    pub(crate) const fn of(self, provider: usize) -> Self {
        Self { provider: Some(provider), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error.as_str(), self.detail)
    }
}

/// Refuses with a detail.
pub(crate) const fn refuse(error: TokenError, detail: &'static str) -> Refusal {
    Refusal { error, detail, provider: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let mut labels: Vec<_> = TokenError::ALL.iter().map(|e| e.as_str()).collect();
        labels.push(TokenError::NONE);
        labels.sort_unstable();
        let count = labels.len();
        labels.dedup();
        assert_eq!(labels.len(), count);
    }

    #[test]
    fn a_refusal_tells_its_reason_and_the_check_that_made_it() {
        assert_eq!(refuse(TokenError::Expired, "`exp` is reached").to_string(), "expired: `exp` is reached");
    }
}
