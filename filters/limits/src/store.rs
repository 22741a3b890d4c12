//! Values that all workers change: read, changed, swapped, and anew where another worker was faster.

use portcullis_edge_core::{Host, HostError};

/// How often a change is tried. A try takes well under a microsecond; with two workers on one key, one in some hundred is tried
/// twice.
pub const TRIES: usize = 16;

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
    /// All, for docs and metrics.
    pub const ALL: [Self; 3] = [Self::Host, Self::Contended, Self::Service];

    /// As a label and log value.
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

/// Changes the value under `key`. `change` is given the bytes (none if nothing was ever written) and says whether they are to be
/// written; it may be run several times, and only the last of them counts.
///
/// # Errors
/// When the host fails, or other workers were faster [`TRIES`] times.
pub fn update<R>(
    host: &dyn Host,
    key: &str,
    mut change: impl FnMut(&mut Vec<u8>) -> (R, bool),
) -> Result<R, StoreError> {
    for _ in 0..TRIES {
        let (mut bytes, version) = match host.shared(key)? {
            Some(shared) => (shared.value, Some(shared.version)),
            None => (Vec::new(), None),
        };
        let (result, changed) = change(&mut bytes);
        if !changed || host.swap_shared(key, &bytes, version)? {
            return Ok(result);
        }
    }
    Err(StoreError::Contended)
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
    use portcullis_edge_core::MemoryHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn count(host: &MemoryHost) -> Result<u8, StoreError> {
        update(host, "n", |bytes| {
            let next = bytes.first().copied().unwrap_or(0) + 1;
            *bytes = vec![next];
            (next, true)
        })
    }

    #[test]
    fn a_change_is_made_once_however_often_it_is_tried() {
        let host = MemoryHost::default();
        host.conflict(3);
        assert_eq!((count(&host), count(&host)), (Ok(1), Ok(2)));
        host.conflict(u32::MAX);
        assert_eq!(count(&host), Err(StoreError::Contended));
        host.conflict(0);
        assert_eq!(count(&host), Ok(3));
        host.fail_shared(true);
        assert_eq!(count(&host), Err(StoreError::Host));
    }

    #[test]
    fn numbers_have_names_of_their_own() {
        let mut numbered = Numbered::new("t/".to_owned());
        let names: std::collections::BTreeSet<_> = (0..4096).map(|n| numbered.name(n).to_owned()).collect();
        assert_eq!((names.len(), numbered.name(0x1a)), (4096, "t/a1"));
    }
}
