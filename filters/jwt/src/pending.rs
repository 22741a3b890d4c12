use crate::error::{Refusal, TokenError, refuse};
use crate::remote::{Asker, TokenKey};
use crate::verify::Question;

/// The refusal of a token that an auth service calls inactive.
pub(crate) const INACTIVE: Refusal =
    refuse(TokenError::Revoked, "the auth service says that the token is not active");

/// A token on which an auth service has the last word.
pub struct Pending {
    pub(crate) token: Vec<u8>,
    pub(crate) question: Question,
    /// Of the keys that it was checked by.
    pub(crate) generation: u64,
    pub(crate) tries: u8,
    /// Names the token among the questions of the worker.
    pub(crate) key: TokenKey,
    /// As long as it is there, others wait for the answer.
    pub(crate) _asker: Asker,
}

/// Shows no token.
impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Pending(provider {}, try {})", self.question.provider, self.tries)
    }
}
