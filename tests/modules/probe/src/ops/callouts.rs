//! HTTP and gRPC callouts.

use super::shown::pairs;
use super::words::Words;
use crate::State;
use crate::abi::*;

/// `rawcall <cluster> <ms> <name=value>...`: an HTTP call with exactly these headers.
pub(super) unsafe fn raw_call(state: &mut State, words: &mut Words) -> String {
    let (cluster, ms, rest) = (words.text(), words.number(), words.rest());
    let list: Vec<(&str, &str)> = rest.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let headers = pairs(&list);
    let none = std::ptr::null();
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            none,
            0,
            none,
            0,
            ms,
            &mut state.token,
        )
    };
    format!("{status} token={}", state.token)
}

pub(super) unsafe fn callout(state: &mut State, name: &str, words: &mut Words) -> String {
    let token = &mut state.token;
    unsafe {
        match name {
            "call" => {
                let (cluster, ms, path, body) = (words.text(), words.number(), words.text(), words.rest());
                let all = [(":method", "POST"), (":path", path), (":authority", "peer")];
                let headers = if path.is_empty() { pairs(&all[..1]) } else { pairs(&all) };
                let (c, h, b) = (cluster.as_bytes(), &headers, body.as_bytes());
                let status = proxy_http_call(
                    c.as_ptr(),
                    c.len(),
                    h.as_ptr(),
                    h.len(),
                    b.as_ptr(),
                    b.len(),
                    std::ptr::null(),
                    0,
                    ms,
                    token,
                );
                format!("{status} token={token}")
            }
            "grpc" => {
                let (cluster, ms, message) = (words.text(), words.number(), words.rest());
                let (s, m) = ("probe.Service", "Method");
                let status = proxy_grpc_call(
                    cluster.as_ptr(),
                    cluster.len(),
                    s.as_ptr(),
                    s.len(),
                    m.as_ptr(),
                    m.len(),
                    std::ptr::null(),
                    0,
                    message.as_ptr(),
                    message.len(),
                    ms,
                    token,
                );
                format!("{status} token={token}")
            }
            "stream" => {
                let cluster = words.text();
                let (s, m) = ("probe.Service", "Stream");
                let status = proxy_grpc_stream(
                    cluster.as_ptr(),
                    cluster.len(),
                    s.as_ptr(),
                    s.len(),
                    m.as_ptr(),
                    m.len(),
                    std::ptr::null(),
                    0,
                    token,
                );
                format!("{status} token={token}")
            }
            "send" => {
                let (end, message) = (words.number(), words.rest());
                proxy_grpc_send(*token, message.as_ptr(), message.len(), end).to_string()
            }
            "cancel" => proxy_grpc_cancel(*token).to_string(),
            _ => proxy_grpc_close(*token).to_string(),
        }
    }
}
