//! The plugin, with its policy inlined.

use super::Options;
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// Its name among the filters, and in Envoy's stats of what it is configured with.
pub(super) const NAME: &str = "portcullis";

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// The filter, or where Envoy finds it.
pub(super) fn plugin(document: &Value, policy: &Policy, options: &Options) -> Value {
    match &options.dynamic {
        None => json!({ "name": NAME, "typed_config": config(document, policy, options) }),
        Some(folder) => json!({ "name": NAME, "config_discovery": {
            "config_source": super::dynamic::source(folder, "filter"),
            "type_urls": [TYPE],
        } }),
    }
}

pub(super) fn config(document: &Value, policy: &Policy, options: &Options) -> Value {
    json!({
        "@type": TYPE,
        "config": {
            "name": NAME,
            "root_id": policy.gateway.name,
            // If the module ever traps: 503 until its worker has a new VM, about a second later. Never a bypass.
            "failure_policy": "FAIL_RELOAD",
            "vm_config": vm(policy, options),
            // Envoy hands a plugin the bytes of a string as they are; a Struct would arrive as protobuf.
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": format!("{:#}\n", told_what_envoy_does(document, options)),
            },
        },
    })
}

fn vm(policy: &Policy, options: &Options) -> Value {
    let mut vm = json!({
        "vm_id": "portcullis",
        "runtime": "envoy.wasm.runtime.v8",
        "code": { "local": { "filename": options.module } },
    });
    if !policy.environment.is_empty() {
        // Names only: Envoy hands over its own variables, and no value stands in a file.
        vm["environment_variables"] = json!({ "host_env_keys": policy.environment });
    }
    vm
}

fn told_what_envoy_does(document: &Value, options: &Options) -> Value {
    let mut policy = document.clone();
    policy["proxy"] = json!({
        "appends_peer": true,
        "assigns_request_id": options.offload,
        "sets_trust_headers": options.offload,
        "sets_browser_headers": options.offload,
        "begins_traces": true,
    });
    if document.get("tracing").is_none()
        && let Some(proxy) = policy["proxy"].as_object_mut()
    {
        proxy.remove("begins_traces");
    }
    policy
}
