#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{abi, check};
use portcullis_edge_core::HostError;

/// No key has this version. A swap of an absent key succeeds with any version, and with version 0 even if another worker has
/// made the key meanwhile; with this one it fails then.
pub const ABSENT: u32 = u32::MAX;

/// A value that all workers share, and the version to swap it by. An absent key is an empty value.
pub fn shared(key: &str) -> Result<(Vec<u8>, u32), HostError> {
    let mut version = 0_u32;
    let value = abi::receive(|data, size| {
        // SAFETY: see the module's reason.
        unsafe { abi::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version) }
    });
    match value {
        Err(HostError::NOT_FOUND) => Ok((Vec::new(), ABSENT)),
        value => value.map(|value| (value, version)),
    }
}

/// Replaces a shared value, unless another worker did so since `version` was read.
pub fn swap_shared(key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe {
        abi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
    })
}
