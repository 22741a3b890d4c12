//! Names that the host looks up.

use super::shown::fetch;
use crate::abi::*;

/// Asks for the addresses of a name.
pub(super) fn ask(name: &str) -> String {
    let mut token = 0;
    // SAFETY: pointers and length are those of live values.
    let status = unsafe { envoy_resolve_dns(name.as_ptr(), name.len(), &mut token) };
    format!("{status} token={token}")
}

/// What the callback can read: how many addresses, how long each may be kept, and each of them behind a zero byte.
pub(crate) fn results(size: u32) -> String {
    // SAFETY: as above.
    let (status, bytes) = fetch(|ptr, n| unsafe { proxy_get_buffer_bytes(8, 0, size, ptr, n) });
    let count = number(&bytes, 0).unwrap_or(0) as usize;
    let seconds: Vec<String> =
        (0..count).filter_map(|at| Some(number(&bytes, at + 1)?.to_string())).collect();
    let texts = bytes.get(4 * (count + 1)..).unwrap_or_default();
    let addresses: Vec<_> = texts.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    format!("{status} {} bytes: {count} [{}] [{}]", bytes.len(), seconds.join(" "), addresses.join(" "))
}

fn number(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place * 4..place * 4 + 4)?.try_into().ok().map(u32::from_le_bytes)
}
