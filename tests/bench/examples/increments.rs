//! Counts requests and tokens in a VM of the real Envoy, and logs how long that took.

#![allow(missing_docs, reason = "the SDK's macro writes an undocumented entry point")]

#[allow(dead_code, reason = "the bench divides, the module does not")]
#[path = "../src/books.rs"]
mod books;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::LogLevel;
use std::time::{Duration, Instant};

/// One batch a tick: V8 swaps in better code for a function between its calls, never during one.
struct Root {
    books: books::Books,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.set_tick_period(Duration::from_millis(1));
        true
    }

    fn on_tick(&mut self) {
        let started = Instant::now();
        self.books.observe_batch();
        let between = Instant::now();
        self.books.observe_token_batch();
        report(books::REQUESTS, between.duration_since(started));
        report(books::TOKENS, between.elapsed());
    }
}

fn report(batch: &str, took: Duration) {
    let _ = hostcalls::log(LogLevel::Info, &format!("{batch} took {} ns", took.as_nanos()));
}

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { books: books::Books::open() }));
}}
