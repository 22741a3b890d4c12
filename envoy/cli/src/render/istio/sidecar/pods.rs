//! What the backend's pods must have.

use super::Options;
use crate::render::istio::deployment::{annotations, variables};
use crate::render::kubernetes::File;
use portcullis_policy::Policy;
use serde_json::{Value, json};

const ABOUT: &str = "For the backend's pods: kubectl patch deployment NAME --patch-file this file. The bootstrap of their sidecars has what\n\
    these annotations say, so they are started anew.";

pub fn patch(policy: &Policy, port: u16, options: &Options) -> File {
    let config = serde_saphyr::to_string(&proxy_config(port)).unwrap_or_default();
    let mut template = json!({ "metadata": { "annotations": annotations(&config, options) } });
    if !policy.environment.is_empty() {
        // istiod's webhook puts its own image in this place, and keeps the variables.
        let sidecar = json!({ "name": "istio-proxy", "image": "auto", "env": variables(policy, options) });
        template["spec"] = json!({ "containers": [sidecar] });
    }
    let patch = json!({ "spec": { "template": template } });
    File { name: "pod-patch.yaml", about: ABOUT, objects: vec![patch], is_resource: false }
}

/// It is for the whole sidecar, so nothing stands here that would change how the pod asks others; bounds of what comes in are the
/// `EnvoyFilter`'s.
fn proxy_config(port: u16) -> Value {
    json!({
        "proxyHeaders": { "envoyDebugHeaders": { "disabled": true } },
        "proxyStatsMatcher": {
            // Envoy's own count of the requests that come in here, to hold against the filter's: a bypassed filter shows there.
            "inclusionRegexps": [format!("http\\.inbound_.*_{port};?\\.downstream_rq_(completed|total)")],
            // Whether a plugin was taken or refused: nothing else tells.
            "inclusionPrefixes": ["extension_config_discovery"],
        },
    })
}
