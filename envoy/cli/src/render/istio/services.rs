//! Services: a `ServiceEntry` where Kubernetes does not know one, and a `DestinationRule` for how each is spoken to.

use super::gateway::virtual_hosts;
use super::places::{Place, Places, endpoints, section};
use super::{Options, PLANE, object, traffic};
use crate::render::kubernetes::untranslatable;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What of a cluster is translated here, beside what [`traffic`] translates.
const KNOWN: [&str; 4] = ["name", "type", "load_assignment", "dns_lookup_family"];

pub fn services(
    listeners: &[Value],
    clusters: &[Value],
    places: &Places,
    policy: &Policy,
    options: &Options,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    for cluster in clusters {
        let Some(place) = cluster["name"].as_str().and_then(|name| places.get(name)) else { continue };
        errors.extend(unsaid(cluster, place, policy));
        if !place.is_service {
            objects.push(entry(cluster, place, options));
        }
        objects.push(rule(cluster, place, hash_policy(listeners, &place.name), options));
    }
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
}

/// What Istio has no API for, each in the field of the policy that asks for it.
fn unsaid(cluster: &Value, place: &Place, policy: &Policy) -> Vec<ConfigError> {
    let at = section(&place.name, policy);
    let known: Vec<_> = KNOWN.into_iter().chain(traffic::KNOWN).collect();
    let mut errors: Vec<_> = cluster
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys())
        .filter(|key| !known.contains(&key.as_str()))
        .map(|key| untranslatable(&field(&at, key), format!("`{key}` of Envoy's cluster"), PLANE))
        .collect();
    let family = cluster["dns_lookup_family"].as_str().unwrap_or("ALL");
    if family != "ALL" && !place.is_service {
        errors.push(untranslatable(&at.key("dns").key("family"), family, PLANE));
    }
    errors
}

/// Where the policy has what became `key` of a cluster.
fn field(at: &Node, key: &str) -> Node {
    match key {
        "health_checks" => at.key("health_check"),
        "dns_refresh_rate" => at.key("dns").key("refresh"),
        "respect_dns_ttl" => at.key("dns").key("respect_ttl"),
        _ => at.clone(),
    }
}

/// What requests to a service are hashed by: its routes have it in Envoy, its `DestinationRule` in Istio.
fn hash_policy<'a>(listeners: &'a [Value], service: &str) -> &'a Value {
    let actions = listeners.iter().flat_map(virtual_hosts).flat_map(|host| host["routes"].as_array());
    let mut actions = actions.flatten().map(|route| &route["route"]);
    actions.find(|action| action["cluster"] == service).map_or(&Value::Null, |action| &action["hash_policy"])
}

/// What the mesh is told of a service that it does not know.
fn entry(cluster: &Value, place: &Place, options: &Options) -> Value {
    let ends: Vec<_> = endpoints(cluster).collect();
    let are_addresses = ends.iter().all(|(host, ..)| host.parse::<IpAddr>().is_ok());
    let is_own_name = ends.len() == 1 && ends.iter().all(|(host, ..)| *host == place.host);
    let protocol = if cluster["transport_socket"].is_null() { "HTTP" } else { "HTTPS" };
    let mut spec = json!({
        "hosts": [place.host],
        "location": "MESH_EXTERNAL",
        "resolution": if are_addresses { "STATIC" } else { "DNS" },
        // Called HTTP also where TLS is added on the way: what the proxy handles is HTTP.
        "ports": [{ "number": place.port, "name": "http", "protocol": if traffic::is_http2(cluster) { "HTTP2" } else { "HTTP" } }],
    });
    if protocol == "HTTPS" {
        spec["ports"][0]["name"] = "http-tls".into();
    }
    if !is_own_name {
        let end = |(host, port, weight): &(String, u16, Option<u64>)| {
            let mut end = json!({ "address": host, "ports": { spec["ports"][0]["name"].as_str().unwrap_or_default(): port } });
            if let Some(weight) = weight {
                end["weight"] = (*weight).into();
            }
            end
        };
        let ends: Vec<_> = ends.iter().map(end).collect();
        spec["endpoints"] = ends.into();
    }
    object("networking.istio.io/v1", "ServiceEntry", &place.object, options, spec)
}

fn rule(cluster: &Value, place: &Place, hash: &Value, options: &Options) -> Value {
    let spec = json!({ "host": place.host, "trafficPolicy": traffic::traffic_policy(cluster, hash) });
    object("networking.istio.io/v1", "DestinationRule", &place.object, options, spec)
}
