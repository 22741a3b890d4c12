use crate::{Call, Denial};

/// What a stage says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next stage is to look at it.
    Continue,
    /// It does not go on.
    Deny(Box<Denial>),
    /// The stage must look again when something that it waits for has come: fetched keys, say.
    Wait,
    /// The stage must hear the answer to this call first.
    Call(Call),
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Self {
        Self::Deny(Box::new(denial))
    }
}
