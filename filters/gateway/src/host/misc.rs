#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{abi, check};
use portcullis_edge_core::HostError;
use portcullis_edge_core::{Mono, Now, Wall};
use proxy_wasm::types::LogLevel;

const PLUGIN_CONFIGURATION: u32 = 7;
const CLOCK_MONOTONIC: u32 = 1;

/// Both clocks.
pub fn now() -> Now {
    let mut wall = 0_u64;
    // SAFETY: see the module's reason. The call cannot fail with a valid pointer; if it did, no token would be young enough.
    if unsafe { abi::proxy_get_current_time_nanoseconds(&raw mut wall) } != 0 {
        wall = u64::MAX;
    }
    Now { wall: Wall(wall), mono: mono() }
}

/// The monotonic clock.
pub fn mono() -> Mono {
    let mut mono = 0_u64;
    // SAFETY: see the module's reason, and `now`.
    unsafe { abi::clock_time_get(CLOCK_MONOTONIC, 0, &raw mut mono) };
    Mono(mono)
}

/// 16 random bytes; from the clock where the host has none (ids then are still unlikely to repeat).
pub fn random_16() -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    // SAFETY: see the module's reason.
    if unsafe { abi::random_get(bytes.as_mut_ptr(), bytes.len()) } != 0 {
        let now = now();
        bytes = ((u128::from(now.wall.0) << 64) | u128::from(now.mono.0)).to_be_bytes();
    }
    bytes
}

/// The policy.
pub fn configuration(size: usize) -> Result<Vec<u8>, HostError> {
    abi::receive(|data, received| {
        // SAFETY: see the module's reason.
        unsafe { abi::proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, received) }
    })
}

/// A property of the stream; `path` has its parts separated by NUL.
pub fn property(path: &str) -> Result<Vec<u8>, HostError> {
    // SAFETY: see the module's reason.
    abi::receive(|data, size| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets `wasm.<name>` in the stream's filter state, where access logs find it.
pub fn set_property(name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Writes to the proxy's own log.
pub fn log(level: LogLevel, message: &str) {
    // SAFETY: see the module's reason. There is nowhere to report that a report failed.
    let _ = unsafe { abi::proxy_log(level as u32, message.as_ptr(), message.len()) };
}
