//! Arguments that no host must believe, and callbacks that do not end well.

use std::ptr::null_mut;

use crate::abi::*;

#[allow(unconditional_recursion)]
pub(super) fn recurse(n: u32) -> u32 {
    let frame = [n; 64];
    std::hint::black_box(&frame);
    recurse(n + 1) + std::hint::black_box(frame)[1]
}

pub(super) fn grow(pages: u32) -> String {
    let before = core::arch::wasm32::memory_grow(0, pages as usize);
    if before == usize::MAX { "refused".into() } else { "grown".into() }
}

/// Pointers and lengths that are no memory of ours.
pub(super) unsafe fn bad(what: &str) -> u32 {
    let far = 0xffff_0000usize as *mut u8;
    let (mut ptr, mut len) = (null_mut(), 0);
    unsafe {
        match what {
            "log" => proxy_log(2, far, 16),
            "log-length" => proxy_log(2, 8 as *const u8, usize::MAX),
            "log-wrap" => proxy_log(2, far, 0xffff_ffff),
            "key" => proxy_get_header_map_value(0, far, 16, &mut ptr, &mut len),
            "out" => proxy_get_header_map_value(0, ":path".as_ptr(), 5, far.cast(), far.cast()),
            "time" => proxy_get_current_time_nanoseconds(0xffff_fff9usize as *mut u64),
            "value" => proxy_set_shared_data("k".as_ptr(), 1, far, 1 << 30, 0),
            "pairs" => proxy_set_header_map_pairs(0, far, 4),
            "body" => proxy_set_buffer_bytes(0, 0, 0, far, 4),
            "property" => proxy_get_property(far, 4, &mut ptr, &mut len),
            "queue" => proxy_register_shared_queue(far, 4, far.cast()),
            "metric" => proxy_define_metric(0, "m".as_ptr(), 1, far.cast()),
            "foreign" => proxy_call_foreign_function(far, 4, far, 4, &mut ptr, &mut len),
            "reply" => proxy_send_local_response(200, far, 4, far, 4, far, 4, -1),
            "dns" => envoy_resolve_dns(far, 4, far.cast()),
            "dns-out" => envoy_resolve_dns("::1".as_ptr(), 3, far.cast()),
            "call" => proxy_http_call(far, 1, far, 1, far, 1, far, 1, 0, far.cast()),
            _ => 99,
        }
    }
}
