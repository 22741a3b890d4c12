#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{abi, check};
use portcullis_edge_core::HostError;

/// What a metric is to the host.
#[derive(Clone, Copy)]
pub enum MetricKind {
    /// It only grows.
    Counter = 0,
    /// It goes up and down.
    Gauge = 1,
}

/// Defines a metric; its id in this VM. Defining a name twice leaks an id: keep them.
pub fn define_metric(kind: MetricKind, name: &str) -> Result<u32, HostError> {
    let mut id = 0_u32;
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a metric of the whole process; below zero for gauges only.
pub fn increment(id: u32, by: i64) -> Result<(), HostError> {
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_increment_metric(id, by) })
}

/// Sets a gauge of the whole process.
pub fn set_gauge(id: u32, level: i64) -> Result<(), HostError> {
    // SAFETY: the call takes no pointer. Hosts keep a level below zero in two's complement.
    check(unsafe { abi::proxy_record_metric(id, level.cast_unsigned()) })
}

/// A metric's total over all workers.
pub fn read_metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0_u64;
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}
