use crate::verify::Question;

/// A token on which an auth service has the last word.
pub struct Pending {
    pub(crate) token: Vec<u8>,
    pub(crate) question: Question,
    /// Of the keys that it was checked by.
    pub(crate) generation: u64,
    pub(crate) tries: u8,
}

/// Shows no token.
impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Pending(provider {}, try {})", self.question.provider, self.tries)
    }
}
