//! The section `jwt` of a policy: as it is written (`raw`), as it is checked (`compile` and its parts), as it is used (`jwt`,
//! `provider`, `route`).

mod compile;
mod compile_keys;
mod compile_remote;
mod compile_sources;
mod jwt;
mod mistakes;
mod part;
mod provider;
mod provider_claims;
mod raw;
mod raw_remote;
mod raw_request;
mod route;
mod waits;

pub use jwt::Jwt;
pub use portcullis_edge_core::{Env, SecretText, Variable};
pub use provider::Provider;
pub(crate) use provider::Signed;
pub use raw::{
    RawClaimHeader, RawConfirmation, RawJwks, RawJwt, RawPem, RawProvider, RawRequiredClaim, RawSecret,
    RawSecretEncoding,
};
pub use raw_remote::{RawFetch, RawIntrospection, RawRevocation, RawStyle, RawWhenUnknown};
pub use raw_request::{RawAuth, RawBadToken, RawNeed, RawSource};
pub use route::{RouteAuth, unknown_provider};
