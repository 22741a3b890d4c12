//! Runs any proxy-wasm module off-proxy, the way Envoy would.
//!
//! A `Proxy` is a proxy around modules: it keeps headers, bodies, properties, shared data, queues, metrics, timers and
//! callouts, has several workers and a virtual clock, and talks to upstreams that the test scripts. Tests look at
//! outcomes: what the client got, what the upstream saw, which metrics moved, what was logged.
//!
//! ```no_run
//! use portcullis_harness::{Proxy, Request, Upstream};
//!
//! let mut proxy = Proxy::builder()
//!     .module("filter.wasm")
//!     .config(r#"{"greeting": "hello"}"#)
//!     .upstream("backend", Upstream::respond(200).body("hi"))
//!     .build()?;
//! let out = proxy.send(Request::get("/hello").header("x-who", "me"))?;
//! assert_eq!(out.client.status(), Some(200));
//! assert_eq!(out.upstream.unwrap().header("x-greeting").as_deref(), Some("hello"));
//! # Ok::<(), portcullis_harness::Error>(())
//! ```

mod abi;
mod builder;
mod callout;
mod client;
mod codec;
mod connection;
mod coverage;
mod dns;
mod driver;
mod engine;
mod error;
mod headers;
mod host;
mod inspect;
mod loader;
mod message;
mod metadata;
mod outcome;
mod pairs;
mod process;
mod profile_text;
mod property;
mod protobuf;
mod proxy;
mod reply;
mod request;
mod route;
mod snapshot;
mod stream;
mod tls;
mod vm;

pub use abi::{AbiVersion, BufferType, LogLevel, MapType, MetricType, Status, StreamType};
pub use builder::{Builder, FailurePolicy, Plugin};
pub use callout::{Received, Upstream};
pub use client::{ClientResponse, Flaw};
pub use connection::{ConnectionHandle, ConnectionOutcome, Side};
pub use coverage::Coverage;
pub use dns::Dns;
pub use error::{Error, Failure, FailureKind, LoadError};
pub use headers::HeaderMap;
pub use inspect::{Inspection, inspect};
pub use loader::LoadedModule;
pub use metadata::{Metadata, Node};
pub use outcome::Outcome;
pub use process::faults::Faults;
pub use process::logs::LogLine;
pub use process::metrics::{Histogram, Metrics, Numbers};
pub use profile_text::profile_table;
pub use proxy::{Proxy, StreamHandle};
pub use reply::Reply;
pub use request::Request;
pub use route::Route;
pub use tls::{Certificate, Tls};
pub use vm::accounting::{CallbackCost, HostCallCost, Profile};
