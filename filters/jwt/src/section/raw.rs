//! The section `jwt` of a policy, as it is written; `compile` checks it.

use super::raw_remote::{RawFetch, RawIntrospection, RawRevocation};
use super::raw_request::RawSource;
use crate::token::{Alg, ClaimEncoding, Pointer};
use deserr::Deserr;
use portcullis_edge_core::SecretText;
use portcullis_edge_core::{ConfigErrors, Mode, Named, PolicyDuration};
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
    /// How many requests of one worker may wait for keys or for an auth service's answer (default 1024); the next is
    /// answered with 503 at once.
    #[deserr(default = 1024)]
    #[schemars(default = "default_waiting", range(min = 1, max = 65536))]
    pub max_waiting: u32,
    /// How many of them may be of one client network (default: a quarter of `max_waiting`), so that one client cannot keep all others
    /// from waiting.
    #[deserr(default)]
    #[schemars(default, range(min = 1, max = 65536), with = "Option<u32>")]
    pub max_waiting_per_client: Option<u32>,
    /// A request header that tells services who issued the token: its `iss`, or the provider's name where it has none. A client's copy
    /// never reaches a service.
    #[deserr(default)]
    #[schemars(default)]
    pub issuer_header: Option<String>,
    /// `enforce`, `shadow` or `off`, on every route whose `auth` does not say otherwise (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawProvider {
    /// `iss` of its tokens, compared exactly; `{tenantid}` in it stands for the token's own claim `tid` (Microsoft Entra). Without
    /// `issuer` tokens of any issuer, or none, are taken.
    #[deserr(default)]
    #[schemars(default)]
    pub issuer: Option<String>,
    /// Other spellings of `issuer`, each compared exactly: an issuer that signs its tokens under two names (Entra v1, AD FS).
    #[deserr(default)]
    #[schemars(default)]
    pub issuer_aliases: Vec<String>,
    /// Where `issuer` or an alias has `{tenantid}`, which stands for the token's claim `tid`: the tenants whose tokens are taken.
    #[deserr(default)]
    #[schemars(default)]
    pub tenants: Vec<String>,
    /// Takes tokens of every tenant, where `issuer` leaves the tenant open (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub any_tenant: bool,
    /// The gateway's names: `aud` must be or contain one. Without them a token that has an `aud` is refused (RFC 7519 section 4.1.3).
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
    /// How long trying keys may take for one token, in microseconds of a core (default 5000; one key is always tried). A token that
    /// names its key by `kid` needs one; the others are refused as `too_many_keys` when this is used up.
    #[deserr(default = 5000)]
    #[schemars(default = "default_check_micros", range(min = 100, max = 1_000_000))]
    pub max_check_micros: u32,
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
    /// Put before each role of this provider, in rules and in the headers for services (default: nothing). Where a route takes tokens
    /// of several providers it keeps their roles apart: `partner:admin` is not `admin`.
    #[deserr(default)]
    #[schemars(default)]
    pub role_prefix: String,
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

fn default_cache_bytes() -> u32 {
    4_194_304
}

fn default_waiting() -> u32 {
    1024
}

fn default_token_bytes() -> u32 {
    8192
}

fn default_check_micros() -> u32 {
    5000
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
