//! One issuer, compiled, and the checks that its tokens go through.

use crate::error::{Refusal, TokenError, refuse};
use crate::keys::{AlgSet, Key, KeySet, SetError, SetRules};
use crate::remote::{FetchPolicy, Introspection, Revocation};
use crate::token::{ClaimHeader, Header, Identity, IssuedBy, Issuer, Pointer};
use portcullis_edge_core::Host;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    pub(crate) name: String,
    /// `iss` of its tokens, in each of its spellings; without any it takes tokens of every issuer.
    pub(crate) issuers: Vec<Issuer>,
    /// The tenants whose tokens it takes, where the issuer leaves the tenant open; all without any.
    pub(crate) tenants: Vec<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) any_audience: bool,
    pub(crate) algorithms: AlgSet,
    pub(crate) keys: KeySet,
    pub(crate) fetch: Option<(FetchPolicy, SetRules)>,
    pub(crate) types: Vec<String>,
    pub(crate) leeway_nanos: u64,
    pub(crate) max_lifetime_nanos: Option<u64>,
    pub(crate) max_token_bytes: usize,
    /// What trying keys may cost for one token, in microseconds.
    pub(crate) max_check_micros: u32,
    pub(crate) require_exp: bool,
    pub(crate) takes_bound_tokens: bool,
    pub(crate) required: Vec<(Pointer, Vec<serde_json::Value>)>,
    pub(crate) user: Pointer,
    pub(crate) role: Pointer,
    /// Put before each role, so that it is this provider's.
    pub(crate) role_prefix: String,
    /// Those of other providers that this one could write itself.
    pub(crate) foreign_prefixes: Vec<String>,
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
    pub(crate) by: IssuedBy<'t>,
    pub(crate) signed: &'t [u8],
    pub(crate) signature: &'t Vec<u8>,
}

const TOO_MANY_KEYS: &str = "none of the keys tried made this signature; there are more than may be tried for one token, and `kid` would say which";

impl Provider {
    /// What is put before each of its roles.
    #[must_use]
    pub fn role_prefix(&self) -> &str {
        &self.role_prefix
    }

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
    pub fn read_keys(&self, body: &[u8]) -> Option<Result<KeySet, SetError>> {
        let (_, rules) = self.fetch.as_ref()?;
        Some(KeySet::read(body, rules))
    }

    /// Whether the token is this provider's by name; never so for a provider without an issuer.
    pub(crate) fn issued(&self, by: IssuedBy<'_>) -> bool {
        self.issuers.iter().any(|issuer| issuer.issued(by) && self.takes_tenant(issuer, by))
    }

    fn takes_tenant(&self, issuer: &Issuer, by: IssuedBy<'_>) -> bool {
        let is_listed = || self.tenants.iter().any(|tenant| by.tenant == Some(tenant));
        !issuer.has_tenant() || self.tenants.is_empty() || is_listed()
    }

    /// The issuer as services get it: a name that the policy has, never one that only the token has.
    pub(crate) fn issuer_of<'p>(&'p self, identity: &'p Identity) -> &'p str {
        let by = identity.issued_by();
        by.iss.filter(|_| self.issued(by)).unwrap_or(&self.name)
    }

    /// Whether one token could be of both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let both_take_any = self.takes_any_issuer() && other.takes_any_issuer();
        both_take_any
            || self.issuers.iter().any(|issuer| other.issuers.iter().any(|own| own.overlaps(issuer)))
    }

    /// Whether it takes tokens of every issuer.
    pub(crate) fn takes_any_issuer(&self) -> bool {
        self.issuers.is_empty()
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
        let (mut tried, mut all) = (0_usize, self.possible_keys(token, fetched));
        let mut left = self.max_check_micros;
        for key in all.by_ref() {
            // One key may cost what it will.
            match left.checked_sub(key.cost_micros()) {
                Some(rest) => left = rest,
                None if tried == 0 => left = 0,
                None => return Err(refuse(TokenError::TooManyKeys, TOO_MANY_KEYS)),
            }
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

    /// The keys that may have made a token's signature: those that it names first. As many are tried as `max_check_micros` is enough
    /// for, and one at least.
    pub(crate) fn possible_keys<'k>(
        &'k self,
        token: &Signed<'_>,
        fetched: Option<&'k KeySet>,
    ) -> impl Iterator<Item = &'k Key> {
        let (alg, kid, by) = (token.header.alg, token.header.kid, token.by);
        let named = self.all_keys(fetched).filter(move |key| kid.is_some() && key.kid() == kid);
        let others = self.all_keys(fetched).filter(move |key| kid.is_none() || key.kid().is_none());
        named.chain(others).filter(move |key| key.alg() == alg && key.serves(by))
    }

    /// Why no key verified the token.
    fn no_key(&self, header: &Header<'_>, fetched: Option<&KeySet>, tried: bool) -> Refusal {
        let pending = self.fetch.is_some() && fetched.is_none();
        // A secret is never fetched, so an HMAC need not wait for keys.
        if pending && header.alg.min_secret_bytes() == 0 {
            return refuse(TokenError::KeysPending, "the provider's keys have not been fetched yet");
        }
        if tried {
            return refuse(TokenError::InvalidSignature, "no key of the provider made this signature");
        }
        let has_kid = |key: &Key| header.kid.is_some() && key.kid() == header.kid && key.alg() != header.alg;
        if self.all_keys(fetched).any(has_kid) {
            return refuse(
                TokenError::UnsupportedAlgorithm,
                "the key that `kid` names is for another algorithm",
            );
        }
        refuse(TokenError::UnknownKey, "no key of the provider has this `kid` and algorithm")
    }
}
