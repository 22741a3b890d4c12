//! Log lines: the filter prepares a request's line as filter state, a `Telemetry` has Envoy print it.

use super::{Options, Target, gateway_ref, object};
use crate::render::access_log;
use crate::render::kubernetes::File;
use portcullis_policy::Policy;
use serde_json::{Value, json};

const LINES: &str = "portcullis";
const UNSEEN: &str = "portcullis-unseen";
const UNAVAILABLE: &str = "portcullis-unavailable";

pub fn telemetry(policy: &Policy, options: &Options) -> Value {
    let (line, unavailable) = (access_log::line_of(policy), access_log::NO_VM);
    let log = |provider: &str, filter: String| {
        let mut log = json!({ "providers": [{ "name": provider }], "filter": { "expression": filter } });
        if let Target::Sidecar(_) = options.target {
            // Not for what the pod itself asks of others.
            log["match"] = json!({ "mode": "SERVER" });
        }
        log
    };
    let mut spec = json!({ "accessLogging": [
        log(LINES, format!("'{line}' in filter_state")),
        log(UNSEEN, format!("!('{line}' in filter_state) && response.code == 0")),
        log(UNAVAILABLE, format!("!('{line}' in filter_state) && response.code == {unavailable}")),
    ] });
    match &options.target {
        Target::Selector(labels) | Target::Sidecar(labels) => {
            spec["selector"] = json!({ "matchLabels": labels });
        }
        Target::Gateway(_) => spec["targetRefs"] = gateway_ref(options),
    }
    object("telemetry.istio.io/v1", "Telemetry", &options.gateway, options, spec)
}

/// What a `Telemetry` may name stands in the mesh's configuration, and there alone.
pub fn mesh(policy: &Policy) -> File {
    let line = format!("%FILTER_STATE({}:PLAIN)%\n", access_log::line_of(policy));
    let [unseen, unavailable] = access_log::unseen_lines(policy);
    let provider = |name: &str, format: Value| json!({ "name": name, "envoyFileAccessLog": { "path": "/dev/stdout", "logFormat": format } });
    let values = json!({ "meshConfig": { "extensionProviders": [
        provider(LINES, json!({ "text": line })),
        provider(UNSEEN, json!({ "labels": unseen })),
        provider(UNAVAILABLE, json!({ "labels": unavailable })),
    ] } });
    let about = "For whoever installs istiod: values of its Helm chart. The Telemetry in telemetry.yaml names these providers.";
    File { name: "mesh-values.yaml", about, objects: vec![values], is_resource: false }
}
