//! What Istio has no API for.

use super::{Options, Target, object};
use crate::render::local_replies;
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// Answers that Envoy gives before any filter has seen the request (431, a broken request line): the error body and the browser
/// headers of all others. No Istio API sets `local_reply_config`.
pub fn local_replies(policy: &Policy, ports: &[u16], options: &Options) -> Value {
    let patch = |port: &u16| {
        json!({
            "applyTo": "NETWORK_FILTER",
            "match": {
                "context": "GATEWAY",
                "listener": {
                    "portNumber": port,
                    "filterChain": { "filter": { "name": "envoy.filters.network.http_connection_manager" } },
                },
            },
            "patch": { "operation": "MERGE", "value": { "typed_config": manager(policy) } },
        })
    };
    let mut spec = json!({ "configPatches": ports.iter().map(patch).collect::<Vec<_>>() });
    match &options.target {
        Target::Selector(labels) => spec["workloadSelector"] = json!({ "labels": labels }),
        Target::Gateway(name) => {
            spec["targetRefs"] =
                json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name }]);
        }
    }
    object("networking.istio.io/v1alpha3", "EnvoyFilter", "portcullis-local-replies", options, spec)
}

fn manager(policy: &Policy) -> Value {
    let mut manager = local_replies::local_replies(policy);
    manager["@type"] = crate::render::listener::HCM.into();
    manager
}
