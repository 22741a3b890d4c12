//! gRPC clients get the proxy's errors as 200 with a `grpc-status`. In metrics and logs they are the HTTP errors they are.

use portcullis_edge_core::Headers;

/// The HTTP status that a response's `grpc-status` stands for (google.rpc.Code); `None` where it has none, or 0.
pub(crate) fn http_equivalent(response: &Headers) -> Option<u16> {
    let code: u8 = core::str::from_utf8(response.first("grpc-status")?).ok()?.parse().ok()?;
    match code {
        0 => None,
        3 => Some(400),
        16 => Some(401),
        7 => Some(403),
        5 | 12 => Some(404),
        8 => Some(429),
        14 => Some(503),
        4 => Some(504),
        _ => Some(500),
    }
}
