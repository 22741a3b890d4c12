//! Headers others rely on: trust headers on the way to a service, browser headers on the way to a client.

mod browser;
mod cors;
mod metrics;
mod origin;
mod reserved;
mod spellings;
mod trust;

pub use browser::{Action, BrowserHeader, BrowserHeaders, RawBrowserHeader, ResponseOps};
pub use cors::{CORS_ANSWERS, Cors, RawCors, preflight_method};
pub use metrics::TrustMetrics;
pub use origin::OriginRule;
pub use reserved::{RESERVED, Reserved};
pub use trust::{ClaimHeaderName, IdentityHeaders, RawTrustHeaders, TrustHeaders};
