//! The operations of the script. Numbers are decimal or `0x..`, texts are the rest of their word; `_` is the empty text.

use std::ptr::null_mut;

use crate::State;
use crate::abi::*;

pub(crate) fn log(text: &str) {
    // SAFETY: pointer and length are those of the text.
    unsafe { proxy_log(2, text.as_ptr(), text.len()) };
}

pub(crate) fn plugin_configuration() -> String {
    let (_, bytes) = fetch(|ptr, n| unsafe { proxy_get_buffer_bytes(7, 0, u32::MAX >> 1, ptr, n) });
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A host call that gives bytes; what it leaves alone shows as nothing.
fn fetch(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Vec<u8>) {
    let (mut ptr, mut len) = (null_mut(), 0);
    let status = call(&mut ptr, &mut len);
    if ptr.is_null() {
        return (status, Vec::new());
    }
    // SAFETY: the host allocated it with `proxy_on_memory_allocate`, which gives exactly this capacity.
    (status, unsafe { Vec::from_raw_parts(ptr, len, len) })
}

struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn text(&mut self) -> &'a str {
        match self.0.next() {
            None | Some("_") => "",
            Some(word) => word,
        }
    }

    fn rest(&mut self) -> String {
        let words: Vec<&str> = self.0.by_ref().collect();
        words.join(" ")
    }

    fn number(&mut self) -> u32 {
        let word = self.text();
        match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).unwrap_or(0),
            None => word.parse::<i64>().map(|number| number as u32).unwrap_or(0),
        }
    }

    fn long(&mut self) -> i64 {
        self.text().parse().unwrap_or(0)
    }
}

pub(crate) fn run(state: &mut State, phase: &str, line: &str) {
    let mut words = Words(line.split_whitespace());
    let outcome = operation(state, words.text(), &mut words);
    log(&format!("{phase} {line} -> {outcome}"));
}

/// Segments are separated by dots; by bars where a segment has dots of its own.
fn path(text: &str) -> String {
    text.replace(if text.contains('|') { '|' } else { '.' }, "\0")
}

fn show((status, bytes): (u32, Vec<u8>)) -> String {
    format!("{status} {:?}", String::from_utf8_lossy(&bytes))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value.as_bytes());
        out.push(0);
    }
    out
}

fn operation(state: &mut State, name: &str, words: &mut Words) -> String {
    // SAFETY: every pointer and length below is that of a live value, but for those of `bad`, which the host must
    // refuse.
    unsafe {
        match name {
            "log" => {
                let (level, text) = (words.number(), words.rest());
                proxy_log(level, text.as_ptr(), text.len()).to_string()
            }
            "time" => {
                let mut time = 0;
                let status = proxy_get_current_time_nanoseconds(&mut time);
                format!("{status} {}", time / 1_000_000_000)
            }
            "tick" => proxy_set_tick_period_milliseconds(words.number()).to_string(),
            "effective" => match words.text() {
                "stream" => proxy_set_effective_context(state.stream).to_string(),
                other => proxy_set_effective_context(other.parse().unwrap_or(0)).to_string(),
            },
            "done" => proxy_done().to_string(),
            "status" => {
                let mut code = 0;
                let text = fetch(|ptr, n| proxy_get_status(&mut code, ptr, n));
                format!("{} code={code}", show(text))
            }
            "prop" => {
                let path = path(words.text());
                show(fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n)))
            }
            "shape" => {
                let path = path(words.text());
                let (status, bytes) = fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n));
                format!("{status} {} bytes", bytes.len())
            }
            "hexprop" => {
                let path = path(words.text());
                let (status, bytes) = fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n));
                format!("{status} {}", hex(&bytes))
            }
            // Envoy gives the entries in whatever order its hash table has.
            "mapprop" => {
                let path = path(words.text());
                let (status, bytes) = fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n));
                let mut entries: Vec<String> = parse(&bytes)
                    .map(|pairs| pairs.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect())
                    .unwrap_or_else(|| vec!["nothing".into()]);
                entries.sort();
                format!("{status} {}", entries.join(" "))
            }
            "now" => {
                let mut time = 0;
                let status = proxy_get_current_time_nanoseconds(&mut time);
                format!("{status} {}", if time > 1_600_000_000_000_000_000 { "after 2020" } else { "before" })
            }
            "env" => {
                let mut all: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
                all.sort();
                all.join(" ")
            }
            // The rest of the line, unless it has run for this stream.
            "once" => {
                let line = words.rest();
                if state.once == (state.stream, line.clone()) {
                    return "done already".into();
                }
                state.once = (state.stream, line.clone());
                let mut words = Words(line.split_whitespace());
                operation(state, words.text(), &mut words)
            }
            "wasi" => crate::wasi::run(words.text()),
            "rawprop" => {
                let path = words.text();
                show(fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n)))
            }
            "intprop" => {
                let path = path(words.text());
                let (status, bytes) = fetch(|ptr, n| proxy_get_property(path.as_ptr(), path.len(), ptr, n));
                let number = bytes.as_slice().try_into().map(i64::from_le_bytes);
                format!("{status} {number:?}")
            }
            "setprop" => {
                let (path, value) = (words.text(), words.rest());
                proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()).to_string()
            }
            "continue" => proxy_continue_stream(words.number()).to_string(),
            "close" => proxy_close_stream(words.number()).to_string(),
            "reply" => {
                let (code, body, details) = (words.number(), words.text(), words.rest());
                let headers = pairs(&[("x-probe", "reply")]);
                proxy_send_local_response(
                    code,
                    details.as_ptr(),
                    details.len(),
                    body.as_ptr(),
                    body.len(),
                    headers.as_ptr(),
                    headers.len(),
                    -1,
                )
                .to_string()
            }
            "level" => {
                let mut level = 99;
                let status = proxy_get_log_level(&mut level);
                format!("{status} {level}")
            }
            "trap" => panic!("the script says so"),
            "loop" => loop {
                std::hint::black_box(0);
            },
            "recurse" => recurse(words.number()).to_string(),
            "grow" => grow(words.number()),
            "get" | "add" | "set" | "remove" | "pairs" | "dump" | "setpairs" | "setblob" | "size" => map(name, words),
            "body" | "setbody" | "bufstatus" => buffer(name, words),
            "share" | "shared" | "register" | "resolve" | "enqueue" | "dequeue" => shared(state, name, words),
            "define" | "increment" | "record" | "metric" => metric(state, name, words),
            "call" | "grpc" | "stream" | "send" | "cancel" | "closegrpc" => callout(state, name, words),
            "rawcall" => raw_call(state, words),
            "foreignhex" => {
                let (name, args) = (words.text(), unhex(words.text()));
                let (status, bytes) = fetch(|ptr, n| {
                    proxy_call_foreign_function(name.as_ptr(), name.len(), args.as_ptr(), args.len(), ptr, n)
                });
                format!("{status} {}", hex(&bytes))
            }
            "foreign" => {
                let (name, args) = (words.text(), words.rest());
                show(fetch(|ptr, n| {
                    proxy_call_foreign_function(name.as_ptr(), name.len(), args.as_ptr(), args.len(), ptr, n)
                }))
            }
            "cel" => cel(&words.rest()),
            "bad" => bad(words.text()).to_string(),
            other => format!("no such operation: {other}"),
        }
    }
}

/// Creates an expression, evaluates it, and deletes it.
unsafe fn cel(expression: &str) -> String {
    let call = |name: &str, args: &[u8]| {
        fetch(|ptr, n| unsafe {
            proxy_call_foreign_function(name.as_ptr(), name.len(), args.as_ptr(), args.len(), ptr, n)
        })
    };
    let (created, token) = call("expr_create", expression.as_bytes());
    if created != 0 {
        return format!("created {created}");
    }
    let (status, value) = call("expr_evaluate", &token);
    call("expr_delete", &token);
    format!("{status} {}", String::from_utf8_lossy(&value).escape_debug())
}

#[allow(unconditional_recursion)]
fn recurse(n: u32) -> u32 {
    let frame = [n; 64];
    std::hint::black_box(&frame);
    recurse(n + 1) + std::hint::black_box(frame)[1]
}

fn grow(pages: u32) -> String {
    let before = core::arch::wasm32::memory_grow(0, pages as usize);
    if before == usize::MAX { "refused".into() } else { "grown".into() }
}

unsafe fn map(name: &str, words: &mut Words) -> String {
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
                format!("{status} {size}")
            }
            _ => {
                let (status, blob) = fetch(|ptr, n| proxy_get_header_map_pairs(map, ptr, n));
                format!("{status} {}", names(&blob))
            }
        }
    }
}

/// The names of a serialized map.
fn names(blob: &[u8]) -> String {
    let Some(pairs) = parse(blob) else { return "nothing".into() };
    let names: Vec<String> = pairs.into_iter().map(|(name, _)| name).collect();
    names.join(" ")
}

/// Names and values of a serialized map.
fn entries(blob: &[u8]) -> String {
    let Some(pairs) = parse(blob) else { return "nothing".into() };
    let entries: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    entries.join(" ")
}

fn parse(blob: &[u8]) -> Option<Vec<(String, String)>> {
    let word =
        |at: usize| blob.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let count = word(0)?;
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for i in 0..count {
        let (name, value) = (word(4 + i * 8)?, word(8 + i * 8)?);
        let text = |from: usize, len: usize| {
            blob.get(from..from + len).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        pairs.push((text(at, name)?, text(at + name + 1, value)?));
        at += name + value + 2;
    }
    Some(pairs)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// `rawcall <cluster> <ms> <name=value>...`: an HTTP call with exactly these headers.
unsafe fn raw_call(state: &mut State, words: &mut Words) -> String {
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

unsafe fn buffer(name: &str, words: &mut Words) -> String {
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

unsafe fn shared(state: &mut State, name: &str, words: &mut Words) -> String {
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
unsafe fn metric(state: &mut State, name: &str, words: &mut Words) -> String {
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

unsafe fn callout(state: &mut State, name: &str, words: &mut Words) -> String {
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

/// Pointers and lengths that are no memory of ours.
unsafe fn bad(what: &str) -> u32 {
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
            "call" => proxy_http_call(far, 1, far, 1, far, 1, far, 1, 0, far.cast()),
            _ => 99,
        }
    }
}
