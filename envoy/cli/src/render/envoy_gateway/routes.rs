//! The routes that are rendered for Envoy, as HTTPRoutes in the same order (`preserveRouteOrder` keeps it).

use super::{GROUP, Options, PLANE, VERSION, object};
use crate::render::kubernetes::{
    GATEWAY_API_V1, duration, http_routes, methods, object_name, replace_full_path, unknown_keys,
    untranslatable,
};
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Value, json};

const CATCH_ALL: &str = "no-route";

pub fn routes(config: &Value, options: &Options) -> Result<Vec<Value>, Vec<ConfigError>> {
    let hosts = config["virtual_hosts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [host] = hosts else {
        return Err(unsaid("several hosts"));
    };
    let (mut rules, mut filters, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for route in host["routes"].as_array().into_iter().flatten() {
        match rule(route, &mut filters, options) {
            Ok(rule) => rules.push(rule),
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    filters.push(filter(CATCH_ALL, json!({ "directResponse": { "statusCode": 404 } }), options));
    rules.push(json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
        "filters": [reference(CATCH_ALL)],
    }));
    Ok(filters.into_iter().chain(split(host, &rules, options)).collect())
}

fn unsaid(found: impl Into<String>) -> Vec<ConfigError> {
    vec![untranslatable(&Node::top().key("routes"), found, PLANE)]
}

/// Named so that their order is that of the rules.
fn split(host: &Value, rules: &[Value], options: &Options) -> Vec<Value> {
    let route = |(number, spec): (usize, Value)| {
        object(GATEWAY_API_V1, "HTTPRoute", &format!("{}-{number:03}", options.gateway), options, spec)
    };
    http_routes(&options.gateway, host, rules).into_iter().enumerate().map(route).collect()
}

fn rule(route: &Value, filters: &mut Vec<Value>, options: &Options) -> Result<Value, Vec<ConfigError>> {
    let known: [(&Value, &str, &[&str]); 3] = [
        (route, "route", &["match", "route"]),
        (&route["match"], "route.match", &["path", "safe_regex", "headers"]),
        (&route["route"], "route.route", &["cluster", "timeout", "prefix_rewrite", "regex_rewrite"]),
    ];
    let found = known.iter().flat_map(|(value, path, known)| unknown_keys(value, path, known));
    let errors: Vec<_> = found.flat_map(unsaid).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let action = &route["route"];
    let name = action["cluster"].as_str().unwrap_or_default();
    let backend = object_name(name, &Node::top().key("services").key(name)).map_err(|error| vec![error])?;
    Ok(json!({
        "matches": matches(&route["match"])?,
        "filters": rewrite(action, filters, options),
        "timeouts": { "request": duration(&action["timeout"]) },
        "backendRefs": [{ "group": GROUP, "kind": "Backend", "name": backend }],
    }))
}

/// One match for each method: the Gateway API has no list of them.
fn matches(rule: &Value) -> Result<Vec<Value>, Vec<ConfigError>> {
    let path = match rule.get("path") {
        Some(path) => json!({ "type": "Exact", "value": path }),
        None => json!({ "type": "RegularExpression", "value": rule["safe_regex"]["regex"] }),
    };
    let methods = methods(rule).ok_or_else(|| unsaid("a route that matches on headers"))?;
    Ok(methods.into_iter().map(|method| json!({ "path": path, "method": method })).collect())
}

/// The filters of a rule, and the objects that they refer to.
fn rewrite(action: &Value, objects: &mut Vec<Value>, options: &Options) -> Vec<Value> {
    if let Some(path) = action.get("prefix_rewrite") {
        return vec![replace_full_path(path)];
    }
    let Some(rewrite) = action.get("regex_rewrite") else { return Vec::new() };
    let (pattern, by) = (rewrite["pattern"]["regex"].as_str(), rewrite["substitution"].as_str());
    let pattern = pattern.unwrap_or_default();
    // What follows the match is kept, rather than the match replaced by nothing.
    let (pattern, by) = match by {
        None | Some("") => (format!("{pattern}(/.*)"), "\\1"),
        Some(by) => (pattern.to_owned(), by),
    };
    let replace = json!({ "type": "ReplaceRegexMatch", "replaceRegexMatch": { "pattern": pattern, "substitution": by } });
    let spec = json!({ "urlRewrite": { "path": replace } });
    let known = objects.iter().find(|object| object["spec"] == spec);
    if let Some(name) = known.and_then(|object| object["metadata"]["name"].as_str()) {
        return vec![reference(name)];
    }
    let name = format!("rewrite-{}", objects.len());
    objects.push(filter(&name, spec, options));
    vec![reference(&name)]
}

fn filter(name: &str, spec: Value, options: &Options) -> Value {
    object(VERSION, "HTTPRouteFilter", name, options, spec)
}

fn reference(name: &str) -> Value {
    json!({ "type": "ExtensionRef", "extensionRef": { "group": GROUP, "kind": "HTTPRouteFilter", "name": name } })
}
