//! The section `limits`, as it is written.

use crate::key::KeyPart;
use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Mode, Named, PolicyDuration};
use schemars::JsonSchema;

/// `limits`: how much clients may ask for.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawLimits {
    /// The limits, by name: letters, digits and `_`. The name is the label `type` of the metrics.
    #[deserr(default)]
    #[schemars(default, extend("propertyNames" = rule_names()))]
    pub rules: Named<RawRule>,
    /// Which headers describe to a client the limit that it is nearest to (default: both kinds, on every answer).
    #[deserr(default)]
    #[schemars(default)]
    pub headers: RawHeaders,
    /// The service that counts for the whole fleet, for limits of `scope: fleet`.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawService")]
    pub service: Option<RawService>,
}

pub(crate) fn rule_names() -> schemars::Schema {
    schemars::json_schema!({ "pattern": "^[a-z][a-z0-9_]*$" })
}

/// Which headers describe limits.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawHeaders {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11; default true).
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub ratelimit: bool,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, which is in seconds since 1970 (default true).
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub x_ratelimit: bool,
    /// On which answers (default `all`).
    #[deserr(default)]
    #[schemars(default)]
    pub on: RawAnswers,
}

fn yes() -> bool {
    true
}

impl Default for RawHeaders {
    fn default() -> Self {
        Self { ratelimit: true, x_ratelimit: true, on: RawAnswers::All }
    }
}

/// Which responses have headers that describe limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawAnswers {
    /// All to which a limit applies.
    #[default]
    All,
    /// Those with status 429. Others cost no header.
    Refused,
}

/// One limit.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRule {
    /// What it counts by, all parts together; `[]` counts all requests as one. A request that lacks a user, role or claim named here
    /// is not counted.
    pub key: Vec<KeyPart>,
    /// Units of a window. A request is one unit, unless `costs` says otherwise.
    #[schemars(range(min = 1))]
    pub limit: u64,
    /// The window, from `1s` to `1d`.
    pub window: PolicyDuration,
    /// How many units may come at once (default: `limit`). Used units come back one by one, evenly over the window.
    #[deserr(default)]
    pub burst: Option<u64>,
    /// Only requests to routes with these paths (default: all requests).
    #[deserr(default)]
    #[schemars(default)]
    pub routes: Vec<String>,
    /// Units that a request costs, by its route's path; 0 is free.
    #[deserr(default)]
    #[schemars(default)]
    pub costs: Named<u64>,
    /// Other limits for bearers of some roles; the first that fits counts.
    #[deserr(default)]
    #[schemars(default)]
    pub tiers: Vec<RawTier>,
    /// Who is not counted.
    #[deserr(default)]
    #[schemars(default)]
    pub exempt: RawExempt,
    /// Who counts (default `process`).
    #[deserr(default)]
    #[schemars(default)]
    pub scope: RawScope,
    /// What becomes of a request that could not be counted (default `allow`).
    #[deserr(default)]
    #[schemars(default)]
    pub on_failure: OnFailure,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// Another limit for some roles.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawTier {
    /// Bearers of one of these.
    #[schemars(length(min = 1))]
    pub roles: Vec<String>,
    /// Units of a window.
    #[schemars(range(min = 1))]
    pub limit: u64,
    /// How many units may come at once (default: `limit`).
    #[deserr(default)]
    pub burst: Option<u64>,
}

/// Who is not counted.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawExempt {
    /// Clients of these networks.
    #[deserr(default)]
    #[schemars(default)]
    pub networks: Vec<String>,
    /// Bearers of one of these roles.
    #[deserr(default)]
    #[schemars(default)]
    pub roles: Vec<String>,
}

/// Who counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawScope {
    /// This proxy, all its workers together, exactly.
    #[default]
    Process,
    /// `limits.service`, for all proxies together. What one proxy alone sees of more than the limit, it refuses without asking.
    Fleet,
}

/// What becomes of a request when the state it should be judged by cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum OnFailure {
    /// It passes.
    #[default]
    Allow,
    /// It is refused with 503.
    Deny,
}

/// The service that counts for the whole fleet: Envoy's rate limit service protocol, version 3.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawService {
    /// The cluster, of the policy's `clusters`.
    pub cluster: String,
    /// The domain of its configuration (default `portcullis`).
    #[deserr(default = default_domain())]
    #[schemars(default = "default_domain")]
    pub domain: String,
    /// How long it may take to answer (default `50ms`).
    #[deserr(default = default_timeout())]
    #[schemars(default = "default_timeout")]
    pub timeout: PolicyDuration,
}

fn default_domain() -> String {
    "portcullis".to_owned()
}

fn default_timeout() -> PolicyDuration {
    PolicyDuration::millis(50)
}
