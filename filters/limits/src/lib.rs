//! What clients may ask for, and how much of it.
//!
//! [`Limits`] counts requests with [`Rate`] (GCRA) in a [`Table`] that all workers of the process share, by keys hashed with a
//! secret of the process. A request is charged to every limit that concerns it, narrow before wide: whoever is refused by a limit of its
//! own uses nothing of what all share. A refused request uses nothing of the limit that refuses it.
//! [`Concurrency`] counts what is under way at once. [`Abuse`] says who may not come in at all, or not log in for a while, and which
//! tokens are used in too many places.

mod abuse;
mod abuse_section;
mod cells;
mod compile;
mod concurrency;
mod concurrency_rows;
mod fleet;
mod gcra;
mod headers;
mod key;
mod limits;
mod logins;
pub mod metrics;
mod protobuf;
mod secret;
mod section;
mod store;
mod table;
mod token_use;

pub use abuse::{Abuse, NETWORK_BLOCKED};
pub use abuse_section::{RawAbuse, RawAccount, RawBlocked, RawLogins, RawTokens};
pub use cells::{CellTable, Cells};
pub use concurrency::{
    Concurrency, ConcurrencyState, Held, RawConcurrency, RawPlaces, TOO_MANY_AT_ONCE, Taken,
};
pub use fleet::{Asked, Fleet};
pub use gcra::{Judged, Rate};
pub use headers::Standing;
pub use key::{Caller, KeyPart, Subject};
pub use limits::{Checked, Explained, Hit, LIMIT_UNKNOWN, LimitState, Limits, Phase, RATE_LIMITED};
pub use logins::{LOGIN_BLOCKED, LOGIN_UNREADABLE, LoginState, Logins, Noted, Suspect};
pub use secret::{Hashed, KeyHasher, Secret};
pub use section::{
    OnFailure, RawAnswers, RawExempt, RawHeaders, RawLimits, RawRule, RawScope, RawService, RawTier,
};
pub use store::StoreError;
pub use table::{Charge, Charged, Table, Tag};
pub use token_use::{TOKEN_ABUSED, TokenUse, TokenUseState};
