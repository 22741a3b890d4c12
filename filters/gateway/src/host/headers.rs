#![allow(unsafe_code, reason = "calls to the host; every pointer comes from a live slice or local")]

use super::calls::RESPONSE_BODY;
use super::{abi, check};
use portcullis_edge_core::Headers;
use portcullis_edge_core::HostError;
use portcullis_pipeline::LocalReply;

/// A header map.
#[derive(Clone, Copy)]
pub enum Map {
    /// The request's headers.
    Request = 0,
    /// The request's trailers.
    RequestTrailers = 1,
    /// The response's headers.
    Response = 2,
    /// The headers of the answer to a call of ours.
    CallResponse = 6,
}

/// The whole map, in one call.
pub fn headers(map: Map) -> Result<Headers, HostError> {
    // SAFETY: see the module's reason.
    let blob = abi::receive(|data, size| unsafe { abi::proxy_get_header_map_pairs(map as u32, data, size) })?;
    Headers::from_blob(blob).map_err(|_| HostError(3))
}

/// The first value of a header.
pub fn header(map: Map, name: &str) -> Result<Vec<u8>, HostError> {
    abi::receive(|data, size| {
        // SAFETY: see the module's reason.
        unsafe { abi::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size) }
    })
}

/// Replaces all values of a header by one.
pub fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe {
        abi::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Gives a header one more value.
pub fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe {
        abi::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes all values of a header.
pub fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Puts `body` in the place of the `size` bytes of response body at hand.
pub fn replace_body(size: usize, body: &[u8]) -> Result<(), HostError> {
    // SAFETY: see the module's reason.
    check(unsafe { abi::proxy_set_buffer_bytes(RESPONSE_BODY, 0, size, body.as_ptr(), body.len()) })
}

/// Answers the request.
pub fn send_reply(reply: &LocalReply) -> Result<(), HostError> {
    let headers = serialise(&reply.headers);
    // SAFETY: see the module's reason.
    check(unsafe {
        abi::proxy_send_local_response(
            u32::from(reply.status),
            reply.details.as_ptr(),
            reply.details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            reply.grpc_status.unwrap_or(-1),
        )
    })
}

/// Resets the request's stream.
pub fn close_stream() -> Result<(), HostError> {
    const REQUEST: u32 = 0;
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_close_stream(REQUEST) })
}

/// Sends on a request that was held.
pub fn continue_request() -> Result<(), HostError> {
    const REQUEST: u32 = 0;
    // SAFETY: the call takes no pointer.
    check(unsafe { abi::proxy_continue_stream(REQUEST) })
}

/// The host's serialisation of a map: count, sizes, then each name and value with a NUL behind.
fn serialise(pairs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut blob = size(pairs.len()).to_vec();
    for (name, value) in pairs {
        blob.extend(size(name.len()));
        blob.extend(size(value.len()));
    }
    for (name, value) in pairs {
        blob.extend_from_slice(name.as_bytes());
        blob.push(0);
        blob.extend_from_slice(value);
        blob.push(0);
    }
    blob
}
