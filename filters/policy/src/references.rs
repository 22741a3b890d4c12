//! Names that one part of a policy uses and another defines. Checked on the document itself, so that a mistake elsewhere in
//! the same element does not hide a wrong name. So is whether an `https` URL goes where TLS is spoken.

use portcullis_edge_core::{ConfigError, Node};
use portcullis_jwt::unknown_provider;
use serde_json::{Map, Value};

/// Every name that nothing defines, or that means something else.
pub(crate) fn wrong_names(document: &Value) -> Vec<ConfigError> {
    [
        unknown_services(document),
        unknown_providers(document),
        unknown_clusters(document),
        clusters_without_tls(document),
    ]
    .concat()
}

/// Every route's `service` that `services` does not define.
fn unknown_services(document: &Value) -> Vec<ConfigError> {
    let Some(known) = names(document, "/services") else { return Vec::new() };
    let unknown = |index: usize, name: &str| {
        let at = Node::top().key("routes").index(index).key("service");
        let expected = format!("a name from `services`: {}", known.join(", "));
        at.error(format!("`{}`", name.escape_debug()), expected).near(name, known.iter().copied())
    };
    let names = routes(document).filter_map(|(i, route)| Some((i, route.get("service")?.as_str()?)));
    names.filter(|(_, name)| !known.contains(name)).map(|(index, name)| unknown(index, name)).collect()
}

/// Every route's token provider that `jwt` does not define. (Without a section `jwt` that is the mistake.)
fn unknown_providers(document: &Value) -> Vec<ConfigError> {
    let Some(known) = names(document, "/jwt/providers") else { return Vec::new() };
    let mut errors = Vec::new();
    for (index, route) in routes(document) {
        let listed = route.pointer("/auth/providers").and_then(Value::as_array);
        for (place, name) in listed.into_iter().flatten().enumerate() {
            let Some(name) = name.as_str().filter(|name| !known.contains(name)) else { continue };
            let at = Node::top().key("routes").index(index).key("auth").key("providers").index(place);
            errors.push(unknown_provider(name, known.iter().copied(), &at));
        }
    }
    errors
}

/// Where a provider's section names clusters.
const CLUSTERS: [(&str, &str); 4] = [
    ("fetch", "cluster"),
    ("fetch", "jwks_cluster"),
    ("revocation", "cluster"),
    ("introspection", "cluster"),
];

/// Every cluster of a token provider that neither `clusters` nor `services` defines.
fn unknown_clusters(document: &Value) -> Vec<ConfigError> {
    let mut known = names(document, "/clusters").unwrap_or_default();
    known.extend(names(document, "/services").unwrap_or_default());
    let providers = document.pointer("/jwt/providers").and_then(Value::as_object);
    let mut errors = Vec::new();
    for (provider, section) in providers.into_iter().flatten() {
        for (part, key) in CLUSTERS {
            let name = section.get(part).and_then(|part| part.get(key)).and_then(Value::as_str);
            let Some(name) = name.filter(|name| !name.is_empty() && !known.contains(name)) else { continue };
            let at = Node::top().key("jwt").key("providers").key(provider).key(part).key(key);
            let expected = format!("a name from `clusters` or `services`: {}", known.join(", "));
            let error = at.error(format!("`{}`", name.escape_debug()), expected);
            errors.push(error.near(name, known.iter().copied()));
        }
    }
    errors
}

/// Every cluster without TLS that an `https` URL is meant to go to: keys and secrets would travel in the clear.
fn clusters_without_tls(document: &Value) -> Vec<ConfigError> {
    let providers = document.pointer("/jwt/providers").and_then(Value::as_object);
    let mut errors = Vec::new();
    for (provider, section) in providers.into_iter().flatten() {
        for (part, key) in CLUSTERS {
            let name = section.get(part).and_then(|part| part.get(key)).and_then(Value::as_str);
            let Some(plain) = name.and_then(|name| plain(document, name)) else { continue };
            if is_https(section, part, key) {
                let at = Node::top().key("jwt").key("providers").key(provider).key(part).key(key);
                let expected =
                    "a cluster with `tls: true`, or an `http` URL, which says that nothing protects it";
                errors.push(at.error(format!("{plain}, for an `https` URL"), expected));
            }
        }
    }
    errors
}

/// What is to be said of a cluster that speaks no TLS.
fn plain(document: &Value, name: &str) -> Option<String> {
    let of = |section: &str| document.get(section).and_then(|section| section.get(name));
    let has_tls = |cluster: &Value| cluster.get("tls").and_then(Value::as_bool) == Some(true);
    match (of("clusters"), of("services")) {
        (Some(cluster), _) => (!has_tls(cluster)).then(|| format!("`{name}`, which has no `tls`")),
        (None, Some(_)) => Some(format!("`{name}`, a service, which has no TLS")),
        (None, None) => None,
    }
}

/// Whether the URL that goes to this cluster is an `https` one. Where discovery leads to is not known yet; it is taken to be no
/// less safe than where it begins.
fn is_https(provider: &Value, part: &str, key: &str) -> bool {
    let given = |name: &str| provider.get(part).and_then(|part| part.get(name));
    let discovers = given("discovery").and_then(Value::as_bool) == Some(true);
    let url = match (part, key) {
        ("fetch", _) if discovers => provider.get("issuer"),
        ("fetch", "cluster") => given("jwks_uri"),
        ("fetch", _) => None,
        _ => given("url"),
    };
    url.and_then(Value::as_str).is_some_and(|url| url.starts_with("https://"))
}

/// The names that the object at `pointer` defines; nothing where there is no such object.
fn names<'v>(document: &'v Value, pointer: &str) -> Option<Vec<&'v str>> {
    let object: &Map<String, Value> = document.pointer(pointer)?.as_object()?;
    Some(object.keys().map(String::as_str).collect())
}

fn routes(document: &Value) -> impl Iterator<Item = (usize, &Value)> {
    let routes = document.get("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    routes.iter().enumerate()
}
