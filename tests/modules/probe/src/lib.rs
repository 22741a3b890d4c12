//! A raw-ABI probe: the plugin configuration is a script of host calls, and every call logs what it got.
//!
//! Each line of the script is `<phase> <operation> <arguments>`; a phase is a callback's name without `on_`. Whenever the
//! callback runs, it logs its arguments, then runs its lines in order. `return N` sets what the callback returns. The
//! phase `*` stands for every one.

mod abi;
mod ops;
mod script;
mod wasi;

use std::cell::RefCell;

use script::Script;

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[derive(Default)]
pub(crate) struct State {
    pub script: Script,
    /// The stream that was seen last, for `effective`.
    pub stream: u32,
    pub cas: u32,
    pub queue: u32,
    pub metrics: [u32; 3],
    pub token: u32,
    /// What `once` has run last, and for which stream.
    pub once: (u32, String),
}

/// Logs the callback's arguments, runs its lines, and gives what it shall return.
fn callback(phase: &str, arguments: &[(&str, u32)], default: u32) -> u32 {
    let shown: String = arguments.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    ops::log(&format!("> {phase}{shown}"));
    let lines = STATE.with_borrow(|state| state.script.lines(phase));
    let mut answer = default;
    for line in lines {
        match line.strip_prefix("return ") {
            Some(number) => answer = number.trim().parse().unwrap_or(default),
            None => STATE.with_borrow_mut(|state| ops::run(state, phase, &line)),
        }
    }
    answer
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut buffer = Vec::with_capacity(size);
    let ptr = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    ptr
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        // The configuration can be read here already, so that vm_start has its lines.
        let script = ops::plugin_configuration();
        STATE.with_borrow_mut(|state| state.script = Script::parse(&script));
    } else {
        STATE.with_borrow_mut(|state| state.stream = context);
    }
    callback("context_create", &[("ctx", context), ("parent", parent)], 0);
}

macro_rules! callbacks {
    ($($export:ident($($arg:ident),*) -> $default:literal;)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export($($arg: u32),*) -> u32 {
            let phase = stringify!($export).trim_start_matches("proxy_on_");
            callback(phase, &[$((stringify!($arg), $arg)),*], $default)
        })*
    };
}

macro_rules! notices {
    ($($export:ident($($arg:ident),*);)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export($($arg: u32),*) {
            let phase = stringify!($export).trim_start_matches("proxy_on_");
            callback(phase, &[$((stringify!($arg), $arg)),*], 0);
        })*
    };
}

callbacks! {
    proxy_on_vm_start(ctx, n) -> 1;
    proxy_on_configure(ctx, n) -> 1;
    proxy_on_request_headers(ctx, n, eos) -> 0;
    proxy_on_request_body(ctx, n, eos) -> 0;
    proxy_on_request_trailers(ctx, n) -> 0;
    proxy_on_response_headers(ctx, n, eos) -> 0;
    proxy_on_response_body(ctx, n, eos) -> 0;
    proxy_on_response_trailers(ctx, n) -> 0;
    proxy_on_request_metadata(ctx, n) -> 0;
    proxy_on_response_metadata(ctx, n) -> 0;
    proxy_validate_configuration(ctx, n) -> 1;
    proxy_on_new_connection(ctx) -> 0;
    proxy_on_downstream_data(ctx, n, eos) -> 0;
    proxy_on_upstream_data(ctx, n, eos) -> 0;
    proxy_on_done(ctx) -> 1;
}

notices! {
    proxy_on_tick(ctx);
    proxy_on_queue_ready(ctx, queue);
    proxy_on_http_call_response(ctx, token, headers, body, trailers);
    proxy_on_grpc_receive_initial_metadata(ctx, token, n);
    proxy_on_grpc_receive(ctx, token, n);
    proxy_on_grpc_receive_trailing_metadata(ctx, token, n);
    proxy_on_grpc_close(ctx, token, code);
    proxy_on_foreign_function(ctx, function, n);
    proxy_on_downstream_connection_close(ctx, peer);
    proxy_on_upstream_connection_close(ctx, peer);
    proxy_on_log(ctx);
    proxy_on_delete(ctx);
}

/// An answer may come while the question is still being asked, when the script is under way.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_on_resolve_dns(ctx: u32, token: u32, n: u32) {
    ops::log(&format!("> resolve_dns ctx={ctx} token={token} n={n} -> {}", ops::dns_results(n)));
    if STATE.with(|state| state.try_borrow_mut().is_ok()) {
        callback("resolve_dns", &[("ctx", ctx)], 0);
    }
}
