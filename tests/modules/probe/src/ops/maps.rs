//! Header maps and buffers.

use super::shown::{entries, fetch, names, pairs, show, unhex};
use super::words::Words;
use crate::abi::*;

const TOOK: &str = "x-envoy-upstream-service-time";

pub(super) unsafe fn map(name: &str, words: &mut Words) -> String {
    let map = words.number();
    unsafe {
        match name {
            "get" => {
                let key = words.text();
                show(fetch(|ptr, n| proxy_get_header_map_value(map, key.as_ptr(), key.len(), ptr, n)))
            }
            "add" => {
                let (key, value) = (words.text(), words.rest());
                proxy_add_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len())
                    .to_string()
            }
            "set" => {
                let (key, value) = (words.text(), words.rest());
                proxy_replace_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len())
                    .to_string()
            }
            "remove" => {
                let key = words.text();
                proxy_remove_header_map_value(map, key.as_ptr(), key.len()).to_string()
            }
            "setpairs" => {
                let blob = pairs(&[("x-only", "this")]);
                proxy_set_header_map_pairs(map, blob.as_ptr(), blob.len()).to_string()
            }
            "setblob" => {
                let blob = unhex(words.text());
                proxy_set_header_map_pairs(map, blob.as_ptr(), blob.len()).to_string()
            }
            "dump" => {
                let (status, blob) = fetch(|ptr, n| proxy_get_header_map_pairs(map, ptr, n));
                format!("{status} {}", entries(&blob))
            }
            "size" => {
                let mut size = 0;
                let status = proxy_get_header_map_size(map, &mut size);
                // Measured in real time, it has one digit or more.
                let (_, took) = fetch(|ptr, n| {
                    proxy_get_header_map_value(map, TOOK.as_ptr(), TOOK.len(), ptr, n)
                });
                format!("{status} {}", size.saturating_sub(took.len()))
            }
            _ => {
                let (status, blob) = fetch(|ptr, n| proxy_get_header_map_pairs(map, ptr, n));
                format!("{status} {}", names(&blob))
            }
        }
    }
}

pub(super) unsafe fn buffer(name: &str, words: &mut Words) -> String {
    let (buffer, start, size) = (words.number(), words.number(), words.number());
    unsafe {
        match name {
            "body" => show(fetch(|ptr, n| proxy_get_buffer_bytes(buffer, start, size, ptr, n))),
            "setbody" => {
                let text = words.rest();
                proxy_set_buffer_bytes(buffer, start, size, text.as_ptr(), text.len()).to_string()
            }
            _ => {
                let (mut size, mut flags) = (99, 99);
                let status = proxy_get_buffer_status(buffer, &mut size, &mut flags);
                format!("{status} {size} {flags}")
            }
        }
    }
}
