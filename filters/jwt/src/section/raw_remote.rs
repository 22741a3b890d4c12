//! What a provider's section says of things that are elsewhere.

use deserr::Deserr;
use portcullis_edge_core::SecretText;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use schemars::JsonSchema;

/// A JWK Set that is fetched. One worker fetches, all use it; the last good set is kept while fetching fails.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawFetch {
    /// The set's URL (`https://idp.example/keys`). Or `discovery`.
    #[deserr(default)]
    #[schemars(default)]
    pub jwks_uri: Option<String>,
    /// Whether the URL is found through OpenID Connect Discovery from `issuer`. Or `jwks_uri`.
    #[deserr(default)]
    #[schemars(default)]
    pub discovery: bool,
    /// Where the issuer's configuration stands, where that is not `issuer` and `/.well-known/openid-configuration`; with
    /// `discovery` only.
    #[deserr(default)]
    #[schemars(default)]
    pub discovery_uri: Option<String>,
    /// The value of `Authorization` in these requests, such as `${ENV:JWKS_AUTHORIZATION}` for `Bearer ..`. It goes to the host that
    /// is asked first, and nowhere that discovery leads to.
    #[deserr(default)]
    #[schemars(default)]
    pub authorization: Option<SecretText>,
    /// The Envoy cluster that leads to the issuer. It carries the TLS.
    pub cluster: String,
    /// The cluster that leads to the keys, where discovery finds them elsewhere (default: `cluster`).
    #[deserr(default)]
    #[schemars(default)]
    pub jwks_cluster: Option<String>,
    /// How often the keys are fetched (default 10m).
    #[deserr(default = PolicyDuration::secs(600))]
    #[schemars(default = "ten_minutes")]
    pub refresh: PolicyDuration,
    /// How long an answer may take (default 5s).
    #[deserr(default = PolicyDuration::secs(5))]
    #[schemars(default = "five_seconds")]
    pub timeout: PolicyDuration,
    /// How long to wait after a failure; doubled with each further one, up to `refresh` (default 2s).
    #[deserr(default = PolicyDuration::secs(2))]
    #[schemars(default = "two_seconds")]
    pub retry: PolicyDuration,
    /// The least time between two fetches that unknown key ids cause (default 30s).
    #[deserr(default = PolicyDuration::secs(30))]
    #[schemars(default = "half_a_minute")]
    pub cooldown: PolicyDuration,
    /// How old the last good keys may grow while fetching fails (default 24h); beyond it no token of the provider passes.
    #[deserr(default = PolicyDuration::secs(86_400))]
    #[schemars(default = "a_day")]
    pub max_age: PolicyDuration,
    /// The largest answer in bytes (default 65536).
    #[deserr(default = 65_536)]
    #[schemars(default = "default_set_bytes", range(min = 256, max = 1_048_576))]
    pub max_bytes: u32,
    /// The most keys in an answer (default 64).
    #[deserr(default = 64)]
    #[schemars(default = "default_max_keys", range(min = 1, max = 256))]
    pub max_keys: u16,
}

/// A deny list: `{"revoked": [{"jti": ".."}, {"sub": "..", "issued_before": 1795000000}, {"signed": ".."}]}`, where `signed` is
/// the SHA-256 of header, dot and payload in base64url.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRevocation {
    /// The list's URL.
    pub url: String,
    /// The value of `Authorization` in these requests, such as `${ENV:LIST_AUTHORIZATION}`.
    #[deserr(default)]
    #[schemars(default)]
    pub authorization: Option<SecretText>,
    /// The Envoy cluster that leads there.
    pub cluster: String,
    /// How often it is fetched (default 1m).
    #[deserr(default = PolicyDuration::secs(60))]
    #[schemars(default = "a_minute")]
    pub refresh: PolicyDuration,
    /// How long an answer may take (default 5s).
    #[deserr(default = PolicyDuration::secs(5))]
    #[schemars(default = "five_seconds")]
    pub timeout: PolicyDuration,
    /// How old the last good list may grow while fetching fails (default 1h).
    #[deserr(default = PolicyDuration::secs(3600))]
    #[schemars(default = "an_hour")]
    pub max_age: PolicyDuration,
    /// The largest list in bytes (default 262144).
    #[deserr(default = 262_144)]
    #[schemars(default = "default_list_bytes", range(min = 256, max = 1_048_576))]
    pub max_bytes: u32,
    /// The most entries (default 4096).
    #[deserr(default = 4096)]
    #[schemars(default = "default_entries", range(min = 1, max = 65_536))]
    pub max_entries: u32,
    /// What becomes of tokens while there is no list: `refuse` (default; 503) or `allow`.
    #[deserr(default)]
    #[schemars(default)]
    pub when_unknown: RawWhenUnknown,
}

/// What becomes of a token that cannot be checked now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawWhenUnknown {
    /// 503.
    #[default]
    Refuse,
    /// It passes, if it is good by itself.
    Allow,
}

/// An auth service.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawIntrospection {
    /// How it is asked (default `rfc7662`).
    #[deserr(default)]
    #[schemars(default)]
    pub style: RawStyle,
    /// Where it is asked.
    pub url: String,
    /// The Envoy cluster that leads there.
    pub cluster: String,
    /// The gateway's name there (HTTP Basic, RFC 6749 section 2.3.1).
    #[deserr(default)]
    #[schemars(default)]
    pub client_id: Option<String>,
    /// The secret that goes with `client_id`, or `${ENV:NAME}`.
    #[deserr(default)]
    #[schemars(default)]
    pub client_secret: Option<SecretText>,
    /// How long an answer may take, 60s at most (default 2s).
    #[deserr(default = PolicyDuration::secs(2))]
    #[schemars(default = "two_seconds")]
    pub timeout: PolicyDuration,
    /// How often a question is asked again while the service is out of reach (default 1).
    #[deserr(default = 1)]
    #[schemars(default = "one", range(max = 3))]
    pub retries: u8,
    /// How long a good answer is believed, 1h at most (default 30s; 0s asks every time). So long may a revoked token still
    /// pass.
    #[deserr(default = PolicyDuration::secs(30))]
    #[schemars(default = "half_a_minute")]
    pub cache: PolicyDuration,
    /// How long a token is remembered as inactive, 1m at most (default 5s; 0s asks every time). One that becomes active meanwhile is
    /// refused for so long.
    #[deserr(default = PolicyDuration::secs(5))]
    #[schemars(default = "five_seconds")]
    pub negative_cache: PolicyDuration,
    /// What becomes of tokens while the service is out of reach (no answer in time, a connection that broke, 5xx): `refuse`
    /// (default; 503) or, for a provider with keys, `allow`. Any other answer that is none is always 503.
    #[deserr(default)]
    #[schemars(default)]
    pub when_unavailable: RawWhenUnknown,
}

/// How an auth service is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
pub enum RawStyle {
    /// OAuth 2.0 Token Introspection: a form, answered with `active`.
    #[default]
    #[deserr(rename = "rfc7662")]
    #[schemars(rename = "rfc7662")]
    Rfc7662,
    /// `{"token"}` with `X-Source: gateway`, answered with `valid`.
    #[deserr(rename = "order_processor")]
    #[schemars(rename = "order_processor")]
    OrderProcessor,
}

fn two_seconds() -> PolicyDuration {
    PolicyDuration::secs(2)
}

fn five_seconds() -> PolicyDuration {
    PolicyDuration::secs(5)
}

fn half_a_minute() -> PolicyDuration {
    PolicyDuration::secs(30)
}

fn ten_minutes() -> PolicyDuration {
    PolicyDuration::secs(600)
}

fn a_day() -> PolicyDuration {
    PolicyDuration::secs(86_400)
}

fn a_minute() -> PolicyDuration {
    PolicyDuration::secs(60)
}

fn an_hour() -> PolicyDuration {
    PolicyDuration::secs(3600)
}

fn default_list_bytes() -> u32 {
    262_144
}

fn default_entries() -> u32 {
    4096
}

fn one() -> u8 {
    1
}

fn default_set_bytes() -> u32 {
    65_536
}

fn default_max_keys() -> u16 {
    64
}
