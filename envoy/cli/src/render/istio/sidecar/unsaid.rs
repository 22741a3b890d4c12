//! What a policy says of the way to a service that there is no such way in a sidecar for.

use super::patches::{self, Facet};
use super::ports::routed;
use crate::render::istio::{PLANE, gateway};
use crate::render::kubernetes::untranslatable;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::{Policy, Service};
use serde_json::Value;

/// Fields of a service that have a meaning where the service is the pod itself.
const OF_A_SERVICE: [&str; 4] = ["address", "timeout", "idle_timeout", "calls"];
const HANDED_ON: &str =
    "what a sidecar can do: it hands a request on to its own pod, with the path that it came with";

/// Everything that is refused.
pub fn check(document: &Value, policy: &Policy, listeners: &[Value]) -> Result<(), Vec<ConfigError>> {
    let top = Node::top();
    let mut errors: Vec<_> = listeners.first().into_iter().flat_map(gateway::unsaid).collect();
    if policy.gateway.tls.is_some() {
        let expected = "what a sidecar can do: TLS between pods is the mesh's own, by a PeerAuthentication";
        errors.push(top.key("gateway").key("tls").error("TLS with certificates from files", expected));
    }
    if !policy.path_prefix.is_empty() {
        let expected = format!("{HANDED_ON}; write the prefix into each route's `path`");
        errors.push(
            top.key("path_prefix").error(format!("`{}`, which is cut off", policy.path_prefix), expected),
        );
    }
    if policy.cors.is_some() {
        errors.push(untranslatable(&top.key("cors"), "marks for web pages, in a sidecar", PLANE));
    }
    errors.extend(routed(policy).flat_map(|service| of_service(document, service)));
    errors.extend(of_routes(policy));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// How a service is reached: a sidecar reaches it by itself.
fn of_service(document: &Value, service: &Service) -> Vec<ConfigError> {
    let at = Node::top().key("services").key(&service.name);
    let fields = document["services"][&service.name].as_object();
    let names = fields.into_iter().flat_map(|fields| fields.keys());
    let refused = names.filter(|name| !OF_A_SERVICE.contains(&name.as_str()));
    let expected = format!("of a service in a sidecar only {}: {HANDED_ON}", OF_A_SERVICE.join(", "));
    refused.map(|name| at.key(name).error(format!("`{name}`"), expected.as_str())).collect()
}

fn of_routes(policy: &Policy) -> Vec<ConfigError> {
    let facets: Vec<_> = policy.routes.iter().map(|route| patches::facets(policy, route)).collect();
    let Some(first) = facets.first() else { return Vec::new() };
    let numbered = policy.routes.iter().zip(&facets).enumerate();
    let of_route = |(index, (route, own)): (usize, (&portcullis_policy::Route, &[Facet; 4]))| {
        let at = Node::top().key("routes").index(index);
        let path = route.upstream_path.as_ref();
        let rewritten =
            path.map(|path| at.key("upstream_path").error(format!("`{}`", path.as_str()), HANDED_ON));
        rewritten.into_iter().chain(differing(&at, own, first)).collect::<Vec<_>>()
    };
    numbered.flat_map(of_route).collect()
}

/// What a route has otherwise than the first one.
fn differing(at: &Node, own: &[Facet; 4], first: &[Facet; 4]) -> Vec<ConfigError> {
    let pairs = own.iter().zip(first).filter(|(own, first)| own != first);
    let error = |(own, first): (&Facet, &Facet)| {
        let expected = format!(
            "{}, as routes[0] has: Istio has one route for all that comes to a port of a pod",
            first.said
        );
        at.key(own.name).error(own.said.as_str(), expected)
    };
    pairs.map(error).collect()
}
