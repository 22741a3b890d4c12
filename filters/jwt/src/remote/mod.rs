//! What is elsewhere: key sets, deny lists, the auth service's word. State machines without I/O: each says which call to make, and
//! gets the answer.

mod deny;
mod failure;
mod fetch_policy;
mod fetcher;
mod introspection;
mod questions;
mod record;
mod target;

pub use deny::DenyList;
pub(crate) use deny::Revocation;
pub use failure::FetchFailure;
pub use fetch_policy::FetchPolicy;
pub(crate) use fetch_policy::{Credential, FetchFrom};
pub use fetcher::{Document, FetchFacts, Fetcher, Step};
pub use introspection::MAX_ANSWER;
pub(crate) use introspection::{Answer, Introspection, Style, basic};
pub(crate) use questions::{Asker, Questions, TokenKey, Turn, key as token_key};
pub use target::Target;
