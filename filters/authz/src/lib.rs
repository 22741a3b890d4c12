//! Who may do what, per route.
//!
//! A route's rules are read in one order: a `deny` rule that matches forbids; then an `allow` rule that matches lets through;
//! then the route's `default` decides, which is to forbid. A rule matches when all its conditions hold. Nothing here knows a
//! token: what is known of the bearer comes in as [`Who`].

mod check;
mod metrics;
mod policy;

pub use check::{Condition, Forbidden, Judged, Rules, Scalar, Subject, Who};
pub use metrics::{Permission, RULES, RuleMetrics};
pub use policy::{RawCondition, RawDefault, RawNames, RawRule, RawRules};
pub use portcullis_edge_core::ClaimPath;
