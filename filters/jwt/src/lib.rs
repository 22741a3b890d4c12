//! Tokens: what a request's JWT says, and whether to believe it.
//!
//! A token is untrusted bytes until every check of its provider has passed, in this order: size, form (RFC 7515), header
//! (RFC 7515 section 4), claims' types (RFC 7519 section 4), issuer, key, signature, and then what the claims say. JSON is
//! read once, strictly. No clock, no network: time, keys and the host's native crypto come in as arguments.

mod alg;
mod base64url;
mod cache;
mod claim_header;
mod compile;
mod compile_remote;
mod deny;
mod error;
mod explain;
mod fetch;
mod fetch_failure;
mod fetcher;
mod host;
mod http;
mod identity;
mod introspection;
mod jose;
mod json;
mod key;
mod keyset;
mod pem;
mod pointer;
mod policy;
mod policy_remote;
mod provider;
mod record;
mod registered;
mod secret;
mod source;
mod tokens;
mod url;
mod verify;

pub use alg::{Alg, Family};
pub use cache::TokenCache;
pub use deny::DenyList;
pub use error::{Refusal, TokenError};
pub use explain::{Explanation, KeyFacts};
pub use fetch::FetchPolicy;
pub use fetch_failure::FetchFailure;
pub use fetcher::{Document, FetchFacts, Fetcher, KeyStore, Step};
pub use host::{NoHost, SignatureCheck};
pub use http::{CallError, HttpCall};
pub use identity::Identity;
pub use introspection::MAX_ANSWER;
pub use json::{Json, JsonRef, Value};
pub use key::{Key, KeyError};
pub use keyset::{AlgSet, KeySet, SetError, SetRules, Skip, Skipped};
pub use pointer::Pointer;
pub use policy::{
    ClaimEncoding, RawAuth, RawClaimHeader, RawConfirmation, RawJwks, RawJwt, RawNeed, RawPem, RawProvider,
    RawRequiredClaim, RawSecret, RawSecretEncoding, RawSource,
};
pub use policy_remote::{RawFetch, RawIntrospection, RawRevocation, RawStyle, RawWhenUnknown};
pub use provider::Provider;
pub use secret::{Env, SecretText, Variable};
pub use source::{Found, Strip};
pub use tokens::{Authn, CallId, Fetched, Pending, Polled, Tokens};
pub use url::Target;
pub use verify::{Checked, Jwt, Keys, Question, RouteAuth, unknown_provider};
