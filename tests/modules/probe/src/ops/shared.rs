//! Shared data, queues and metrics.

use super::shown::{fetch, show};
use super::words::Words;
use crate::State;
use crate::abi::*;

pub(super) unsafe fn shared(state: &mut State, name: &str, words: &mut Words) -> String {
    let text = words.text();
    unsafe {
        match name {
            "shared" => {
                let cas = &mut state.cas;
                show(fetch(|ptr, n| proxy_get_shared_data(text.as_ptr(), text.len(), ptr, n, cas)))
            }
            "share" => {
                let (value, cas) = (words.text(), words.text());
                let cas = if cas == "last" { state.cas } else { cas.parse().unwrap_or(0) };
                proxy_set_shared_data(text.as_ptr(), text.len(), value.as_ptr(), value.len(), cas).to_string()
            }
            "register" => {
                let status = proxy_register_shared_queue(text.as_ptr(), text.len(), &mut state.queue);
                format!("{status} {}", state.queue)
            }
            "resolve" => {
                let vm = words.text();
                let mut id = 0;
                let status =
                    proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), text.as_ptr(), text.len(), &mut id);
                format!("{status} {id}")
            }
            "enqueue" => {
                let queue = text.parse().unwrap_or(state.queue);
                let value = words.rest();
                proxy_enqueue_shared_queue(queue, value.as_ptr(), value.len()).to_string()
            }
            _ => {
                let queue = text.parse().unwrap_or(state.queue);
                show(fetch(|ptr, n| proxy_dequeue_shared_queue(queue, ptr, n)))
            }
        }
    }
}

/// `counter`, `gauge` and `histogram` stand for the ids defined last.
pub(super) unsafe fn metric(state: &mut State, name: &str, words: &mut Words) -> String {
    let which = words.text();
    let kind = ["counter", "gauge", "histogram"].iter().position(|kind| *kind == which);
    unsafe {
        if name == "define" {
            let text = words.text();
            let mut id = 0;
            let number = kind.map(|kind| kind as u32).unwrap_or_else(|| which.parse().unwrap_or(99));
            let status = proxy_define_metric(number, text.as_ptr(), text.len(), &mut id);
            if let Some(kind) = kind {
                state.metrics[kind] = id;
            }
            return format!("{status} {id}");
        }
        let id = kind.map(|kind| state.metrics[kind]).unwrap_or_else(|| which.parse().unwrap_or(0));
        match name {
            "increment" => proxy_increment_metric(id, words.long()).to_string(),
            "record" => proxy_record_metric(id, words.long() as u64).to_string(),
            _ => {
                let mut value = 0;
                let status = proxy_get_metric(id, &mut value);
                format!("{status} {value}")
            }
        }
    }
}
