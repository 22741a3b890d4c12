//! Portcullis inside a proxy: reads what the host has, runs the pipeline, does what it says.
//!
//! No decision is taken here. Every host call goes through [`host`] and can fail without a panic.

#![allow(missing_docs, reason = "the SDK's macro writes an undocumented entry point")]

mod expiring;
mod held;
mod host;
mod http;
mod perform;
mod proxy;
mod root;
mod root_calls;
mod shared;
mod stats;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context| Box::new(root::Root::new(context)));
}}
