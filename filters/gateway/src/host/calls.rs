#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{HostError, abi, check};
use core::time::Duration;
use portcullis_edge_core::HttpCall;
use proxy_wasm::hostcalls;

const CALL_RESPONSE_BODY: u32 = 4;

/// Makes an HTTP call; the answer comes to the context that is current, under the returned id. Through the SDK, whose
/// dispatcher must know of it; the statuses it panics on no host returns here (ABI 0.2.1).
pub fn call(call: &HttpCall) -> Result<u32, HostError> {
    let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    let timeout = call.timeout.max(Duration::from_millis(1));
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), timeout)
        .map_err(|status| HostError(status as u32))
}

/// The body of the answer to a call, up to `max` bytes of it.
pub fn call_body(max: usize) -> Result<Vec<u8>, HostError> {
    abi::receive(|data, size| {
        // SAFETY: see the module's reason.
        unsafe { abi::proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, max, data, size) }
    })
}

/// Calls a function that this very host has beyond the ABI.
pub fn foreign(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    abi::receive(|data, size| {
        // SAFETY: see the module's reason.
        unsafe {
            abi::proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        }
    })
}

unsafe extern "C" {
    /// The SDK's own entry point, which only a host calls otherwise; and none does, for no queue is registered here.
    safe fn proxy_on_queue_ready(context: u32, queue: u32);
}

/// Runs the `on_queue_ready` of a root context that is there, inside the callback of another: what it does is the root's.
pub fn call_back(root: u32) {
    proxy_on_queue_ready(root, 0);
}

/// Makes the calls that follow speak of another context: a stream that waits, from its root's callback.
pub fn speak_of(context: u32) -> Result<(), HostError> {
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_set_effective_context(context) })
}

/// The time between ticks of the current context's root. Takes effect at once.
pub fn tick_every(period: Duration) {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: the call takes no pointer. No host refuses it.
    let _ = unsafe { abi::proxy_set_tick_period_milliseconds(millis) };
}
