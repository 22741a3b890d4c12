use crate::CallError;

/// Why a fetch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchFailure {
    /// The call did not come through.
    Call(CallError),
    /// Another status than 200.
    Status,
    /// More bytes than allowed.
    TooLarge,
    /// The issuer's configuration is not JSON, names another issuer, or no usable `jwks_uri`.
    Discovery,
    /// The answer is no such document, or one that cannot be used.
    Document(&'static str),
}

impl FetchFailure {
    /// Every label, so that each one's counter exists from the start.
    pub const ALL_LABELS: [&'static str; 13] = [
        "not_sent",
        "reset",
        "timeout",
        "status",
        "too_large",
        "discovery",
        "not_json",
        "not_a_key_set",
        "too_many_keys",
        "no_usable_key",
        "not_a_deny_list",
        "too_many_entries",
        "not_an_entry",
    ];

    /// As a label and log value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call(CallError::NotSent) => "not_sent",
            Self::Call(CallError::Reset) => "reset",
            Self::Call(CallError::Timeout) => "timeout",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Discovery => "discovery",
            Self::Document(what) => what,
        }
    }
}
