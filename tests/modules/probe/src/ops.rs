//! The operations of the script, by their first word.

mod bad;
mod callouts;
mod dns;
mod maps;
mod properties;
mod shared;
mod shown;
mod words;

use crate::State;
use crate::abi::*;
use callouts::{callout, raw_call};
pub(crate) use dns::results as dns_results;
use maps::{buffer, map};
use properties::property;
use shared::{metric, shared};
use shown::{fetch, hex, pairs, show, unhex};
use words::Words;

pub(crate) fn log(text: &str) {
    // SAFETY: pointer and length are those of the text.
    unsafe { proxy_log(2, text.as_ptr(), text.len()) };
}

pub(crate) fn plugin_configuration() -> String {
    let (_, bytes) = fetch(|ptr, n| unsafe { proxy_get_buffer_bytes(7, 0, u32::MAX >> 1, ptr, n) });
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn run(state: &mut State, phase: &str, line: &str) {
    let mut words = Words::of(line);
    let outcome = operation(state, words.text(), &mut words);
    log(&format!("{phase} {line} -> {outcome}"));
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
            "now" => {
                let mut time = 0;
                let status = proxy_get_current_time_nanoseconds(&mut time);
                format!("{status} {}", if time > 1_600_000_000_000_000_000 { "after 2020" } else { "before" })
            }
            "env" => {
                let mut all: Vec<String> =
                    std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
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
                let mut words = Words::of(&line);
                operation(state, words.text(), &mut words)
            }
            "wasi" => crate::wasi::run(words.text()),
            "prop" | "shape" | "hexprop" | "mapprop" | "rawprop" | "intprop" | "setprop" => {
                property(name, words)
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
            "recurse" => bad::recurse(words.number()).to_string(),
            "grow" => bad::grow(words.number()),
            "get" | "add" | "set" | "remove" | "pairs" | "dump" | "setpairs" | "setblob" | "size" => {
                map(name, words)
            }
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
            "dns" => dns::ask(words.text()),
            "cel" => cel(&words.rest()),
            "bad" => bad::bad(words.text()).to_string(),
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
