//! One issuer, compiled, and the checks that its tokens go through.

use crate::error::{Refusal, TokenError, refuse};
use crate::keys::{AlgSet, Key, KeySet, SetRules, max_candidates};
use crate::remote::{Document, FetchFailure, FetchPolicy, Introspection, Revocation};
use crate::token::{ClaimHeader, Header, Pointer};
use portcullis_edge_core::Host;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    pub(crate) name: String,
    pub(crate) issuer: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) any_audience: bool,
    pub(crate) algorithms: AlgSet,
    pub(crate) keys: KeySet,
    pub(crate) fetch: Option<(FetchPolicy, SetRules)>,
    pub(crate) types: Vec<String>,
    pub(crate) leeway_nanos: u64,
    pub(crate) max_lifetime_nanos: Option<u64>,
    pub(crate) max_token_bytes: usize,
    pub(crate) require_exp: bool,
    pub(crate) takes_bound_tokens: bool,
    pub(crate) required: Vec<(Pointer, Vec<serde_json::Value>)>,
    pub(crate) user: Pointer,
    pub(crate) role: Pointer,
    pub(crate) scope: Pointer,
    pub(crate) headers: Vec<ClaimHeader>,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) introspection: Option<Introspection>,
    /// Whether the policy gives it no keys at all, so that only its auth service knows its tokens.
    pub(crate) is_opaque: bool,
}

/// Where a signature stands before it is checked.
pub(crate) struct Signed<'t> {
    pub(crate) header: &'t Header<'t>,
    pub(crate) signed: &'t [u8],
    pub(crate) signature: &'t Vec<u8>,
}

impl Provider {
    /// Its name in the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its keys are fetched, if they are.
    #[must_use]
    pub fn fetch(&self) -> Option<&FetchPolicy> {
        self.fetch.as_ref().map(|(policy, _)| policy)
    }

    /// Reads a key set as if it had been fetched for this provider; `None` for a provider that fetches none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_keys(&self, body: &[u8]) -> Option<Result<KeySet, FetchFailure>> {
        let (_, rules) = self.fetch.as_ref()?;
        Some(Document::read(body, rules))
    }

    /// How its deny list is fetched, if it has one.
    #[must_use]
    pub fn revocation(&self) -> Option<&FetchPolicy> {
        self.revocation.as_ref().map(|revocation| &revocation.fetch)
    }

    /// The names of the headers that its claims become.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.header.as_str())
    }

    pub(crate) fn check_size(&self, token: &[u8]) -> Result<(), Refusal> {
        if token.len() <= self.max_token_bytes {
            return Ok(());
        }
        Err(refuse(TokenError::TooLarge, "the token is larger than its provider accepts"))
    }

    /// Finds the key and checks the signature.
    pub(crate) fn check_signature<'k>(
        &'k self,
        token: &Signed<'_>,
        fetched: Option<&'k KeySet>,
        host: &dyn Host,
    ) -> Result<&'k Key, Refusal> {
        if !self.algorithms.contains(token.header.alg) {
            return Err(refuse(
                TokenError::UnsupportedAlgorithm,
                "the provider's tokens have other algorithms",
            ));
        }
        let mut tried = 0_usize;
        for key in self.candidates(token.header, fetched) {
            if key.verifies(token.signed, token.signature, host) {
                return Ok(key);
            }
            tried = tried.saturating_add(1);
        }
        Err(self.no_key(token.header, fetched, tried > 0))
    }

    fn all_keys<'k>(&'k self, fetched: Option<&'k KeySet>) -> impl Iterator<Item = &'k Key> {
        self.keys.keys().iter().chain(fetched.into_iter().flat_map(|set| set.keys()))
    }

    /// The keys that a token is tried against: those that it names first.
    pub(crate) fn candidates<'k>(
        &'k self,
        header: &Header<'_>,
        fetched: Option<&'k KeySet>,
    ) -> impl Iterator<Item = &'k Key> {
        self.possible_keys(header, fetched).take(max_candidates(header.alg))
    }

    fn possible_keys<'k>(
        &'k self,
        header: &Header<'_>,
        fetched: Option<&'k KeySet>,
    ) -> impl Iterator<Item = &'k Key> {
        let (alg, kid) = (header.alg, header.kid);
        let named = self.all_keys(fetched).filter(move |key| kid.is_some() && key.kid() == kid);
        let others = self.all_keys(fetched).filter(move |key| kid.is_none() || key.kid().is_none());
        named.chain(others).filter(move |key| key.alg() == alg)
    }

    /// Why no key verified the token.
    fn no_key(&self, header: &Header<'_>, fetched: Option<&KeySet>, tried: bool) -> Refusal {
        let pending = self.fetch.is_some() && fetched.is_none();
        // A secret is never fetched, so an HMAC need not wait for keys.
        if pending && header.alg.min_secret_bytes() == 0 {
            return refuse(TokenError::KeysPending, "the provider's keys have not been fetched yet");
        }
        if tried && self.possible_keys(header, fetched).count() > max_candidates(header.alg) {
            return refuse(
                TokenError::InvalidSignature,
                "none of the keys tried made this signature; there are more, and `kid` would tell which",
            );
        }
        if tried {
            return refuse(TokenError::InvalidSignature, "no key of the provider made this signature");
        }
        let has_kid = |key: &Key| header.kid.is_some() && key.kid() == header.kid;
        if self.all_keys(fetched).any(has_kid) {
            return refuse(
                TokenError::UnsupportedAlgorithm,
                "the key that `kid` names is for another algorithm",
            );
        }
        refuse(TokenError::UnknownKey, "no key of the provider has this `kid` and algorithm")
    }
}
