//! Routes, as written.

use deserr::Deserr;
use portcullis_authz::RawRules;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use portcullis_jwt::RawAuth;
use portcullis_security_headers::RawBrowserHeader;
use schemars::JsonSchema;

/// The methods that a route can have.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What a path's other form is, with a slash at its end or without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum TrailingSlash {
    /// Another path.
    #[default]
    Exact,
    /// The same route's as well. The service is asked for the path that the client wrote.
    Either,
}

/// What becomes of `%2F` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawEscapedSlashes {
    /// The request is refused.
    #[default]
    Refuse,
    /// It goes on as it is, a part of its segment. With dot segments beside it (`..%2F`) it is refused even so.
    Keep,
}

/// What a connection may be upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum Upgrade {
    /// WebSocket (RFC 6455; over HTTP/2, RFC 8441).
    WebSocket,
}

/// A route: methods and a path, and the service they lead to.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRoute {
    /// The hosts that the route belongs to: names without port, `*.example.com` for all names below one. A request is asked at
    /// the routes of its host alone: the exact name's, else the longest wildcard's, else those of the default host, which are the
    /// routes without `hosts`.
    #[deserr(default)]
    #[schemars(default, length(max = 100), extend("examples" = [["api.example.com", "*.shop.example.com"]]))]
    pub hosts: Vec<String>,
    /// The path, behind the policy's `path_prefix`: segments, `{name}` for any one segment, `{name}:verb` for one that ends in
    /// a verb, `{*name}` for the rest.
    #[schemars(example = &"/orders/{id}")]
    pub path: String,
    /// What the same path with a slash at its end is, or without the one that `path` has.
    #[deserr(default)]
    #[schemars(default)]
    pub trailing_slash: TrailingSlash,
    /// What becomes of `%2F` in the path.
    #[deserr(default)]
    #[schemars(default)]
    pub escaped_slashes: RawEscapedSlashes,
    /// The methods, in capitals. A route that has GET answers HEAD as well, unless another one has HEAD for the same path.
    #[schemars(length(min = 1), extend("items" = { "type": "string", "enum": METHODS }))]
    pub methods: Vec<String>,
    /// The name of the service.
    pub service: String,
    /// The path at the service, where it is not simply the route's without the prefix. It may have each `{name}` and `{*name}` of
    /// `path`, which is then filled in as the client wrote it. It is not looked up among the routes again.
    #[deserr(default)]
    #[schemars(example = &"/v2/orders/{id}")]
    pub upstream_path: Option<String>,
    /// How long a request may take, where it is not the service's `timeout`; `0s` for no end.
    #[deserr(default)]
    #[schemars(example = &"30s", extend("x-range" = "`0s`, or `1ms` to `24h`"))]
    pub timeout: Option<PolicyDuration>,
    /// How long a request may go without a byte in either direction, where it is not the service's `idle_timeout`; `0s` for no end.
    #[deserr(default)]
    #[schemars(example = &"1h", extend("x-range" = "`0s`, or `1ms` to `24h`"))]
    pub idle_timeout: Option<PolicyDuration>,
    /// What a client may have its connection upgraded to. An upgraded connection ends by `idle_timeout`, never by `timeout`.
    #[deserr(default)]
    #[schemars(default, extend("examples" = [["websocket"]]))]
    pub upgrades: Vec<Upgrade>,
    /// Largest body of a request, in bytes, where it is not `gateway.max_body_bytes`.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "u32", range(min = 1))]
    pub max_body_bytes: Option<u32>,
    /// Whether the service gets a request only once its body is there whole (default true), so that a slow client keeps no place
    /// there; over HTTP/1.1 it gets no trailers then. `false` for what is sent and read at the same time: streams, uploads too large
    /// to hold. Routes with `upgrades` hold nothing.
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub buffer_body: bool,
    /// Who says which web pages may read the answers.
    #[deserr(default)]
    #[schemars(default)]
    pub cors: RawRouteCors,
    /// Rules for response headers, on top of the policy's: a rule here replaces the one of that name there.
    #[deserr(default)]
    #[schemars(default)]
    pub browser_headers: Vec<RawBrowserHeader>,
    /// Whether a token is needed, and whose. Every route says so where the policy has a section `jwt`.
    #[deserr(default)]
    #[schemars(default)]
    pub auth: Option<RawAuth>,
    /// Who may use the route. Left out: everybody whom `auth` lets through.
    #[deserr(default)]
    #[schemars(default)]
    pub authz: Option<RawRules>,
}

fn yes() -> bool {
    true
}

/// Who says which web pages may read a route's answers.
#[derive(Clone, Copy, Debug, Default, Deserr, JsonSchema, PartialEq, Eq)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawRouteCors {
    /// The policy's section `cors`, and nobody where there is none: `Access-Control-*` headers of the service are removed.
    #[default]
    Policy,
    /// The service itself. Preflights are then requests like any other: a route with the method OPTIONS takes them there.
    Service,
}
