//! Business events, seen in traffic alone: orders, logins, deposits.
//!
//! An event is a request to a route that was answered with one of some statuses. What a JSON body says may divide it (by asset) and give
//! it an amount. Bodies are looked at as they pass, up to a bound, and are never held up or changed; what cannot be read is counted by
//! reason. Amounts are exact decimals, counted in whole units that the policy names.

mod amount;
mod body;
mod budget;
mod business;
mod field;
pub mod metrics;
mod pointer;
mod section;

pub use amount::Decimal;
pub use body::{Bodies, Body};
pub use budget::Budget;
pub use business::{Business, Happened, Needs};
pub use field::{Field, Unreadable};
pub use metrics::Skipped;
pub use section::{RawAmount, RawBusiness, RawBy, RawEvent, Side};
