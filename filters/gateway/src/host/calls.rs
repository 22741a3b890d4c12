#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::{Map, abi, check, header};
use core::time::Duration;
use portcullis_edge_core::{Call, CallError, CallToken, GrpcCall, HostError, HttpCall};
use proxy_wasm::hostcalls;

const REQUEST_BODY: u32 = 0;
pub(super) const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;

/// Starts a call; its answer comes to the context that is current, under the returned token. Through the SDK, whose
/// dispatcher must know of it; the statuses it panics on no host returns here (ABI 0.2.1).
pub fn call(call: &Call) -> Result<CallToken, HostError> {
    let sent = match call {
        Call::Http(call) => http_call(call),
        Call::Grpc(call) => grpc_call(call),
    };
    sent.map(CallToken).map_err(|status| HostError(status as u32))
}

fn http_call(call: &HttpCall) -> Result<u32, proxy_wasm::types::Status> {
    let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), at_least_1_ms(call.timeout))
}

fn grpc_call(call: &GrpcCall) -> Result<u32, proxy_wasm::types::Status> {
    let (service, method, timeout) = (call.service, call.method, at_least_1_ms(call.timeout));
    hostcalls::dispatch_grpc_call(&call.cluster, service, method, Vec::new(), Some(&call.message), timeout)
}

/// 0 would be no time-out at all.
fn at_least_1_ms(timeout: Duration) -> Duration {
    timeout.max(Duration::from_millis(1))
}

/// Status and body, up to `max` bytes of it, of the HTTP answer that the running callback is about; `num_headers` is 0 if there is none.
pub fn http_answer(num_headers: usize, max: usize) -> Result<(u16, Vec<u8>), CallError> {
    if num_headers == 0 {
        return Err(CallError::Reset);
    }
    let status = header(Map::CallResponse, ":status").ok();
    let status = status.and_then(|text| core::str::from_utf8(&text).ok()?.parse().ok());
    let body = buffer(CALL_RESPONSE_BODY, max).unwrap_or_default();
    status.map(|status| (status, body)).ok_or(CallError::Reset)
}

/// The message, up to `max` bytes of it, of the gRPC answer that the running callback is about.
pub fn grpc_answer(max: usize) -> Vec<u8> {
    buffer(GRPC_MESSAGE, max).unwrap_or_default()
}

/// The first `max` bytes of the part of a body at hand: the request's, or the answer's.
pub fn body(of_request: bool, max: usize) -> Result<Vec<u8>, HostError> {
    buffer(if of_request { REQUEST_BODY } else { RESPONSE_BODY }, max)
}

fn buffer(buffer: u32, max: usize) -> Result<Vec<u8>, HostError> {
    abi::receive(|data, size| {
        // SAFETY: see the module's reason.
        unsafe { abi::proxy_get_buffer_bytes(buffer, 0, max, data, size) }
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

/// Makes the host calls that follow those of another context: of a stream that waits, from its root's callback.
pub fn switch_to(context: u32) -> Result<(), HostError> {
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_set_effective_context(context) })
}

/// The time between ticks of the current context's root. Takes effect at once.
pub fn tick_every(period: Duration) {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: the call takes no pointer. No host refuses it.
    let _ = unsafe { abi::proxy_set_tick_period_milliseconds(millis) };
}
