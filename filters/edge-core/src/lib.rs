//! The words that every stage of the gateway shares.
//!
//! A stage is a pure function of a [`RequestHead`], a [`Now`] and its own compiled policy. Nothing here knows a stage, a
//! proxy or a clock: what the host does (reading maps, telling the time, sending replies) happens in the `gateway` crate.

mod authority;
mod call;
mod claim_path;
mod config;
mod duration;
mod headers;
mod host;
mod memory_host;
mod mode;
mod name;
mod named;
mod network;
mod reason;
mod request;
mod secret;
mod time;
mod update;
mod verdict;

pub use authority::is_authority;
pub use call::{Answered, Call, CallError, CallToken, GrpcCall, HttpCall};
pub use claim_path::ClaimPath;
pub use config::{ConfigError, ConfigErrors, Node, PathSegment, nearest};
pub use duration::PolicyDuration;
pub use headers::{Headers, HeadersError};
pub use host::{Host, HostError, Namespace, Shared, StreamFact};
pub use memory_host::{MemoryHost, SignatureCheck};
pub use mode::Mode;
pub use name::{HeaderName, fibonacci_hash, folded, spelt_alike};
pub use named::{Named, check_label_name, is_label_name};
pub use network::Networks;
pub use reason::{Answer, Class, Denial, Quota, Reason};
pub use request::RequestHead;
pub use secret::{Env, Resolved, SecretText, Variable};
pub use time::{Mono, Now, Wall};
pub use update::update;
pub use verdict::Verdict;
