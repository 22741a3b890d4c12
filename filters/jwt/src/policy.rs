//! The section `jwt` of a policy, as it is written; `compile` checks it.

use crate::secret::SecretText;
use crate::{Alg, Named, Pointer};
use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use schemars::JsonSchema;

/// `jwt`: who issues the tokens, with which keys, and where they stand in a request.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawJwt {
    /// The issuers of tokens, each under a name that routes refer to.
    pub providers: Named<RawProvider>,
    /// Where a token may stand. Two tokens in one request are refused, wherever they stand. Default: `Authorization: Bearer`.
    #[deserr(default)]
    #[schemars(default)]
    pub sources: Vec<RawSource>,
    /// Memory for verified tokens, in bytes, per worker (default 4 MiB; 0 checks every token anew).
    #[deserr(default = 4_194_304)]
    #[schemars(default = "default_cache_bytes")]
    pub cache_bytes: u32,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawProvider {
    /// `iss` of its tokens, compared exactly. Without it tokens of any issuer, or none, are taken.
    #[deserr(default)]
    #[schemars(default)]
    pub issuer: Option<String>,
    /// Our names: `aud` must be or contain one. Without them a token that has an `aud` is refused (RFC 7519 section 4.1.3).
    #[deserr(default)]
    #[schemars(default)]
    pub audiences: Vec<String>,
    /// Takes tokens for whatever audience; only where another check tells whom they are for.
    #[deserr(default)]
    #[schemars(default)]
    pub any_audience: bool,
    /// The algorithms its tokens may have. Needed with fetched keys; with others each key already names its own.
    #[deserr(default)]
    #[schemars(default)]
    pub algorithms: Vec<Alg>,
    /// Shared secrets (HMAC). All are tried, so that an old and a new one can overlap.
    #[deserr(default)]
    #[schemars(default)]
    pub secrets: Vec<RawSecret>,
    /// The least length of a secret in bytes (default: the size of the algorithm's hash, RFC 7518 section 3.2).
    #[deserr(default)]
    #[schemars(default, range(min = 16, max = 64))]
    pub min_secret_bytes: Option<u8>,
    /// Public keys in PEM.
    #[deserr(default)]
    #[schemars(default)]
    pub pem: Vec<RawPem>,
    /// A JWK Set (RFC 7517), written out here.
    #[deserr(default)]
    #[schemars(default)]
    pub jwks: Option<RawJwks>,
    /// A JWK Set that is fetched and refreshed.
    #[deserr(default)]
    #[schemars(default)]
    pub fetch: Option<RawFetch>,
    /// `typ` of its tokens (such as `at+jwt`); one of these if any is given.
    #[deserr(default)]
    #[schemars(default)]
    pub typ: Vec<String>,
    /// How far clocks may differ, for `exp` and `nbf` (default 0s).
    #[deserr(default = PolicyDuration::secs(0))]
    #[schemars(default = "zero")]
    pub leeway: PolicyDuration,
    /// The longest life of a token: from `iat` to `exp`, and from now to `exp`.
    #[deserr(default)]
    #[schemars(default)]
    pub max_lifetime: Option<PolicyDuration>,
    /// The largest token in bytes (default 8192).
    #[deserr(default = 8192)]
    #[schemars(default = "default_token_bytes", range(min = 64, max = 65536))]
    pub max_token_bytes: u32,
    /// Whether a token without `exp` is refused (default true).
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub require_exp: bool,
    /// What becomes of tokens that are bound to a key of their holder (`cnf`: RFC 9449, RFC 8705): `refuse` (default), or
    /// `bearer` to take them like any other.
    #[deserr(default)]
    #[schemars(default)]
    pub confirmation: RawConfirmation,
    /// Claims that a token must have.
    #[deserr(default)]
    #[schemars(default)]
    pub required_claims: Vec<RawRequiredClaim>,
    /// The claim with the user's name (default `sub`).
    #[deserr(default = Pointer::claim("sub"))]
    #[schemars(default = "sub")]
    pub user_claim: Pointer,
    /// The claim with the roles: text for one, or a list (default `role`).
    #[deserr(default = Pointer::claim("role"))]
    #[schemars(default = "role")]
    pub role_claim: Pointer,
    /// The claim with the scopes: text with spaces between, or a list (default `scope`).
    #[deserr(default = Pointer::claim("scope"))]
    #[schemars(default = "scope")]
    pub scope_claim: Pointer,
    /// Claims that services get as request headers.
    #[deserr(default)]
    #[schemars(default)]
    pub claim_to_headers: Vec<RawClaimHeader>,
    /// A list of tokens that are revoked before they expire, fetched on a timer.
    #[deserr(default)]
    #[schemars(default)]
    pub revocation: Option<RawRevocation>,
    /// An auth service that is asked about each token. A provider without any key has only that.
    #[deserr(default)]
    #[schemars(default)]
    pub introspection: Option<RawIntrospection>,
}

/// A deny list: `{"revoked": [{"jti": ".."}, {"sub": "..", "issued_before": 1795000000}, {"signed": ".."}]}`, where `signed` is
/// the SHA-256 of header, dot and payload in base64url, for tokens without `jti`.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRevocation {
    /// The list's URL.
    pub url: String,
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

/// What becomes of a token of which nothing can be told now.
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
    /// Who we are to it (HTTP Basic, RFC 6749 section 2.3.1).
    #[deserr(default)]
    #[schemars(default)]
    pub client_id: Option<String>,
    /// The secret that goes with `client_id`, or `${ENV:NAME}`.
    #[deserr(default)]
    #[schemars(default)]
    pub client_secret: Option<SecretText>,
    /// How long an answer may take (default 2s).
    #[deserr(default = PolicyDuration::secs(2))]
    #[schemars(default = "two_seconds")]
    pub timeout: PolicyDuration,
    /// How often a question without an answer is asked again (default 1).
    #[deserr(default = 1)]
    #[schemars(default = "one", range(max = 3))]
    pub retries: u8,
    /// How long a good answer is believed (default 30s; 0s asks every time). So long may a revoked token still pass.
    #[deserr(default = PolicyDuration::secs(30))]
    #[schemars(default = "half_a_minute")]
    pub cache: PolicyDuration,
    /// What becomes of tokens while there is no answer: `refuse` (default; 503) or, for a provider with keys, `allow`.
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

/// A shared secret.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSecret {
    /// The one algorithm that it is for.
    pub alg: Alg,
    /// The secret, or `${ENV:NAME}` for the value of an environment variable of the proxy.
    pub value: SecretText,
    /// How the value is written (default `text`).
    #[deserr(default)]
    #[schemars(default)]
    pub encoding: RawSecretEncoding,
    /// The key id.
    #[deserr(default)]
    #[schemars(default)]
    pub kid: Option<String>,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawSecretEncoding {
    /// Its bytes are the secret.
    #[default]
    Text,
    /// base64url without padding.
    Base64url,
    /// base64 with padding.
    Base64,
}

/// A public key.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawPem {
    /// The one algorithm that it is for.
    pub alg: Alg,
    /// The PEM block, or `${ENV:NAME}`.
    pub value: SecretText,
    /// The key id.
    #[deserr(default)]
    #[schemars(default)]
    pub kid: Option<String>,
}

/// A JWK Set as it stands in the policy.
#[derive(Clone, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, from(serde_json::Value) = RawJwks)]
#[schemars(with = "serde_json::Map<String, serde_json::Value>")]
pub struct RawJwks(pub serde_json::Value);

/// It may hold secrets.
impl core::fmt::Debug for RawJwks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RawJwks(..)")
    }
}

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

/// What becomes of holder-bound tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawConfirmation {
    /// They are refused: this gateway does not check the proof.
    #[default]
    Refuse,
    /// They pass as bearer tokens.
    Bearer,
}

/// A claim that a token must have.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRequiredClaim {
    /// Which claim.
    pub claim: Pointer,
    /// Its value must be one of these texts, numbers or booleans; any value where nothing is listed.
    #[deserr(default)]
    #[schemars(default)]
    pub one_of: Vec<serde_json::Value>,
}

/// A claim that becomes a request header.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawClaimHeader {
    /// Which claim. Where a token lacks it there is no header.
    pub claim: Pointer,
    /// The header. A client's copy never reaches a service.
    pub header: String,
    /// How the claim is written (default `text`).
    #[deserr(default)]
    #[schemars(default)]
    pub encoding: ClaimEncoding,
}

/// How a claim is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum ClaimEncoding {
    /// Text as it is (UTF-8), numbers and booleans as in JSON, lists of them with commas between. A token whose claim has a
    /// control character, a space at an end, a comma in a list's element or an object is refused.
    #[default]
    Text,
    /// The same with everything percent-encoded but letters, digits and `-._~`; then only objects are refused.
    Percent,
    /// The claim's JSON in ASCII, on one line.
    Json,
    /// The claim's JSON in base64url without padding.
    Base64url,
}

/// A place where a token may stand: exactly one of `header`, `cookie` and `query`.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSource {
    /// A request header.
    #[deserr(default)]
    #[schemars(default)]
    pub header: Option<String>,
    /// The scheme before the token in that header, compared without case (default: `Bearer` for `Authorization`, none for
    /// others).
    #[deserr(default)]
    #[schemars(default)]
    pub scheme: Option<String>,
    /// A cookie.
    #[deserr(default)]
    #[schemars(default)]
    pub cookie: Option<String>,
    /// A query parameter.
    #[deserr(default)]
    #[schemars(default)]
    pub query: Option<String>,
    /// Whether the token is removed before the request goes on (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub strip: bool,
}

/// A route's need for a token.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawAuth {
    /// Whether a token is needed (default `required`).
    #[deserr(default)]
    #[schemars(default)]
    pub token: RawNeed,
    /// The providers whose tokens are taken (default: all).
    #[deserr(default)]
    #[schemars(default)]
    pub providers: Vec<String>,
}

/// Whether a token is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawNeed {
    /// Tokens are not looked at.
    None,
    /// A request without a token passes as nobody's; a token that is there must be valid.
    Optional,
    /// A valid token must be there.
    #[default]
    Required,
    /// No token may be there.
    Refused,
}

fn default_cache_bytes() -> u32 {
    4_194_304
}

fn default_token_bytes() -> u32 {
    8192
}

fn default_set_bytes() -> u32 {
    65_536
}

fn default_max_keys() -> u16 {
    64
}

fn yes() -> bool {
    true
}

fn sub() -> &'static str {
    "sub"
}

fn role() -> &'static str {
    "role"
}

fn scope() -> &'static str {
    "scope"
}

fn zero() -> PolicyDuration {
    PolicyDuration::secs(0)
}

fn two_seconds() -> PolicyDuration {
    PolicyDuration::secs(2)
}

fn five_seconds() -> PolicyDuration {
    PolicyDuration::secs(5)
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

fn half_a_minute() -> PolicyDuration {
    PolicyDuration::secs(30)
}

fn ten_minutes() -> PolicyDuration {
    PolicyDuration::secs(600)
}

fn a_day() -> PolicyDuration {
    PolicyDuration::secs(86_400)
}
