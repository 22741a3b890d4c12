//! Values that all workers change: read, changed, swapped, and anew where another worker was faster.

use crate::{Host, HostError};

/// How often a change is tried. A try takes well under a microsecond; with two workers on one key, one in some hundred is tried
/// twice.
const TRIES: usize = 16;

/// Changes the value that all workers share under `key`. `change` is given the bytes (none if nothing was ever written) and says
/// whether they are to be written; it may be run several times, and only the last of them counts.
///
/// # Errors
/// When the host fails; [`HostError::CAS_MISMATCH`] if other workers were faster on each of 16 tries.
///
/// ```
/// use portcullis_edge_core::{Host, MemoryHost, update};
/// let host = MemoryHost::default();
/// let length = update(&host, "key", |bytes| { bytes.push(b'a'); (bytes.len(), true) });
/// assert_eq!(length, Ok(1));
/// assert_eq!(host.shared("key").unwrap().unwrap().value, b"a");
/// ```
pub fn update<R>(
    host: &dyn Host,
    key: &str,
    mut change: impl FnMut(&mut Vec<u8>) -> (R, bool),
) -> Result<R, HostError> {
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
    Err(HostError::CAS_MISMATCH)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests {
    use super::*;
    use crate::MemoryHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn count(host: &MemoryHost) -> Result<u8, HostError> {
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
        assert_eq!(count(&host), Err(HostError::CAS_MISMATCH));
        host.conflict(0);
        assert_eq!(count(&host), Ok(3));
        host.fail_shared(true);
        assert_eq!(count(&host), Err(HostError::BAD_ARGUMENT));
    }

    #[test]
    fn what_is_not_changed_is_not_written() {
        let host = MemoryHost::default();
        assert_eq!(update(&host, "n", |bytes| (bytes.push(1), false)), Ok(()));
        assert_eq!(host.shared("n"), Ok(None));
    }
}
