//! Services, as Backends, and how long connecting to them may take.

use super::{Options, PLANE, VERSION, object};
use crate::render::istio::{endpoints, section};
use crate::render::kubernetes::{object_name, unknown_keys, untranslatable};
use crate::render::upstream::usual_bounds;
use portcullis_edge_core::ConfigError;
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::net::IpAddr;

const KNOWN: [&str; 5] = ["name", "type", "connect_timeout", "load_assignment", "dns_lookup_family"];

/// A Backend for every service that is routed to. Clusters of the filter's own calls have no route: the patch makes them.
pub fn backends(
    clusters: &[Value],
    policy: &Policy,
    options: &Options,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let (mut backends, mut errors) = (Vec::new(), Vec::new());
    let is_service =
        |cluster: &&Value| policy.services.iter().any(|service| cluster["name"] == service.name.as_str());
    for cluster in clusters.iter().filter(is_service) {
        match backend(cluster, policy, options) {
            Ok(backend) => backends.push(backend),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(backends) } else { Err(errors) }
}

fn backend(cluster: &Value, policy: &Policy, options: &Options) -> Result<Value, Vec<ConfigError>> {
    let name = cluster["name"].as_str().unwrap_or_default();
    let at = section(name, policy);
    let mut said = cluster.clone();
    // Envoy's own bounds are those of a Backend that says nothing.
    if let Some(fields) =
        said.as_object_mut().filter(|fields| fields.get("circuit_breakers") == Some(&usual_bounds()))
    {
        fields.remove("circuit_breakers");
    }
    let errors: Vec<_> = unknown_keys(&said, "cluster", &KNOWN)
        .into_iter()
        .map(|found| untranslatable(&at, found, PLANE))
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let object_name = object_name(name, &at).map_err(|error| vec![error])?;
    let end = |(host, port, _): (String, u16, Option<u64>)| match host.parse::<IpAddr>() {
        Ok(_) => json!({ "ip": { "address": host, "port": port } }),
        Err(_) => json!({ "fqdn": { "hostname": whole(&host), "port": port } }),
    };
    let spec = json!({ "endpoints": endpoints(cluster).map(end).collect::<Vec<_>>() });
    Ok(object(VERSION, "Backend", &object_name, options, spec))
}

/// The proxies' resolver has no search list for services of Kubernetes.
fn whole(host: &str) -> String {
    if host.ends_with(".svc") { format!("{host}.cluster.local") } else { host.to_owned() }
}

/// The longest time that connecting to any of the services may take: the policy of a Gateway has one for all.
pub fn connect_timeout(policy: &Policy) -> Result<String, Vec<ConfigError>> {
    let mut times = policy.services.iter().map(|service| (service.connect_timeout, &service.name));
    let Some((first, _)) = times.next() else { return Ok("1s".to_owned()) };
    let other = times.find(|(time, _)| *time != first);
    match other {
        None => Ok(crate::render::kubernetes::milliseconds(first)),
        Some((time, name)) => {
            let found =
                format!("`connect_timeout: {}ms`, where other services have another", time.as_millis());
            Err(vec![untranslatable(&section(name, policy), found, PLANE)])
        }
    }
}
