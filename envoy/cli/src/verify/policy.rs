//! Whether the policy that runs is the one in a file.

use super::Finding;
use super::plugin::Plugin;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// How many differing places are told.
const TOLD: usize = 10;
/// How control planes of Istio's kind call clusters.
const MESH: &str = "outbound|";

pub(super) fn check(plugin: &Plugin<'_>, wanted: Option<&Value>) -> Vec<Finding> {
    let at = format!("{}, configuration", plugin.at);
    let mut findings = variables(plugin);
    let in_mesh = names_clusters_of_a_mesh(&plugin.policy);
    let runs = comparable(&plugin.policy, in_mesh);
    let Some(wanted) = wanted.map(|wanted| comparable(wanted, in_mesh)) else {
        findings.push(Finding::good(at, format!("policy sha256:{}", hash(&runs))));
        return findings;
    };
    if runs == wanted {
        findings.push(Finding::good(at, format!("the file's policy, sha256:{}", hash(&runs))));
        return findings;
    }
    let mut places = Vec::new();
    differing("", &runs, &wanted, &mut places);
    let all = places.len();
    findings.extend(places.into_iter().take(TOLD).map(|(place, runs, wanted)| {
        Finding::wrong(format!("{at}, {place}"), runs, format!("{wanted}, as in the file"))
    }));
    let found = format!("policy sha256:{}, {all} differences", hash(&runs));
    findings.push(Finding::wrong(at, found, format!("the file's, sha256:{}", hash(&wanted))));
    findings
}

/// Variables that the policy refers to, and the proxy does not hand over.
fn variables(plugin: &Plugin<'_>) -> Vec<Finding> {
    let environment = &plugin.config["vm_config"]["environment_variables"];
    let handed = environment["host_env_keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let fixed =
        environment["key_values"].as_object().into_iter().flat_map(|map| map.keys().map(String::as_str));
    let handed: Vec<_> = handed.chain(fixed).collect();
    let missing = referred(&plugin.policy).into_iter().filter(|name| !handed.contains(&name.as_str()));
    let at = format!("{}, environment_variables", plugin.at);
    missing
        .map(|name| {
            Finding::wrong(at.clone(), format!("no {name}"), "every variable that the policy refers to")
        })
        .collect()
}

/// Names in `${ENV:NAME}`.
fn referred(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let name = text.strip_prefix("${ENV:").and_then(|rest| rest.strip_suffix('}'));
            name.map(str::to_owned).into_iter().collect()
        }
        Value::Array(list) => list.iter().flat_map(referred).collect(),
        Value::Object(map) => map.values().flat_map(referred).collect(),
        _ => Vec::new(),
    }
}

/// A policy as far as it means the same wherever it runs: without the `proxy` section, keys in order, numbers as control planes
/// pass them on (as doubles). In a mesh, clusters have the mesh's names, so names of clusters are left out there.
fn comparable(policy: &Value, in_mesh: bool) -> Value {
    let mut policy = canonical(policy, in_mesh);
    if let Some(fields) = policy.as_object_mut() {
        fields.remove("proxy");
        if in_mesh {
            fields.remove("clusters");
        }
    }
    policy
}

fn canonical(value: &Value, in_mesh: bool) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> =
                map.iter().filter(|(key, _)| !(in_mesh && key.ends_with("cluster"))).collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            fields
                .into_iter()
                .map(|(key, value)| (key.clone(), canonical(value, in_mesh)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(list) => list.iter().map(|value| canonical(value, in_mesh)).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn names_clusters_of_a_mesh(policy: &Value) -> bool {
    match policy {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let is_name =
                key.ends_with("cluster") && value.as_str().is_some_and(|name| name.starts_with(MESH));
            is_name || key.starts_with(MESH) || names_clusters_of_a_mesh(value)
        }),
        Value::Array(list) => list.iter().any(names_clusters_of_a_mesh),
        _ => false,
    }
}

fn hash(policy: &Value) -> String {
    Sha256::digest(policy.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The places where two trees differ, with what stands there.
fn differing(at: &str, runs: &Value, wanted: &Value, places: &mut Vec<(String, String, String)>) {
    match (runs, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differing(
                    &at,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    places,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differing(&format!("{at}[{index}]"), a, b, places);
            }
        }
        _ if runs == wanted => {}
        _ => places.push((at.to_owned(), short(runs), short(wanted))),
    }
}

fn short(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("`{}...`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}
