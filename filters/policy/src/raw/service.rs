//! Services and other clusters, as written.

use super::upstream::{
    CircuitLimits, Dns, HealthCheck, KeepAlive, LoadBalancing, OutlierDetection, Protocol, RawEndpoint,
    Retry, ServiceTls,
};
use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use schemars::JsonSchema;

/// A service behind the gateway.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawService {
    /// `host:port`, where host is a name (looked up in DNS) or an address. Either this or `endpoints`.
    #[deserr(default)]
    #[schemars(example = &"orders.shop.svc:8002")]
    pub address: Option<String>,
    /// Several addresses, each with its weight. Either these or `address`.
    #[deserr(default)]
    #[schemars(default, length(max = 1000))]
    pub endpoints: Vec<RawEndpoint>,
    /// How requests are spread over the endpoints.
    #[deserr(default)]
    #[schemars(default = "no_object")]
    pub load_balancing: LoadBalancing,
    /// How host names are looked up.
    #[deserr(default)]
    #[schemars(default = "no_object")]
    pub dns: Dns,
    /// The protocol that it speaks.
    #[deserr(default)]
    #[schemars(default)]
    pub protocol: Protocol,
    /// Speak TLS to it (default: plain text).
    #[deserr(default)]
    pub tls: Option<ServiceTls>,
    /// How long a request may take, from its last byte to the answer's last, unless its route says otherwise; `0s` for no end.
    #[deserr(default = default_timeout())]
    #[schemars(default = "default_timeout", extend("x-range" = "`0s`, or `1ms` to `24h`"))]
    pub timeout: PolicyDuration,
    /// How long a request may go without a byte in either direction, unless its route says otherwise; `0s` for no end (default:
    /// the gateway's 5 minutes).
    #[deserr(default)]
    #[schemars(example = &"1h", extend("x-range" = "`0s`, or `1ms` to `24h`"))]
    pub idle_timeout: Option<PolicyDuration>,
    /// How long connecting may take.
    #[deserr(default = default_connect_timeout())]
    #[schemars(default = "default_connect_timeout", extend("x-range" = "`1ms` to `1h`"))]
    pub connect_timeout: PolicyDuration,
    /// How long connections are kept.
    #[deserr(default)]
    #[schemars(default = "no_object")]
    pub keep_alive: KeepAlive,
    /// Asks every endpoint whether it is well (default: not asked).
    #[deserr(default)]
    pub health_check: Option<HealthCheck>,
    /// Takes endpoints out that answer with errors (default: never).
    #[deserr(default)]
    pub outlier_detection: Option<OutlierDetection>,
    /// How much of the service is used at a time (default: Envoy's limits, which are those of this section left empty).
    #[deserr(default)]
    pub circuit_limits: Option<CircuitLimits>,
    /// Sends requests again that failed (default: never).
    #[deserr(default)]
    pub retry: Option<Retry>,
    /// Endpoints that the gateway itself calls there, so that their series exist from the start.
    #[deserr(default)]
    #[schemars(default)]
    pub calls: Vec<String>,
}

/// The default of a section all of whose fields have defaults.
fn no_object() -> serde_json::Value {
    serde_json::json!({})
}

/// Somewhere that the gateway itself calls.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawCluster {
    /// `host:port`, where host is a name (looked up in DNS) or an address.
    #[schemars(example = &"idp.example:443")]
    pub address: String,
    /// Whether it is spoken to over TLS, and must prove who it is (default false).
    #[deserr(default)]
    #[schemars(default)]
    pub tls: bool,
    /// The name that its certificate must have (default: the host of `address`).
    #[deserr(default)]
    #[schemars(default)]
    pub sni: Option<String>,
    /// A file of the proxy's machine with the certificate authorities (CA) that sign its certificate, in PEM (default: those that the system
    /// trusts).
    #[deserr(default)]
    #[schemars(default)]
    pub ca_file: Option<String>,
    /// How long connecting may take (default `1s`).
    #[deserr(default = default_connect_timeout())]
    #[schemars(default = "default_connect_timeout", extend("x-range" = "`1ms` to `1h`"))]
    pub connect_timeout: PolicyDuration,
}

fn default_timeout() -> PolicyDuration {
    PolicyDuration::secs(15)
}

fn default_connect_timeout() -> PolicyDuration {
    PolicyDuration::secs(1)
}
