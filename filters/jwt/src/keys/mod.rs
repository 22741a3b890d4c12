//! What checks a token: keys, each bound to one algorithm, their reading from JWK Sets and PEM, and the host's native check.

mod fetched;
mod key;
mod native;
mod pem;
mod set;

pub use fetched::Keys;
pub use key::{Key, KeyError};
pub(crate) use set::max_candidates;
pub use set::{AlgSet, KeySet, SetError, SetRules, Skip, Skipped};
