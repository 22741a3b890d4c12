use super::raw::RawProvider;
use crate::keys::{AlgSet, SetRules};
use crate::token::Alg;
use portcullis_edge_core::Env;
use portcullis_edge_core::Node;

/// One provider's part of the section, and where it stands.
pub(crate) struct Part<'s> {
    pub(crate) raw: &'s RawProvider,
    pub(crate) at: &'s Node,
    pub(crate) env: Env<'s>,
}

impl Part<'_> {
    /// Whether no key of any kind is given.
    pub(crate) fn is_opaque(&self) -> bool {
        let raw = self.raw;
        raw.secrets.is_empty() && raw.pem.is_empty() && raw.jwks.is_none() && raw.fetch.is_none()
    }

    /// What the provider says, else everything: then each key says it.
    pub(crate) fn algorithms(&self) -> AlgSet {
        if self.raw.algorithms.is_empty() {
            return Alg::ALL.into_iter().collect();
        }
        self.raw.algorithms.iter().copied().collect()
    }

    pub(crate) fn rules(&self, fetched: bool, max_keys: usize) -> SetRules {
        let min_secret = self.raw.min_secret_bytes.map(usize::from);
        SetRules { algorithms: self.algorithms(), max_keys, fetched, min_secret }
    }
}
