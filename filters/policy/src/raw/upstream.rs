//! How a service is reached, as written: what Envoy knows of balancing, health, retries and limits, in Envoy's words.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, PolicyDuration};
use schemars::JsonSchema;

/// One of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, rename = "Endpoint")]
pub struct RawEndpoint {
    /// `host:port`, where host is a name (looked up in DNS) or an address.
    #[schemars(example = &"10.0.0.1:8002")]
    pub address: String,
    /// Its share of the requests, beside the weights of the others.
    #[deserr(default = 1)]
    #[schemars(default = "one", range(min = 1, max = 128))]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// The protocol that a service speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: what gRPC needs. Without `tls` it is spoken at once (prior knowledge).
    Http2,
}

/// TLS to a service. Its certificate is always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct ServiceTls {
    /// The name that its certificate must have (default: the host of the first endpoint).
    #[deserr(default)]
    #[schemars(example = &"orders.internal")]
    pub sni: Option<String>,
    /// A file of the proxy's machine with the certificate authorities (CA) that sign its certificate, in PEM (default: those that the system
    /// trusts).
    #[deserr(default)]
    #[schemars(example = &"/etc/gateway/services-ca.pem")]
    pub ca_file: Option<String>,
    /// A file of the proxy's machine with the certificate that the gateway shows, in PEM; together with `key_file`.
    #[deserr(default)]
    #[schemars(example = &"/etc/gateway/client.pem")]
    pub certificate_file: Option<String>,
    /// The file with that certificate's private key, in PEM.
    #[deserr(default)]
    #[schemars(example = &"/etc/gateway/client-key.pem")]
    pub key_file: Option<String>,
}

/// Which endpoint gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
#[schemars(rename_all = "snake_case")]
pub enum BalancingPolicy {
    /// One after the other, by weight.
    #[default]
    #[deserr(rename = "round_robin")]
    RoundRobin,
    /// The less busy one of two that are drawn.
    #[deserr(rename = "least_request")]
    LeastRequest,
    /// Any.
    #[deserr(rename = "random")]
    Random,
    /// The same for the same `hash_on`, as far as endpoints stay.
    #[deserr(rename = "ring_hash")]
    RingHash,
    /// Like `ring_hash`, with a table that is looked up faster and moves more keys when endpoints change.
    #[deserr(rename = "maglev")]
    Maglev,
}

/// What makes requests belong together.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct HashOn {
    /// The value of this request header.
    #[deserr(default)]
    #[schemars(example = &"X-Tenant")]
    pub header: Option<String>,
    /// The value of this cookie.
    #[deserr(default)]
    #[schemars(example = &"session")]
    pub cookie: Option<String>,
    /// The client's address.
    #[deserr(default)]
    #[schemars(default)]
    pub client_ip: bool,
}

/// How requests are spread over a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct LoadBalancing {
    /// Which endpoint gets a request.
    #[deserr(default)]
    #[schemars(default)]
    pub policy: BalancingPolicy,
    /// What makes requests belong together, for `ring_hash` and `maglev`: exactly one of its fields.
    #[deserr(default)]
    pub hash_on: Option<HashOn>,
    /// While fewer than this percentage of the endpoints are healthy, health is ignored and all of them are asked.
    #[deserr(default = 50)]
    #[schemars(default = "fifty", range(max = 100))]
    pub panic_threshold: u32,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self { policy: BalancingPolicy::RoundRobin, hash_on: None, panic_threshold: 50 }
    }
}

fn fifty() -> u32 {
    50
}

/// Which addresses a host name is looked up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
#[schemars(rename_all = "snake_case")]
pub enum DnsFamily {
    /// IPv4 and IPv6.
    #[default]
    #[deserr(rename = "all")]
    All,
    /// IPv4 alone.
    #[deserr(rename = "v4_only")]
    V4Only,
    /// IPv6 alone.
    #[deserr(rename = "v6_only")]
    V6Only,
    /// IPv4, and IPv6 where there is none.
    #[deserr(rename = "v4_preferred")]
    V4Preferred,
}

/// How host names of endpoints are looked up. Every address of a name is an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Dns {
    /// Which addresses are looked up.
    #[deserr(default)]
    #[schemars(default)]
    pub family: DnsFamily,
    /// How often a name is looked up again.
    #[deserr(default = five_seconds())]
    #[schemars(default = "five_seconds", extend("x-range" = "`1s` to `1h`"))]
    pub refresh: PolicyDuration,
    /// Look it up again when its record expires instead.
    #[deserr(default)]
    #[schemars(default)]
    pub respect_ttl: bool,
}

impl Default for Dns {
    fn default() -> Self {
        Self { family: DnsFamily::All, refresh: five_seconds(), respect_ttl: false }
    }
}

fn five_seconds() -> PolicyDuration {
    PolicyDuration::secs(5)
}

/// Asks every endpoint at intervals whether it is well. One that is not gets no requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct HealthCheck {
    /// A GET for this path is answered with 200 by an endpoint that is well. One of `path` and `grpc_service`.
    #[deserr(default)]
    #[schemars(example = &"/health")]
    pub path: Option<String>,
    /// The service that gRPC's health checking protocol is asked for; `""` for the server as a whole. Needs `protocol: http2`.
    #[deserr(default)]
    #[schemars(example = &"")]
    pub grpc_service: Option<String>,
    /// How often.
    #[deserr(default = ten_seconds())]
    #[schemars(default = "ten_seconds", extend("x-range" = "`100ms` to `1h`"))]
    pub interval: PolicyDuration,
    /// How long an endpoint has for its answer.
    #[deserr(default = PolicyDuration::secs(1))]
    #[schemars(default = "one_second", extend("x-range" = "`10ms` to `1m`"))]
    pub timeout: PolicyDuration,
    /// After this many failures in a row an endpoint is not well.
    #[deserr(default = 3)]
    #[schemars(default = "three", range(min = 1, max = 100))]
    pub unhealthy_threshold: u32,
    /// After this many successes in a row it is well again.
    #[deserr(default = 2)]
    #[schemars(default = "two", range(min = 1, max = 100))]
    pub healthy_threshold: u32,
}

fn ten_seconds() -> PolicyDuration {
    PolicyDuration::secs(10)
}

fn one_second() -> PolicyDuration {
    PolicyDuration::secs(1)
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

/// Takes an endpoint out for a while that answers requests with errors.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct OutlierDetection {
    /// After this many answers of 5xx, resets or failed connections in a row.
    #[deserr(default = 5)]
    #[schemars(default = "five", range(min = 1, max = 1000))]
    pub consecutive_5xx: u32,
    /// How often it is looked whether an endpoint may come back.
    #[deserr(default = ten_seconds())]
    #[schemars(default = "ten_seconds", extend("x-range" = "`100ms` to `1h`"))]
    pub interval: PolicyDuration,
    /// How long it stays out, times the number of its ejections so far.
    #[deserr(default = thirty_seconds())]
    #[schemars(default = "thirty_seconds", extend("x-range" = "`100ms` to `1h`"))]
    pub base_ejection_time: PolicyDuration,
    /// Of all endpoints, at most this percentage is out at a time (one may always be).
    #[deserr(default = 50)]
    #[schemars(default = "fifty", range(max = 100))]
    pub max_ejection_percent: u32,
}

fn five() -> u32 {
    5
}

fn thirty_seconds() -> PolicyDuration {
    PolicyDuration::secs(30)
}

/// How much of a service the gateway uses at a time, all its workers together. What is above is answered with 503 at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct CircuitLimits {
    /// Connections.
    #[deserr(default = 1024)]
    #[schemars(default = "thousand", range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// Requests that wait for a connection.
    #[deserr(default = 1024)]
    #[schemars(default = "thousand", range(min = 1, max = 1_000_000))]
    pub max_pending_requests: u32,
    /// Requests under way.
    #[deserr(default = 1024)]
    #[schemars(default = "thousand", range(min = 1, max = 1_000_000))]
    pub max_requests: u32,
    /// Retries under way; not where `retry` has a `budget`.
    #[deserr(default = 3)]
    #[schemars(default = "three", range(min = 1, max = 1_000_000))]
    pub max_retries: u32,
}

impl Default for CircuitLimits {
    fn default() -> Self {
        let most = thousand();
        Self { max_connections: most, max_pending_requests: most, max_requests: most, max_retries: three() }
    }
}

fn thousand() -> u32 {
    1024
}

/// Why a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
#[schemars(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection came about.
    #[deserr(rename = "connect_failure")]
    ConnectFailure,
    /// The service refused the stream, so it has not begun.
    #[deserr(rename = "refused_stream")]
    RefusedStream,
    /// The connection ended before any answer.
    #[deserr(rename = "reset")]
    Reset,
    /// 502, 503 or 504.
    #[deserr(rename = "gateway_error")]
    GatewayError,
    /// Any 5xx, and no answer at all.
    #[deserr(rename = "5xx")]
    #[schemars(rename = "5xx")]
    FiveXx,
}

/// Sends a request again that failed. It stays one request in every metric and log line.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Retry {
    /// Why.
    #[deserr(default = retry_on())]
    #[schemars(default = "retry_on_names", length(min = 1))]
    pub on: Vec<RetryOn>,
    /// How many times at most, after the first.
    #[deserr(default = 1)]
    #[schemars(default = "one", range(min = 1, max = 10))]
    pub attempts: u32,
    /// Requests of which methods. A request of another may have been carried out although its answer never came.
    #[deserr(default = safe_methods())]
    #[schemars(default = "safe_methods", length(min = 1), extend("items" = { "type": "string", "enum": super::METHODS }))]
    pub methods: Vec<String>,
    /// How long one attempt may take (default: as long as the request).
    #[deserr(default)]
    #[schemars(example = &"2s", extend("x-range" = "`1ms` to `24h`"))]
    pub per_try_timeout: Option<PolicyDuration>,
    /// Of the requests under way, this share may be retries.
    #[deserr(default)]
    pub budget: Option<RetryBudget>,
}

fn retry_on() -> Vec<RetryOn> {
    vec![RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::Reset]
}

fn retry_on_names() -> [&'static str; 3] {
    ["connect_failure", "refused_stream", "reset"]
}

fn safe_methods() -> Vec<String> {
    ["GET", "HEAD", "OPTIONS"].map(str::to_owned).to_vec()
}

/// Keeps retries from being what a struggling service dies of.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries under way, in percent of all requests under way.
    #[deserr(default = 20)]
    #[schemars(default = "twenty", range(min = 1, max = 100))]
    pub percent: u32,
    /// So many retries are always allowed.
    #[deserr(default = 3)]
    #[schemars(default = "three", range(max = 1000))]
    pub min_concurrency: u32,
}

fn twenty() -> u32 {
    20
}

/// How long connections to a service are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct KeepAlive {
    /// A connection without requests is closed after this time (default: Envoy's, one hour). Shorter than the service's own.
    #[deserr(default)]
    #[schemars(example = &"60s", extend("x-range" = "`100ms` to `24h`"))]
    pub idle_timeout: Option<PolicyDuration>,
    /// A connection is closed after this many requests (default: never).
    #[deserr(default)]
    #[schemars(range(min = 1), example = 10_000)]
    pub max_requests: Option<u32>,
    /// Asks at this interval whether the other end is still there: by TCP over HTTP/1.1, by ping over HTTP/2 (default: not at
    /// all).
    #[deserr(default)]
    #[schemars(example = &"30s", extend("x-range" = "`1s` to `1h`"))]
    pub probe_interval: Option<PolicyDuration>,
}
