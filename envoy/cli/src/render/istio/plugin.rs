//! The filter itself: a `WasmPlugin` with the policy in it.

use super::gateway_api::SERVICE_HEADER;
use super::places::Places;
use super::{Options, Target, gateway_ref, object};
use crate::render::kubernetes::{renamed, with_clusters};
use portcullis_edge_core::Namespace;
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn plugin(document: &Value, policy: &Policy, places: &Places, ports: &[u16], options: &Options) -> Value {
    let mut spec = json!({
        "url": options.image.url(),
        // The filter's root id.
        "pluginName": policy.gateway.name,
        "type": "HTTP",
        // Before every other phase, and first in its own; an instance behind another one, right after that.
        "phase": "AUTHN",
        "priority": if policy.findings.reader.is_some() { 900 } else { 1000 },
        "failStrategy": options.fail_strategy.name(),
        "imagePullPolicy": "IfNotPresent",
        // Without it the plugin would stand on every listener that the pod has.
        "match": [{ "ports": ports.iter().map(|port| json!({ "number": port })).collect::<Vec<_>>() }],
        "pluginConfig": told_what_istio_does(document, places, options),
    });
    match &options.target {
        Target::Selector(labels) | Target::Sidecar(labels) => {
            spec["selector"] = json!({ "matchLabels": labels });
        }
        Target::Gateway(_) => spec["targetRefs"] = gateway_ref(options),
    }
    if let Target::Sidecar(_) = options.target {
        // What comes in, and not what the pod asks of others. (It would match no gateway.)
        spec["match"][0]["mode"] = "SERVER".into();
    }
    if let Some(secret) = &options.pull_secret {
        spec["imagePullSecret"] = secret.as_str().into();
    }
    if !policy.environment.is_empty() {
        // Names only: the proxy hands over its own variables, and no value stands in an object.
        let host = |name: &String| json!({ "name": name, "valueFrom": "HOST" });
        spec["vmConfig"] = json!({ "env": policy.environment.iter().map(host).collect::<Vec<_>>() });
    }
    object("extensions.istio.io/v1alpha1", "WasmPlugin", &name(policy, options), options, spec)
}

/// Two instances of one gateway have a plugin each.
fn name(policy: &Policy, options: &Options) -> String {
    match policy.gateway.instance.as_str() {
        Namespace::DEFAULT => options.gateway.clone(),
        instance => format!("{}-{}", options.gateway, instance.replace('_', "-")),
    }
}

/// The policy as the filter gets it. Istio's gateway appends the peer's address, and a
/// sidecar does by our `EnvoyFilter`; what else Envoy might do for the filter Istio has no API
/// for, so the filter does it.
fn told_what_istio_does(document: &Value, places: &Places, options: &Options) -> Value {
    let names: BTreeMap<_, _> = places.values().map(|place| (place.name.clone(), place.cluster())).collect();
    let mut policy = renamed(document, &names);
    policy = with_clusters(policy, &called_services(document, places));
    policy["proxy"] = json!({ "appends_peer": true });
    if let Target::Gateway(_) = options.target {
        policy["proxy"]["service_header"] = SERVICE_HEADER.into();
    }
    policy
}

/// Services that the filter itself calls, as clusters under the names that Istio gives them.
fn called_services(document: &Value, places: &Places) -> BTreeMap<String, String> {
    let mut called = BTreeMap::new();
    let services = document["services"].as_object();
    let is_service = |name: &str| services.is_some_and(|services| services.contains_key(name));
    for name in references(document).into_iter().filter(|name| is_service(name)) {
        called.extend(
            places.get(name).map(|place| (place.cluster(), format!("{}:{}", place.host, place.port))),
        );
    }
    called
}

/// The values of all fields that name clusters.
pub fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(key, value)| of_field(key, value)).collect(),
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn of_field<'a>(key: &str, value: &'a Value) -> Vec<&'a str> {
    match value.as_str() {
        Some(name) if key.ends_with("cluster") => vec![name],
        _ => references(value),
    }
}
