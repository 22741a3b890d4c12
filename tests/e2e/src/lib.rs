//! What end-to-end tests need to drive a real, stock Envoy.
//!
//! ```no_run
//! use portcullis_e2e::{Envoy, EnvoyConfig, Request};
//! use std::time::Duration;
//!
//! # let bootstrap = "";
//! let envoy = Envoy::start(EnvoyConfig::yaml(bootstrap));
//! let answer = Request::get("/api/v1/orders").header("x-user-role", b"\xff").send(envoy.address());
//! assert_eq!(answer.status, 401);
//! envoy.travel(Duration::from_secs(61));
//! assert_eq!(envoy.samples().sum("gateway_requests_total", &[("status_code", "401")]), 1.0);
//! ```
//!
//! Everything blocks, so tests are plain functions; every wait has a deadline. Each Envoy listens on ports of its own
//! and keeps its files in a folder of its own, so tests run in parallel. What goes wrong in the tool box itself panics
//! with the reason, and a test that fails while an [`Envoy`] is alive prints the tail of its logs. Where a failure is
//! the outcome under test, there is a `try_` method beside the panicking one.

mod admin;
mod answer;
mod binary;
mod broken;
mod browser;
mod client;
mod clock;
mod config;
mod connection;
mod envoy;
mod event_loops;
#[cfg(feature = "gateway")]
mod gateway;
mod h2_connection;
mod h2_fields;
mod key_server;
mod lines;
mod port;
mod process;
mod prometheus;
mod rate_limit_service;
mod request;
mod starting;
mod upstream;
mod validate;
mod wait;
mod wrk;

pub use admin::Admin;
pub use answer::{Answer, Headers};
pub use binary::{binary, try_binary, workspace};
pub use broken::{TRAP, routes_write_none};
pub use browser::{Browser, Page, chromium};
pub use client::{ClientError, PATIENCE};
pub use config::EnvoyConfig;
pub use connection::{Connection, Interrupter};
pub use envoy::{Ended, Envoy};
pub use event_loops::Look;
#[cfg(feature = "gateway")]
pub use gateway::{Gateway, PLUGIN_POLICY, Setup, demo_services, example_policy, module, without_tokens};
pub use h2_connection::{H2Connection, InPieces, Pending};
pub use key_server::{KeyAnswer, KeyServer};
pub use lines::{Line, Lines, Mark};
pub use port::ReservedPort;
pub use process::{Usage, usage_of};
pub use prometheus::{Labels, ParseError, Sample, Samples};
pub use rate_limit_service::RateLimitService;
pub use request::Request;
pub use starting::EnvoyError;
pub use upstream::{ScriptedUpstream, UpstreamConnection};
pub use validate::{Validation, validate};
pub use wait::{eventually, eventually_within, wait_for};
pub use wrk::{Asked, Wrk};
