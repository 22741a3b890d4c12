//! Where tokens stand in requests, and what a route wants of them, as it is written.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Mode};
use schemars::JsonSchema;

/// A place where a token may stand: exactly one of `header`, `cookie`, `query` and `websocket_protocol`.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSource {
    /// A request header.
    #[deserr(default)]
    #[schemars(default)]
    pub header: Option<String>,
    /// The scheme before the token, compared without case. In a header it must be there (default: `Bearer` for `Authorization`, none
    /// for others); in a cookie it may be there (`Bearer%20..`, `"Bearer .."`), and without this setting it may not.
    #[deserr(default)]
    #[schemars(default)]
    pub scheme: Option<String>,
    /// A cookie.
    #[deserr(default)]
    #[schemars(default)]
    pub cookie: Option<String>,
    /// Of a cookie: origins whose pages may use it with unsafe methods, such as `https://app.example`. Pages of the gateway's own
    /// host always may.
    #[deserr(default)]
    #[schemars(default)]
    pub origins: Vec<String>,
    /// Of a cookie: the `Path` that it was set with, needed to clear it (default `/`).
    #[deserr(default)]
    #[schemars(default)]
    pub path: Option<String>,
    /// Of a cookie: the `Domain` that it was set with, needed to clear it (default: none).
    #[deserr(default)]
    #[schemars(default)]
    pub domain: Option<String>,
    /// A query parameter.
    #[deserr(default)]
    #[schemars(default)]
    pub query: Option<String>,
    /// Among the subprotocols that a WebSocket's client offers (`Sec-WebSocket-Protocol`, RFC 6455 section 11.3.4), where browsers can
    /// put a token: this marker, then the token as the next offer (`bearer, eyJ..`), or behind a dot (`bearer.eyJ..`). Behind a marker
    /// that begins with `base64url.` the token is encoded in base64url, as Kubernetes has it. Always removed.
    #[deserr(default)]
    #[schemars(default, example = &"bearer")]
    pub websocket_protocol: Option<String>,
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
    /// The providers whose tokens are taken. May be left out where the policy has one provider only.
    #[deserr(default)]
    #[schemars(default)]
    pub providers: Vec<String>,
    /// `enforce`, `shadow` or `off` (default: `jwt.mode`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Option<Mode>,
    /// Whether the route's good answers carry new tokens, as a login's do: they are counted (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub issues: bool,
    /// What becomes of a request with a bad token, where a token is `optional`: `refuse` (default), or `ignore`. An ignored token is
    /// counted and logged as refused, nothing of it is believed, and the request goes on as one without a token.
    #[deserr(default)]
    #[schemars(default)]
    pub bad_token: RawBadToken,
    /// Whether the answer to a request with a bad token from a cookie clears that cookie (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub clear_cookie: bool,
    /// Whether pages of other sites may make requests with unsafe methods and a token from a cookie (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub allow_cross_site: bool,
    /// Whether what is still open when the token expires is ended then: a WebSocket, a stream, a long download (default false). Within
    /// a `metrics.flush_interval` after it.
    #[deserr(default)]
    #[schemars(default)]
    pub end_at_expiry: bool,
}

/// What becomes of a request with a bad token where none is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawBadToken {
    /// 401.
    #[default]
    Refuse,
    /// The token counts as none.
    Ignore,
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
