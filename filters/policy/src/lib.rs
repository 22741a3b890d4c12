//! The policy file.
//!
//! Each stage owns the types of its section; this crate puts the sections together, adds what concerns several of them (routes
//! name services), and compiles the whole: all of it or nothing, with every mistake reported at once.

mod address;
mod catalogue;
mod clusters;
mod document;
mod gateway;
mod guards;
mod handed;
mod hash;
mod listeners;
mod parts;
mod policy;
mod raw;
mod references;
mod routes;
mod sections;
mod services;
mod tls;
mod tokens;
mod upstream;

pub use catalogue::{Catalogue, Counted};
pub use clusters::{Cluster, ClusterTls};
pub use parts::{BUSINESS, GUARDS, TOKENS};
pub use policy::{GatewayPaths, Policy};
pub use portcullis_access_log::Tracing;
pub use portcullis_edge_core::{ConfigError, Node, PathSegment};
pub use portcullis_jwt::{Env, Variable};
pub use raw::{
    BalancingPolicy, Certificate, CircuitLimits, ClientCertificateMode, ClientCertificates, Dns, DnsFamily,
    HashOn, HealthCheck, KeepAlive, LoadBalancing, OutlierDetection, Protocol, RawCluster, RawEndpoint,
    RawEscapedSlashes, RawGateway, RawPolicy, RawProxy, RawRoute, RawService, RawTls, Retry, RetryBudget,
    RetryOn, ServiceTls, TlsVersion, TrailingSlash, Upgrade,
};
pub use routes::Route;
pub use services::{Endpoint, Service};

/// The JSON Schema of the policy file, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(RawPolicy).to_value()
}
