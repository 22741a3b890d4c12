//! The proxies that Envoy Gateway deploys.

use super::{Options, VERSION, object};
use crate::render::access_log;
use portcullis_policy::Policy;
use serde_json::{Value, json};

pub fn proxy(policy: &Policy, options: &Options) -> Value {
    let bootstrap = json!({ "stats_config": { "stats_tags": crate::render::stats_tags() } });
    let spec = json!({
        "provider": { "type": "Kubernetes", "kubernetes": { "envoyDeployment": { "container": {
            "env": variables(policy, options),
        } } } },
        // The filter first: what others answer or change it could not judge.
        "filterOrder": [{ "name": "envoy.filters.http.wasm", "before": "envoy.filters.http.cors" }],
        // Rules are tried in the order of routes.yaml.
        "preserveRouteOrder": true,
        "telemetry": { "accessLog": { "settings": log(policy) } },
        "bootstrap": { "type": "Merge", "value": serde_saphyr::to_string(&bootstrap).unwrap_or_default() },
    });
    object(VERSION, "EnvoyProxy", &options.gateway, options, spec)
}

/// From the Secret that is called like the gateway.
fn variables(policy: &Policy, options: &Options) -> Vec<Value> {
    let variable = |name: &String| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": options.gateway, "key": name } } });
    policy.environment.iter().map(variable).collect()
}

/// The filter's line, and lines of Envoy's for streams whose end it never sees.
fn log(policy: &Policy) -> Vec<Value> {
    let (line, unavailable) = (access_log::line_of(policy), access_log::NO_VM);
    let setting = |matches: String, text: String| {
        json!({
            "format": { "type": "Text", "text": text },
            "matches": [matches],
            "sinks": [{ "type": "File", "file": { "path": "/dev/stdout" } }],
        })
    };
    let [unseen, no_vm] = access_log::unseen_lines(policy);
    vec![
        setting(format!("'{line}' in filter_state"), format!("%FILTER_STATE({line}:PLAIN)%\n")),
        setting(format!("!('{line}' in filter_state) && response.code == 0"), text(&unseen)),
        setting(format!("!('{line}' in filter_state) && response.code == {unavailable}"), text(&no_vm)),
    ]
}

/// A line as text: the format for JSON takes no objects inside objects.
fn text(line: &Value) -> String {
    // A number of Envoy's stands without quotes.
    format!("{}\n", line.to_string().replace("\"%DURATION%\"", "%DURATION%"))
}
