use crate::keys::SetError;
use crate::label::labelled;
use portcullis_edge_core::CallError;

labelled! {
    /// Why a fetch failed.
    pub enum FetchFailure {
        /// The call could not be sent: the proxy has no such cluster.
        NotSent = "not_sent",
        /// The connection broke.
        Reset = "reset",
        /// No answer in time.
        Timeout = "timeout",
        /// Another status than 200.
        Status = "status",
        /// More bytes than allowed.
        TooLarge = "too_large",
        /// The issuer's configuration is not JSON, names another issuer, or no usable `jwks_uri`.
        Discovery = "discovery",
        /// The document is not JSON, or has a member twice.
        NotJson = "not_json",
        /// No object with a list `keys` (RFC 7517 section 5).
        NotAKeySet = "not_a_key_set",
        /// More keys than allowed.
        TooManyKeys = "too_many_keys",
        /// A set without one key that the provider can use.
        NoUsableKey = "no_usable_key",
        /// No object with a list `revoked`.
        NotADenyList = "not_a_deny_list",
        /// More entries than allowed.
        TooManyEntries = "too_many_entries",
        /// An entry of a deny list that is none.
        NotAnEntry = "not_an_entry",
    }
}

impl From<CallError> for FetchFailure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotSent => Self::NotSent,
            CallError::Reset => Self::Reset,
            CallError::Timeout => Self::Timeout,
        }
    }
}

impl From<SetError> for FetchFailure {
    fn from(error: SetError) -> Self {
        match error {
            SetError::NotJson => Self::NotJson,
            SetError::NoKeys => Self::NotAKeySet,
            SetError::TooMany => Self::TooManyKeys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_failure_stands_at_its_index_under_a_label_of_its_own() {
        for (index, failure) in FetchFailure::ALL.iter().enumerate() {
            assert_eq!(failure.index(), index);
            let same = FetchFailure::ALL.iter().filter(|other| other.as_str() == failure.as_str());
            assert_eq!(same.count(), 1, "{failure:?}");
        }
    }
}
