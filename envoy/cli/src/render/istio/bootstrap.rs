//! What a gateway's own bootstrap has beyond Istio's: the rules by which Envoy cuts labels out of the names of stats.
//!
//! Istio makes such rules of `extraStatTags` too, but looks for a label anywhere in a name: `type` would be found in `error_type`, and
//! series would have labels that nobody declared. So they are handed over whole, by the annotation that Istio has for it.

use super::Options;
use serde_json::{Value, json};

/// The annotation that names the ConfigMap.
pub const ANNOTATION: &str = "sidecar.istio.io/bootstrapOverride";
/// Where istiod's injector looks for it in the ConfigMap.
const FILE: &str = "custom_bootstrap.json";

/// The name of the ConfigMap.
pub fn name(options: &Options) -> String {
    format!("{}-bootstrap", options.gateway)
}

/// What pilot-agent adds to Envoy's bootstrap.
pub fn config_map(options: &Options) -> Value {
    let added = json!({ "stats_config": { "stats_tags": crate::render::stats_tags() } });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name(options), "namespace": options.namespace },
        // A tree of maps with text as keys always has a JSON form.
        "data": { FILE: serde_json::to_string_pretty(&added).unwrap_or_default() },
    })
}
