//! The names of clusters in a policy, which the filter hands to the proxy as they are, in the words of a control plane.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every field that names a cluster ends like this: `cluster`, `jwks_cluster`.
const SUFFIX: &str = "cluster";

/// The policy with each name in `names` replaced where a cluster is referred to, and as a key of `clusters`.
pub(crate) fn renamed(document: &Value, names: &BTreeMap<String, String>) -> Value {
    let mut policy = rename_references(document, names);
    if let Some(clusters) = policy.get_mut("clusters").and_then(Value::as_object_mut) {
        let old = std::mem::take(clusters);
        clusters.extend(old.into_iter().map(|(key, value)| (names.get(&key).cloned().unwrap_or(key), value)));
    }
    policy
}

fn rename_references(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), renamed_field(key, value, names))).collect()
        }
        Value::Array(list) => list.iter().map(|value| rename_references(value, names)).collect(),
        other => other.clone(),
    }
}

fn renamed_field(key: &str, value: &Value, names: &BTreeMap<String, String>) -> Value {
    let new = value.as_str().filter(|_| key.ends_with(SUFFIX)).and_then(|name| names.get(name));
    new.map_or_else(|| rename_references(value, names), |name| name.as_str().into())
}

/// Adds the clusters that stand for services which the filter itself calls: a service's own name must stay, its metrics have it.
pub(crate) fn with_clusters(mut policy: Value, added: &BTreeMap<String, String>) -> Value {
    if !added.is_empty() {
        let clusters = added.iter().map(|(name, address)| (name.clone(), json!({ "address": address })));
        match policy.get_mut("clusters").and_then(Value::as_object_mut) {
            Some(known) => known.extend(clusters),
            None => policy["clusters"] = clusters.collect::<serde_json::Map<_, _>>().into(),
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_keys_are_renamed_and_nothing_else() {
        let names = BTreeMap::from([("idp".to_owned(), "outbound|443||idp.example".to_owned())]);
        let policy = json!({
            "clusters": { "idp": { "address": "idp.example:443" }, "other": {} },
            "jwt": { "providers": { "idp": { "fetch": { "cluster": "idp", "jwks_cluster": "other" }, "issuer": "idp" } } },
        });
        let expected = json!({
            "clusters": { "outbound|443||idp.example": { "address": "idp.example:443" }, "other": {} },
            "jwt": { "providers": { "idp": {
                "fetch": { "cluster": "outbound|443||idp.example", "jwks_cluster": "other" }, "issuer": "idp",
            } } },
        });
        assert_eq!(renamed(&policy, &names), expected);
    }
}
