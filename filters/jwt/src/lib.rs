//! Tokens: what a request's JWT says, and whether to believe it.
//!
//! A token is untrusted bytes until every check of its provider has passed, in this order: size, form (RFC 7515), header
//! (RFC 7515 section 4), claims' types (RFC 7519 section 4), issuer, key, signature, and then what the claims say. JSON is
//! read once, strictly. No clock, no network: time, shared data and native cryptography come in through [`Host`].
//!
//! Four wings, each of which uses only those before it: `token` (what a token says), `keys` (what checks it), `remote` (what
//! is fetched or asked), `section` (the policy). The files beside them join these into a verdict (`verify`) and into a worker's
//! state (`tokens`).
//!
//! [`Host`]: portcullis_edge_core::Host

mod asking;
mod cache;
mod error;
mod explain;
mod keys;
mod label;
pub mod metrics;
mod pending;
mod polled;
mod remote;
mod section;
mod token;
mod tokens;
mod verify;

pub use cache::{CacheCounts, TokenCache};
pub use error::{Refusal, TokenError};
pub use explain::{Explanation, KeyFacts};
pub use keys::{AlgSet, Key, KeyError, KeySet, Keys, SetError, SetRules, Skipped};
pub use pending::Pending;
pub use polled::{CallId, Fetched, Polled};
pub use remote::{
    DenyList, Document, FetchFacts, FetchFailure, FetchPolicy, Fetcher, MAX_ANSWER, Step, Target,
};
pub use section::{
    Env, Jwt, Provider, RawAuth, RawBadToken, RawClaimHeader, RawConfirmation, RawFetch, RawIntrospection,
    RawJwks, RawJwt, RawNeed, RawPem, RawProvider, RawRequiredClaim, RawRevocation, RawSecret,
    RawSecretEncoding, RawSource, RawStyle, RawWhenUnknown, RouteAuth, SecretText, Variable,
    unknown_provider,
};
pub use token::{
    Alg, ClaimEncoding, Family, Found, Handed, Identity, IssuedBy, Issuer, Json, JsonRef, Pointer, Strip,
    Value,
};
pub use tokens::{Authn, Tokens};
pub use verify::{Checked, Question};
