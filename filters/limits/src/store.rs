//! What can go wrong with the values that all workers change, and the names of such values.

use portcullis_edge_core::HostError;

/// Why state could not be read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreError {
    /// The host failed.
    Host,
    /// Other workers were faster on every try.
    Contended,
    /// The service that counts for the fleet could not be asked, or said nothing that can be used.
    Service,
}

impl StoreError {
    /// In explanations; the label of metrics has the same words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Contended => "contended",
            Self::Service => "service",
        }
    }
}

impl From<HostError> for StoreError {
    fn from(error: HostError) -> Self {
        if error == HostError::CAS_MISMATCH { Self::Contended } else { Self::Host }
    }
}

/// The name of one value among many: a prefix and a number. One buffer for all, since every request needs some.
pub(crate) struct Numbered {
    prefix: usize,
    name: String,
}

impl Numbered {
    pub fn new(prefix: String) -> Self {
        Self { prefix: prefix.len(), name: prefix }
    }

    pub fn name(&mut self, mut number: u64) -> &str {
        self.name.truncate(self.prefix);
        loop {
            let digit = u32::try_from(number & 0xf).unwrap_or(0);
            self.name.push(char::from_digit(digit, 16).unwrap_or('0'));
            number >>= 4;
            if number == 0 {
                return &self.name;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_have_names_of_their_own() {
        let mut numbered = Numbered::new("t/".to_owned());
        let names: std::collections::BTreeSet<_> = (0..4096).map(|n| numbered.name(n).to_owned()).collect();
        assert_eq!((names.len(), numbered.name(0x1a)), (4096, "t/a1"));
    }
}
