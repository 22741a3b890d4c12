//! How documents are fetched.

use super::target::Target;
use core::hash::{Hash, Hasher as _};
use core::time::Duration;
use std::hash::DefaultHasher;

/// When, from where and how often a document is fetched.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Where the search begins.
    pub(crate) from: FetchFrom,
    /// The media types that are asked for.
    pub(crate) accept: &'static str,
    /// `Authorization` for the host where the search begins.
    pub(crate) authorization: Option<Credential>,
    pub(crate) cluster: String,
    /// Where discovery leads.
    pub(crate) jwks_cluster: String,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry: Duration,
    pub(crate) cooldown: Duration,
    pub(crate) max_age: Duration,
    pub(crate) max_bytes: usize,
}

/// A secret value of a header.
#[derive(Clone)]
pub(crate) struct Credential(Box<str>);

impl Credential {
    pub(crate) fn new(value: &str) -> Self {
        Self(value.into())
    }

    pub(crate) fn value(&self) -> &str {
        &self.0
    }
}

/// Shows nothing of it.
impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Where the search for a document begins.
#[derive(Clone, Debug, Hash)]
pub(crate) enum FetchFrom {
    /// At the document.
    Document(Target),
    /// At the issuer's configuration (OpenID Connect Discovery 1.0 section 4), which must name this issuer.
    Issuer { issuer: String, at: Target },
}

impl FetchFrom {
    /// What is asked first.
    pub(crate) fn first(&self) -> &Target {
        match self {
            Self::Document(target) | Self::Issuer { at: target, .. } => target,
        }
    }
}

impl FetchPolicy {
    /// How much later than the policy's time-out a host may tell of it.
    pub(crate) const GRACE: Duration = Duration::from_secs(1);

    /// How long a fetch may take at most, both steps of a discovery included.
    pub(crate) fn lease(&self) -> Duration {
        self.timeout.saturating_add(Self::GRACE).saturating_mul(2)
    }

    /// The wait after so many failures in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.retry.saturating_mul(1_u32.wrapping_shl(doublings)).min(self.refresh)
    }

    /// Tells this policy's records in shared data from another's: what is fetched from elsewhere, or read otherwise, is
    /// something else. The hash has no key, so that all workers agree.
    pub(crate) fn fingerprint(&self, rules: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.from, &self.cluster, &self.jwks_cluster, self.max_bytes, rules).hash(&mut hasher);
        hasher.finish()
    }
}
