use std::borrow::Cow;

/// Changes to a header map, first the removals, then the settings; and what is left for the proxy to set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    /// Names to remove, with all their values.
    pub remove: Vec<Vec<u8>>,
    /// Names to set to exactly one value.
    pub set: Vec<(String, Vec<u8>)>,
    /// Names to give one more value.
    pub add: Vec<(String, Vec<u8>)>,
    /// Filter state of the stream: the proxy's routes make headers of it, later instances of the filter take findings from it.
    pub state: Vec<(Cow<'static, str>, Vec<u8>)>,
}

impl HeaderOps {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty() && self.state.is_empty()
    }

    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        self.set.push((name.to_owned(), value.to_vec()));
    }
}
