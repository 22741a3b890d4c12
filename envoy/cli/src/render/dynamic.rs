//! A folder of files that a running Envoy watches, in the place of one static bootstrap: a new policy then takes effect on
//! connections that are open, without a restart.
//!
//! Each file has a folder of its own, which Envoy watches for a rename into it: a change of one does not have it read the others.
//! A file's version is a digest of what is in it, and stands in Envoy's stats once Envoy has taken it.

use super::{Options, clusters, downstream, listener, plugin, routes};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file that Envoy watches, or starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Where it lies in the folder.
    pub path: String,
    /// Its version, as Envoy's stats will tell it.
    pub version: String,
    /// What is in it.
    pub text: String,
}

/// What a file of the folder is, in the order in which Envoy is given new ones: what is referred to comes before what refers to it,
/// and routes before the filter that lets requests through to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What Envoy is started with; read at its start only.
    Bootstrap,
    /// A certificate with its key.
    Secret,
    /// Services and other clusters.
    Clusters,
    /// Routes.
    Routes,
    /// The filter with its policy.
    Filter,
    /// Listeners.
    Listeners,
}

/// The folder's files for a policy; `folder` is its path as Envoy will open it.
#[must_use]
pub fn dynamic(document: &Value, policy: &Policy, options: &Options, folder: &str) -> Vec<File> {
    let options = &Options { dynamic: Some(folder.to_owned()), ..options.clone() };
    let mut files = vec![bootstrap(policy, options, folder)];
    let secrets = downstream::secrets(policy).into_iter();
    files.extend(secrets.map(|(name, secret)| file(Kind::Secret, &name, &[secret])));
    let clusters = clusters::clusters(policy, options).into_iter();
    let clusters: Vec<_> = clusters.map(|c| typed("envoy.config.cluster.v3.Cluster", c)).collect();
    files.push(file(Kind::Clusters, "clusters", &clusters));
    let routes = typed("envoy.config.route.v3.RouteConfiguration", routes::route_config(policy, options));
    files.push(file(Kind::Routes, "routes", &[routes]));
    files.push(file(Kind::Filter, "filter", &[filter(document, policy, options)]));
    let listeners = listener::listeners(document, policy, options).into_iter();
    let listeners: Vec<_> = listeners.map(|l| typed("envoy.config.listener.v3.Listener", l)).collect();
    files.push(file(Kind::Listeners, "listeners", &listeners));
    files
}

/// A file of the same kind with other resources in it.
#[must_use]
pub fn file(kind: Kind, name: &str, resources: &[Value]) -> File {
    let version = digest(&json!(resources).to_string());
    let text = yaml(&json!({ "version_info": version, "resources": resources }));
    File { kind, path: path(name), version, text }
}

/// Where the file `name` lies in the folder.
#[must_use]
pub fn path(name: &str) -> String {
    format!("{name}/{name}.yaml")
}

/// How Envoy is told to watch the file `name`.
pub(super) fn source(folder: &str, name: &str) -> Value {
    json!({
        "path_config_source": {
            "path": format!("{folder}/{}", path(name)),
            "watched_directory": { "path": format!("{folder}/{name}") },
        },
        "resource_api_version": "V3",
    })
}

fn bootstrap(policy: &Policy, options: &Options, folder: &str) -> File {
    let mut bootstrap = super::base(policy, options);
    bootstrap["dynamic_resources"] = json!({
        "lds_config": source(folder, "listeners"),
        "cds_config": source(folder, "clusters"),
    });
    let text = yaml(&bootstrap);
    File { kind: Kind::Bootstrap, path: "envoy.yaml".to_owned(), version: digest(&text), text }
}

fn filter(document: &Value, policy: &Policy, options: &Options) -> Value {
    let plugin = plugin::config(document, policy, options);
    json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": plugin::NAME,
        "typed_config": plugin,
    })
}

fn typed(name: &str, mut resource: Value) -> Value {
    resource["@type"] = format!("type.googleapis.com/{name}").into();
    resource
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A tree of maps with text as keys always has a YAML form.
fn yaml(value: &Value) -> String {
    format!("{}{}", super::PREAMBLE, serde_saphyr::to_string(value).unwrap_or_default())
}
