//! What rendering for any control plane on Kubernetes needs: names, the module's image, files of objects.

mod durations;
mod files;
mod gateway_api;
mod image;
mod names;
mod references;
mod sums;

pub(crate) use durations::{duration, milliseconds};
pub use files::{File, write};
pub(crate) use gateway_api::{
    GATEWAY_API, GATEWAY_API_V1, cors, gateway, host_names, http_routes, methods, replace_full_path,
};
pub use image::Image;
pub use names::{check_label_name, object_name, parse_labels};
pub(crate) use references::{renamed, with_clusters};
pub(crate) use sums::sums;

use portcullis_edge_core::{ConfigError, Node};

/// What stands in the policy and cannot be said to the control plane: found in the configuration that was rendered for Envoy.
#[must_use]
pub fn untranslatable(place: &Node, found: impl Into<String>, plane: &str) -> ConfigError {
    place.error(found, format!("what {plane} has an API for; the static bootstrap (`render envoy`) has this"))
}

/// The names in `map` that are not among `known`, each with its path below `path`.
pub(crate) fn unknown_keys(map: &serde_json::Value, path: &str, known: &[&str]) -> Vec<String> {
    let keys = map.as_object().into_iter().flat_map(|map| map.keys());
    keys.filter(|key| !known.contains(&key.as_str())).map(|key| format!("`{path}.{key}`")).collect()
}
