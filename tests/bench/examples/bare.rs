//! A filter that reads a request's headers and adds one, with nothing but the ABI: what every host of tests can run. (The
//! Rust SDK imports more host functions than some of them have.)

#![allow(missing_docs, reason = "the names are the ABI's")]
#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "the host calls these")]

use std::ptr::null_mut;

const REQUEST_HEADERS: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut buffer = Vec::with_capacity(size);
    let start = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    start
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_: u32, _: u32) -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_: u32, _: u32) -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    let (mut data, mut size) = (null_mut(), 0);
    let (key, value) = (b"x-bytes", b"some");
    // SAFETY: the pointers are those of live values; what the host gives was allocated above, with that capacity.
    unsafe {
        if proxy_get_header_map_pairs(REQUEST_HEADERS, &raw mut data, &raw mut size) == 0 && size > 0 {
            drop(Vec::from_raw_parts(data, size, size));
        }
        proxy_add_header_map_value(REQUEST_HEADERS, key.as_ptr(), key.len(), value.as_ptr(), value.len());
    }
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(_: u32) -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(_: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(_: u32) {}
