//! Services: a `ServiceEntry` where Kubernetes does not know one, and a `DestinationRule` for how each is spoken to.

use super::places::{Place, Places, endpoints, section};
use super::{Options, PLANE, object};
use crate::render::kubernetes::{unknown_keys, untranslatable};
use portcullis_edge_core::ConfigError;
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What is translated, or is Istio's own business.
const KNOWN: [&str; 6] =
    ["name", "type", "connect_timeout", "load_assignment", "dns_lookup_family", "transport_socket"];

pub fn services(
    clusters: &[Value],
    places: &Places,
    policy: &Policy,
    options: &Options,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    for cluster in clusters {
        let Some(place) = cluster["name"].as_str().and_then(|name| places.get(name)) else { continue };
        for found in unknown_keys(cluster, "cluster", &KNOWN) {
            errors.push(untranslatable(&section(&place.name, policy), found, PLANE));
        }
        if !place.is_service {
            objects.push(entry(cluster, place, options));
        }
        objects.push(rule(cluster, place, options));
    }
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
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
        "ports": [{ "number": place.port, "name": "http", "protocol": "HTTP" }],
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

fn rule(cluster: &Value, place: &Place, options: &Options) -> Value {
    let mut policy = json!({ "connectionPool": { "tcp": { "connectTimeout": cluster["connect_timeout"] } } });
    if let Some(tls) = tls(&cluster["transport_socket"]["typed_config"]) {
        policy["tls"] = tls;
    }
    let spec = json!({ "host": place.host, "trafficPolicy": policy });
    object("networking.istio.io/v1", "DestinationRule", &place.object, options, spec)
}

/// TLS to the service, with its certificate verified: Istio verifies none unless it is told who vouches for it.
fn tls(context: &Value) -> Option<Value> {
    let validation = context["common_tls_context"]["validation_context"].as_object()?;
    let names =
        validation.get("match_typed_subject_alt_names").and_then(Value::as_array).into_iter().flatten();
    let mut tls = json!({
        "mode": "SIMPLE",
        "caCertificates": validation.get("trusted_ca").map(|ca| &ca["filename"]),
        "subjectAltNames": names.map(|name| &name["matcher"]["exact"]).collect::<Vec<_>>(),
    });
    if let Some(sni) = context["sni"].as_str() {
        tls["sni"] = sni.into();
    }
    Some(tls)
}
