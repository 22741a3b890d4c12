//! The policy as written: plain data that nothing has been checked of. Nothing here knows what is made of it.

mod route;
mod service;
mod tls;
mod upstream;

pub(crate) use route::METHODS;
pub use route::{RawEscapedSlashes, RawRoute, RawRouteCors, TrailingSlash, Upgrade};
pub use service::{RawCluster, RawService};
pub use tls::{Certificate, ClientCertificateMode, ClientCertificates, RawTls, TlsVersion};
pub use upstream::{
    BalancingPolicy, CircuitLimits, Dns, DnsFamily, HashOn, HealthCheck, KeepAlive, LoadBalancing,
    OutlierDetection, Protocol, RawEndpoint, Retry, RetryBudget, RetryOn, ServiceTls,
};

use deserr::Deserr;
use portcullis_access_log::{RawLogs, RawTracing};
use portcullis_breaker::RawBreaker;
use portcullis_business::RawBusiness;
use portcullis_client_ip::RawClientIp;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use portcullis_findings::RawFindings;
use portcullis_jwt::RawJwt;
use portcullis_limits::{RawAbuse, RawConcurrency, RawLimits};
use portcullis_metrics::RawMetrics;
use portcullis_security_headers::{RawBrowserHeader, RawCors, RawTrustHeaders};
use portcullis_source_check::RawSourceCheck;
use schemars::{JsonSchema, Schema, json_schema};
use std::collections::BTreeMap;

/// A Portcullis policy: all that a gateway's user edits.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "Portcullis policy")]
pub struct RawPolicy {
    /// Version of this file's format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The gateway itself.
    #[schemars(default)]
    pub gateway: RawGateway,
    /// Begins the path of every route; cut off on the way to the service.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String")]
    pub path_prefix: Option<String>,
    /// How a client's address is found.
    #[schemars(default)]
    pub client_ip: RawClientIp,
    /// The services behind the gateway, by name. The name is also the prefix of the service's metrics.
    #[schemars(extend("propertyNames" = service_names()))]
    pub services: BTreeMap<String, RawService>,
    /// Where else the gateway itself calls (issuers of tokens), by the name of the proxy's cluster.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty", extend("propertyNames" = cluster_names()))]
    pub clusters: BTreeMap<String, RawCluster>,
    /// Tokens: who issues them, and with which keys. Left out, no route looks at any; there, every route says in `auth`
    /// whether it does.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawJwt")]
    pub jwt: Option<RawJwt>,
    /// What clients may ask for. Anything else is answered with 404.
    pub routes: Vec<RawRoute>,
    /// How much clients may ask for.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawLimits")]
    pub limits: Option<RawLimits>,
    /// How many requests may be under way at once.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawConcurrency")]
    pub concurrency: Option<RawConcurrency>,
    /// Circuit breakers, by the name of the service; `*` for every service without one of its own.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub breakers: BTreeMap<String, RawBreaker>,
    /// Networks that may not come in, logins that fail too often, tokens that are used in too many places.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawAbuse")]
    pub abuse: Option<RawAbuse>,
    /// How backends know that a request comes from the gateway.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawSourceCheck")]
    pub source: Option<RawSourceCheck>,
    /// What is left for other instances of the filter in the same proxy, or taken from one; left out: neither.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawFindings")]
    pub findings: Option<RawFindings>,
    /// Which web pages may call the gateway; left out: none.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawCors")]
    pub cors: Option<RawCors>,
    /// Request headers that services get from the gateway, and that a client can never set.
    #[schemars(default)]
    pub trust_headers: RawTrustHeaders,
    /// Response headers for browsers, on every route.
    #[schemars(default)]
    pub browser_headers: Vec<RawBrowserHeader>,
    /// Business events that are seen in traffic, and counted.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawBusiness")]
    pub business: Option<RawBusiness>,
    /// What is counted.
    #[schemars(default)]
    pub metrics: RawMetrics,
    /// What stands in log lines, and which lines are written.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawLogs")]
    pub logs: Option<RawLogs>,
    /// The traces that requests belong to.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawTracing")]
    pub tracing: Option<RawTracing>,
    /// What the proxy around the filter does already.
    #[schemars(default)]
    pub proxy: RawProxy,
}

/// What `Service::compile` takes for a name. Patterns have no look-ahead everywhere, hence the `not`.
fn service_names() -> Schema {
    json_schema!({ "pattern": "^[a-z][a-z0-9_]*$", "not": { "pattern": "^(gateway|portcullis)(_|$)" } })
}

/// What `Cluster::compile` takes for a name.
fn cluster_names() -> Schema {
    json_schema!({ "pattern": "^[!-~]+$" })
}

/// `gateway`: names, ports and paths of the gateway itself.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawGateway {
    /// Its name in logs and on its health page (default `gateway`).
    #[deserr(default = RawGateway::default().name)]
    #[schemars(default = "default_name")]
    pub name: String,
    /// Keeps this filter apart from others in the same proxy (default `default`): their counters and what their workers share. Two
    /// policies that serve in one proxy at the same time need different names.
    #[deserr(default = RawGateway::default().instance)]
    #[schemars(default = "default_instance", regex(pattern = "^[a-z][a-z0-9_-]{0,31}$"))]
    pub instance: String,
    /// Address and port it listens on (default `0.0.0.0:8080`); used by `portcullis render`.
    #[deserr(default = RawGateway::default().listen)]
    #[schemars(default = "default_listen")]
    pub listen: String,
    /// Address and port of the proxy's admin interface (default `127.0.0.1:9901`); used by `portcullis render`.
    #[deserr(default = RawGateway::default().admin)]
    #[schemars(default = "default_admin")]
    pub admin: String,
    /// Where it answers that it is alive (default `/health`).
    #[deserr(default = RawGateway::default().health_path)]
    #[schemars(default = "default_health_path")]
    pub health_path: String,
    /// Speak TLS (default: plain HTTP, for a gateway behind something that speaks TLS).
    #[deserr(default)]
    pub tls: Option<RawTls>,
    /// How long a client may take to send a request, body and all (default `60s`); then it is answered with 408. Without an end, a
    /// request that never comes would keep its place for ever. Used by `portcullis render`.
    #[deserr(default = RawGateway::default().request_timeout)]
    #[schemars(default = "default_request_timeout")]
    pub request_timeout: PolicyDuration,
    /// Largest body of a request, in bytes (default 1 MiB), unless its route says otherwise; a larger one is answered with 413. Used
    /// by `portcullis render`.
    #[deserr(default = RawGateway::default().max_body_bytes)]
    #[schemars(default = "default_max_body_bytes", range(min = 1))]
    pub max_body_bytes: u32,
    /// How much heap the proxy may take, in bytes (default 1 GiB): near it, it takes no further requests (503), then resets those that
    /// hold most, rather than be killed for all. Below what its container may have. Used by `portcullis render`.
    #[deserr(default = RawGateway::default().max_heap_bytes)]
    #[schemars(default = "default_max_heap_bytes", range(min = 67_108_864))]
    pub max_heap_bytes: u64,
    /// Whether browsers may call gRPC services in gRPC-Web, which the proxy then translates (default false). `cors.expose_headers` needs
    /// `grpc-status` and `grpc-message` for pages of other origins. Used by `portcullis render envoy`.
    #[deserr(default)]
    #[schemars(default)]
    pub grpc_web: bool,
}

impl Default for RawGateway {
    fn default() -> Self {
        Self {
            name: default_name(),
            instance: default_instance(),
            listen: default_listen(),
            admin: default_admin(),
            health_path: default_health_path(),
            tls: None,
            request_timeout: default_request_timeout(),
            max_body_bytes: default_max_body_bytes(),
            max_heap_bytes: default_max_heap_bytes(),
            grpc_web: false,
        }
    }
}

fn default_name() -> String {
    "gateway".to_owned()
}

fn default_instance() -> String {
    portcullis_edge_core::Namespace::DEFAULT.to_owned()
}

fn default_listen() -> String {
    "0.0.0.0:8080".to_owned()
}

fn default_admin() -> String {
    "127.0.0.1:9901".to_owned()
}

fn default_request_timeout() -> PolicyDuration {
    PolicyDuration::secs(60)
}

fn default_max_body_bytes() -> u32 {
    1 << 20
}

fn default_max_heap_bytes() -> u64 {
    1 << 30
}

fn default_health_path() -> String {
    "/health".to_owned()
}

/// `proxy`: what the proxy's own configuration does already, so that the filter need not do it for each request. `portcullis
/// render` writes this section together with the configuration that makes it true. Left out, the filter does everything.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawProxy {
    /// The proxy appends the peer's address to `X-Forwarded-For` (Envoy: `use_remote_address: true`, and the machine's own
    /// address in the place of a loopback peer's). An Envoy that faces clients needs that setting in any case: without it,
    /// it believes `X-Forwarded-For` itself, and every address that the filter gets is one that the client wrote.
    #[deserr(default)]
    #[schemars(default)]
    pub appends_peer: bool,
    /// The proxy replaces a client's `X-Request-ID` by its own (Envoy: `use_remote_address` and `generate_request_id`
    /// without `preserve_external_request_id`) and returns it (`always_set_request_id_in_response`).
    #[deserr(default)]
    #[schemars(default)]
    pub assigns_request_id: bool,
    /// The proxy's routes set `trust_headers.set`, and who asks: `user`, `role` and `authenticated` from the filter state
    /// `wasm.portcullis_user`, `wasm.portcullis_role` and `wasm.portcullis_authenticated`.
    #[deserr(default)]
    #[schemars(default)]
    pub sets_trust_headers: bool,
    /// The proxy's routes apply `browser_headers` to what services answer.
    #[deserr(default)]
    #[schemars(default)]
    pub sets_browser_headers: bool,
    /// The proxy gives each request the `traceparent` that `tracing` says, before any filter sees it.
    #[deserr(default)]
    #[schemars(default)]
    pub begins_traces: bool,
    /// The proxy's routes choose a service by this header: the filter writes the name of the service there that the policy has for the
    /// request, in place of whatever the client says. Routes of the Gateway API go by it.
    #[deserr(default)]
    #[schemars(default)]
    pub service_header: Option<String>,
}
