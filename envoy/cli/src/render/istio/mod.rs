//! Objects for Istio that mean what the static bootstrap means.
//!
//! Routes, services and limits are read from the configuration that `render envoy` makes of the policy and said again in Istio's words, so
//! that the two cannot come apart: what Istio has no word for is an error that names it.
//!
//! No `RequestAuthentication` and no `AuthorizationPolicy` are written. Tokens and rules are the filter's: Istio's own would stand behind
//! it and judge by other rules (a token of an unknown issuer passes a `RequestAuthentication`), and answer without the error body,
//! the metrics and the log lines.

mod bootstrap;
mod deployment;
mod envoy_filter;
mod gateway;
mod gateway_api;
mod places;
mod plugin;
mod proxy_config;
mod retry;
mod routes;
mod services;
mod sidecar;
mod telemetry;
mod tls;
mod traffic;

pub(crate) use gateway_api::NOWHERE;
pub(crate) use places::{endpoints, section};

use crate::render::kubernetes::{self, File, GATEWAY_API, Image, object_name};
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PLANE: &str = "Istio";

/// What the gateway lets through where the filter cannot be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FailStrategy {
    /// Nothing: 503 until the worker has a new VM, about a second.
    #[default]
    Reload,
    /// Nothing: 503 until the objects change.
    Close,
    /// Everything, unfiltered, without tokens, limits, lines or metrics.
    Open,
}

impl FailStrategy {
    const fn name(self) -> &'static str {
        match self {
            Self::Reload => "FAIL_RELOAD",
            Self::Close => "FAIL_CLOSE",
            Self::Open => "FAIL_OPEN",
        }
    }
}

/// What routes are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Api {
    /// Istio's own: Gateway and VirtualService. It has a field for nearly everything.
    #[default]
    Istio,
    /// The Gateway API: Gateway and HTTPRoute, a rule for each service.
    Gateway,
}

/// Which proxies get the filter, and in which words they are spoken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Pods with these labels, by Istio's own API.
    Selector(BTreeMap<String, String>),
    /// Pods with these labels, as those of a Gateway of the Gateway API.
    Gateway(BTreeMap<String, String>),
    /// Pods with these labels, which a backend is in: the filter stands before it, in their sidecars.
    Sidecar(BTreeMap<String, String>),
}

impl Target {
    /// The labels.
    #[must_use]
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        let (Self::Selector(labels) | Self::Gateway(labels) | Self::Sidecar(labels)) = self;
        labels
    }
}

/// What is not in the policy.
#[derive(Clone, Debug)]
pub struct Options {
    /// The module.
    pub image: Image,
    /// The secret to pull it with, if the registry asks for one.
    pub pull_secret: Option<String>,
    /// Namespace of all objects.
    pub namespace: String,
    /// The gateway's name, by which all objects are called.
    pub gateway: String,
    /// Which proxies get the filter.
    pub target: Target,
    /// Whether the pods are ours to deploy; else somebody has them running.
    pub deploys: bool,
    /// Addresses of services and clusters instead of the policy's.
    pub services: BTreeMap<String, (String, u16)>,
    /// What happens where the filter cannot be run.
    pub fail_strategy: FailStrategy,
}

impl Options {
    /// The usual ones.
    ///
    /// # Errors
    /// If the policy's `gateway.name` is no name for an object and `gateway` gives none.
    pub fn new(
        policy: &Policy,
        image: Image,
        namespace: &str,
        gateway: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let gateway = match gateway {
            Some(name) => name.to_owned(),
            None => object_name(&policy.gateway.name, &Node::top().key("gateway").key("name"))?,
        };
        Ok(Self {
            image,
            pull_secret: None,
            namespace: namespace.to_owned(),
            target: Target::Selector(BTreeMap::from([("app".to_owned(), gateway.clone())])),
            gateway,
            deploys: true,
            services: BTreeMap::new(),
            fail_strategy: FailStrategy::default(),
        })
    }
}

/// The files.
///
/// # Errors
/// Everything in the policy that Istio cannot be told, each with its place.
pub fn render(document: &Value, policy: &Policy, options: &Options) -> Result<Vec<File>, Vec<ConfigError>> {
    let bootstrap = alone(document, policy);
    let empty = Vec::new();
    let list = |key: &str| bootstrap["static_resources"][key].as_array().unwrap_or(&empty);
    let (listeners, clusters) = (list("listeners"), list("clusters"));
    if let Target::Sidecar(_) = options.target {
        return sidecar::render(document, policy, (listeners, clusters), options);
    }
    let places = places::places(clusters, policy, options)?;
    let ports = gateway::ports(listeners);
    let guarded = gateway::guarded_ports(listeners);
    let services = services::services(listeners, clusters, &places, policy, options);
    let routes = match options.target {
        Target::Selector(_) | Target::Sidecar(_) => gateway::routes(listeners, &places, options),
        Target::Gateway(_) => gateway_api::routes(listeners, &places, policy, options),
    };
    let (services, routes) = both(services, routes)?;
    let mut files = vec![
        File::resource(
            "plugin.yaml",
            PLUGIN,
            vec![plugin::plugin(document, policy, &places, &guarded, options)],
        ),
        File::resource("routes.yaml", ROUTES, routes),
        File::resource("services.yaml", SERVICES, services),
        File::resource("telemetry.yaml", TELEMETRY, vec![telemetry::telemetry(policy, options)]),
        File::resource(
            "envoy-filter.yaml",
            FILTERS,
            envoy_filter::filters(policy, listeners, &guarded, options),
        ),
        telemetry::mesh(policy),
        File::resource("bootstrap.yaml", BOOTSTRAP, vec![bootstrap::config_map(options)]),
    ];
    files.extend(deployment::proxies(policy, listeners, &ports, options));
    files.push(kubernetes::sums(policy));
    Ok(files)
}

/// What the filter does itself in a proxy that somebody else configures.
fn alone(document: &Value, policy: &Policy) -> Value {
    super::bootstrap(
        document,
        policy,
        &super::Options { offload: false, metrics_listener: false, ..super::Options::default() },
    )
}

/// Both, or the errors of both.
fn both<A, B>(
    a: Result<A, Vec<ConfigError>>,
    b: Result<B, Vec<ConfigError>>,
) -> Result<(A, B), Vec<ConfigError>> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (a, b) => Err(a.err().into_iter().chain(b.err()).flatten().collect()),
    }
}

/// What an object is for where a Gateway is.
fn gateway_ref(options: &Options) -> Value {
    json!([{ "group": GATEWAY_API, "kind": "Gateway", "name": options.gateway }])
}

/// An object in the namespace of all.
fn object(version: &str, kind: &str, name: &str, options: &Options, spec: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "name": name, "namespace": options.namespace },
        "spec": spec,
    })
}

const PLUGIN: &str = "The filter, with its policy. Istio hands a changed policy to running proxies; open connections obey it at once.";
const ROUTES: &str = "Where requests go once the filter has let them pass.";
const SERVICES: &str = "The services: what Kubernetes does not know of them, and how they are spoken to.";
const TELEMETRY: &str =
    "Prints the line that the filter prepares for each request. mesh-values.yaml has the providers.";
const BOOTSTRAP: &str =
    "Labels of the metrics, for the bootstrap of the gateway's pods: an annotation of theirs names this.";
const FILTERS: &str = "What Istio has no API for: error bodies and headers of answers that Envoy gives before the filter sees a request.";
