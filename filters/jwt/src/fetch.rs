//! How keys are fetched.

use crate::{SetRules, Target};
use core::time::Duration;

/// A compiled `fetch`.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Where the search begins.
    pub(crate) from: FetchFrom,
    pub(crate) cluster: String,
    pub(crate) jwks_cluster: String,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry: Duration,
    pub(crate) cooldown: Duration,
    pub(crate) max_age: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) rules: SetRules,
}

/// Where the search for keys begins.
#[derive(Clone, Debug)]
pub(crate) enum FetchFrom {
    /// At the key set.
    Keys(Target),
    /// At the issuer's configuration (OpenID Connect Discovery 1.0 section 4), which must name this issuer.
    Issuer { issuer: String, at: Target },
}
