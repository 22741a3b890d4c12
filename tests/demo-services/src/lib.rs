//! The order processor's five services as real HTTP/1.1 servers in one process, with their state in memory: the upstreams of
//! `make run` and of the end-to-end tests. They answer like the reference deployment's, and a test can make them fail.
//!
//! ```
//! use portcullis_demo_services::{DemoServices, Fault, Options, Service};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let demo = DemoServices::start(Options::default()).await?;
//! let upstream = demo.addr(Service::Order);
//! demo.knobs().set(Fault::everywhere(Service::Order).status(503).times(5))?;
//! // ... send requests to `upstream` through a gateway ...
//! assert_eq!(demo.captured(Service::Order).len(), 0);
//! demo.shutdown().await;
//! # Ok(()) }
//! ```

mod capture;
mod catalogue;
mod clock;
mod control;
mod fault;
mod form;
mod gate;
mod identity;
mod knobs;
mod ledger;
mod live;
mod password;
mod platform;
mod port;
mod reply;
mod rules;
mod service;
mod services;
mod start;
mod tokens;
mod users;
mod wire;

pub use capture::Captured;
pub use fault::{BadFault, Fault, FaultId, PathMatch, Reset};
pub use knobs::Knobs;
pub use live::{Live, PROTOCOL};
pub use platform::{ADMIN, CUSTOMER, SeededUser};
pub use service::Service;
pub use start::{DEMO_JWT_SECRET, DemoServices, Options, Ports, StartError};
pub use tokens::{ACCESS_TOKEN, Claims, TokenError, Tokens};
pub use wire::Field;
