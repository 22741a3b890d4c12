//! The section `abuse`, as it is written.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Mode, PolicyDuration};
use schemars::JsonSchema;

/// `abuse`: networks that may not come in, logins that fail too often, tokens that are used in too many places.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawAbuse {
    /// Clients of these networks are refused everywhere.
    #[deserr(default)]
    #[schemars(default)]
    pub blocked: RawBlocked,
    /// Clients of these networks are never blocked, and their failed logins do not count.
    #[deserr(default)]
    #[schemars(default)]
    pub trusted_networks: Vec<String>,
    /// Logins that fail too often.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawLogins")]
    pub failed_logins: Option<RawLogins>,
    /// Tokens that are used in too many places.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawTokens")]
    pub tokens: Option<RawTokens>,
}

/// Networks that may not come in.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawBlocked {
    /// The networks.
    #[deserr(default)]
    #[schemars(default)]
    pub networks: Vec<String>,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// When failed logins block a client from logging in.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawLogins {
    /// Paths of the login routes.
    #[schemars(length(min = 1))]
    pub routes: Vec<String>,
    /// Which answers of theirs are failures (default 401; with 404, unknown users count too).
    #[deserr(default = unauthorized())]
    #[schemars(default = "unauthorized", length(min = 1))]
    pub statuses: Vec<u16>,
    /// So many failures (default 5)
    #[deserr(default = 5)]
    #[schemars(default = "five", range(min = 1, max = 100))]
    pub failures: u32,
    /// within this time (default `300s`)
    #[deserr(default = five_minutes())]
    #[schemars(default = "five_minutes")]
    pub within: PolicyDuration,
    /// block the client's network from these routes for so long (default `300s`).
    #[deserr(default = five_minutes())]
    #[schemars(default = "five_minutes")]
    pub block_for: PolicyDuration,
    /// Failures are counted by account as well, wherever they come from.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawAccount")]
    pub account: Option<RawAccount>,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// When failed logins block an account: for a guesser with many addresses. Whoever knows an account's name can keep its owner out for
/// `block_for`, so leave it out where that is worse than a guessed password.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawAccount {
    /// Where the account stands in the request's JSON body: a JSON Pointer (RFC 6901) such as `/email`. Upper and lower case are alike. A
    /// body in which two readers could find two accounts (no JSON, compressed, larger than 64 KiB, without the field or with it twice) is
    /// refused with 400.
    pub field: String,
    /// So many failures within `within` block it for `block_for` (default 20).
    #[deserr(default = 20)]
    #[schemars(default = "twenty", range(min = 1, max = 100))]
    pub failures: u32,
}

/// When a token is used in too many places.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawTokens {
    /// From how many networks of clients one token may be used.
    #[schemars(range(min = 1, max = 32))]
    pub networks: u32,
    /// Within this time (default `1h`). Requests from further networks are refused.
    #[deserr(default = an_hour())]
    #[schemars(default = "an_hour")]
    pub within: PolicyDuration,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

fn unauthorized() -> Vec<u16> {
    vec![401]
}

fn five() -> u32 {
    5
}

fn twenty() -> u32 {
    20
}

fn five_minutes() -> PolicyDuration {
    PolicyDuration::secs(300)
}

fn an_hour() -> PolicyDuration {
    PolicyDuration::secs(3600)
}
