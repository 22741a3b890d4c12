//! Where Istio finds each cluster of the policy: the host and port that routes and calls name.

use super::Options;
use crate::render::kubernetes::object_name;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A cluster of the policy in Istio's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name in the policy.
    pub name: String,
    /// Its name as a Kubernetes object.
    pub object: String,
    /// The host that Istio knows it by.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Whether Kubernetes has it as a service; else a `ServiceEntry` says where it is.
    pub is_service: bool,
}

impl Place {
    /// What Istio calls it among Envoy's clusters.
    pub fn cluster(&self) -> String {
        format!("outbound|{}||{}", self.port, self.host)
    }

    /// Name and namespace of a service of Kubernetes.
    pub fn of_kubernetes(&self) -> Option<(&str, &str)> {
        let (name, rest) = self.host.split_once('.').filter(|_| self.is_service)?;
        rest.split_once('.').map(|(namespace, _)| (name, namespace))
    }
}

/// Places by the name in the policy.
pub type Places = BTreeMap<String, Place>;

/// Finds the place of every cluster that is rendered for Envoy.
pub fn places(clusters: &[Value], policy: &Policy, options: &Options) -> Result<Places, Vec<ConfigError>> {
    let (mut places, mut errors) = (Places::new(), Vec::new());
    for cluster in clusters {
        match place(cluster, policy, options) {
            Ok(place) => drop(places.insert(place.name.clone(), place)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(places) } else { Err(errors) }
}

/// Where the section of `name` stands in the policy.
pub fn section(name: &str, policy: &Policy) -> Node {
    let is_service = policy.services.iter().any(|service| service.name == name);
    Node::top().key(if is_service { "services" } else { "clusters" }).key(name)
}

fn place(cluster: &Value, policy: &Policy, options: &Options) -> Result<Place, ConfigError> {
    let name = cluster["name"].as_str().unwrap_or_default().to_owned();
    let at = section(&name, policy);
    let object = object_name(&name, &at)?;
    let (host, port) = match options.services.get(&name) {
        Some((host, port)) => (host.clone(), *port),
        None => first_endpoint(cluster).ok_or_else(|| at.error("no address", "an address"))?,
    };
    let kubernetes = kubernetes_service(&host);
    let is_service = kubernetes.is_some();
    let is_name = host.parse::<IpAddr>().is_err() && endpoints(cluster).count() == 1;
    let host = match kubernetes {
        Some(host) => host,
        None if is_name || options.services.contains_key(&name) => host,
        // An address, or several endpoints, have no name: this one is known inside the mesh only.
        None => format!("{object}.{}.portcullis.internal", options.gateway),
    };
    Ok(Place { name, object, host, port, is_service })
}

/// The whole name of a service of Kubernetes, if `host` is one: `name.namespace.svc`, with the usual cluster domain or without.
fn kubernetes_service(host: &str) -> Option<String> {
    let short = host.strip_suffix(".cluster.local").unwrap_or(host);
    let (name, _) = short.strip_suffix(".svc")?.split_once('.')?;
    (!name.is_empty()).then(|| format!("{short}.cluster.local"))
}

/// Host and port of each endpoint that is rendered for Envoy.
pub fn endpoints(cluster: &Value) -> impl Iterator<Item = (String, u16, Option<u64>)> {
    let localities = cluster["load_assignment"]["endpoints"].as_array().into_iter().flatten();
    let all = localities.flat_map(|locality| locality["lb_endpoints"].as_array().into_iter().flatten());
    all.filter_map(|endpoint| {
        let address = &endpoint["endpoint"]["address"]["socket_address"];
        let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
        Some((address["address"].as_str()?.to_owned(), port, endpoint["load_balancing_weight"].as_u64()))
    })
}

fn first_endpoint(cluster: &Value) -> Option<(String, u16)> {
    endpoints(cluster).next().map(|(host, port, _)| (host, port))
}
