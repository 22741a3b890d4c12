//! What checks a token: keys, each bound to one algorithm, their reading from JWK Sets and PEM, and the host's native check.

mod alg_set;
mod cost;
mod error;
mod fetched;
mod jwk;
mod key;
mod modulus;
mod native;
mod pem;
mod secret_form;
mod set;

pub use alg_set::AlgSet;
pub use error::KeyError;
pub use fetched::Keys;
pub use jwk::SetRules;
pub use key::Key;
pub use set::{KeySet, SetError, Skipped};
