#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{HostError, abi, check};

const COUNTER: u32 = 0;

/// Defines a counter; its id in this VM. Defining a name twice leaks an id: keep them.
pub fn define_counter(name: &str) -> Result<u32, HostError> {
    let mut id = 0_u32;
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter of the whole process.
pub fn increment(id: u32, by: u64) -> Result<(), HostError> {
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)) })
}

/// A counter's total over all workers.
pub fn read_metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0_u64;
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}
