//! The routes that are rendered for Envoy, in Istio's words: a `VirtualService` for each virtual host.
//!
//! They are translated, not written a second time, so that both mean the same; what has no translation is an error with its name.

use super::places::Places;
use super::{Options, PLANE, object};
use crate::render::kubernetes::{unknown_keys, untranslatable};
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Map, Value, json};

const CORS: &str = "envoy.filters.http.cors";
/// Istio has WebSocket upgrades on, and whether there is a `stat_prefix` changes no meaning.
const KNOWN_ROUTE: [&str; 2] = ["match", "route"];
const KNOWN_MATCH: [&str; 4] = ["path", "safe_regex", "prefix", "headers"];
const KNOWN_ACTION: [&str; 4] = ["cluster", "timeout", "prefix_rewrite", "regex_rewrite"];
const KNOWN_HOST: [&str; 4] = ["name", "domains", "routes", "typed_per_filter_config"];

/// The host names of a virtual host, without ports.
pub fn hosts(host: &Value) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for domain in host["domains"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let name = domain.rsplit_once(':').map_or(domain, |(name, _)| name).to_owned();
        if !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    hosts
}

/// One `VirtualService`; its number tells several of a gateway apart.
pub fn virtual_service(
    host: &Value,
    number: usize,
    places: &Places,
    options: &Options,
) -> Result<Value, Vec<ConfigError>> {
    let mut errors = unknown(host, "virtual_host", &KNOWN_HOST);
    let cors = cors(&host["typed_per_filter_config"][CORS]);
    let mut rules = Vec::new();
    for route in host["routes"].as_array().into_iter().flatten() {
        match rule(route, cors.as_ref(), places) {
            Ok(rule) => rules.push(rule),
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let name = if number == 0 { options.gateway.clone() } else { format!("{}-{number}", options.gateway) };
    let spec = json!({ "hosts": hosts(host), "gateways": [options.gateway], "http": rules });
    Ok(object("networking.istio.io/v1", "VirtualService", &name, options, spec))
}

fn unknown(value: &Value, path: &str, known: &[&str]) -> Vec<ConfigError> {
    let found = unknown_keys(value, path, known).into_iter();
    found.map(|found| untranslatable(&Node::top().key("routes"), found, PLANE)).collect()
}

fn rule(route: &Value, cors: Option<&Value>, places: &Places) -> Result<Value, Vec<ConfigError>> {
    let mut errors = unknown(route, "route", &KNOWN_ROUTE);
    errors.extend(unknown(&route["match"], "route.match", &KNOWN_MATCH));
    errors.extend(unknown(&route["route"], "route.route", &KNOWN_ACTION));
    let action = &route["route"];
    let Some(place) = action["cluster"].as_str().and_then(|name| places.get(name)) else {
        errors.push(untranslatable(&Node::top().key("routes"), "a route without a service", PLANE));
        return Err(errors);
    };
    let mut rule = Map::new();
    rule.insert("match".to_owned(), json!([matcher(&route["match"])]));
    rule.extend(rewrite(action).map(|rewrite| ("rewrite".to_owned(), rewrite)));
    rule.insert("timeout".to_owned(), action["timeout"].clone());
    // Left out, Istio sends a request again up to twice.
    rule.insert("retries".to_owned(), json!({ "attempts": 0 }));
    rule.extend(cors.map(|cors| ("corsPolicy".to_owned(), cors.clone())));
    let destination = json!({ "host": place.host, "port": { "number": place.port } });
    rule.insert("route".to_owned(), json!([{ "destination": destination }]));
    if errors.is_empty() { Ok(rule.into()) } else { Err(errors) }
}

fn matcher(rule: &Value) -> Value {
    let mut matcher = Map::new();
    let uri = if let Some(path) = rule.get("path") {
        Some(json!({ "exact": path }))
    } else if let Some(regex) = rule.get("safe_regex") {
        Some(json!({ "regex": regex["regex"] }))
    } else {
        rule.get("prefix").map(|prefix| json!({ "prefix": prefix }))
    };
    matcher.extend(uri.map(|uri| ("uri".to_owned(), uri)));
    for header in rule["headers"].as_array().into_iter().flatten() {
        add_header(&mut matcher, header);
    }
    matcher.into()
}

fn add_header(matcher: &mut Map<String, Value>, header: &Value) {
    let text = &header["string_match"];
    let text = match (text.get("exact"), text.get("safe_regex")) {
        (Some(exact), _) => json!({ "exact": exact }),
        (_, regex) => json!({ "regex": regex.map(|regex| &regex["regex"]) }),
    };
    match header["name"].as_str() {
        Some(":method") => drop(matcher.insert("method".to_owned(), text)),
        name => matcher.entry("headers").or_insert_with(|| json!({}))[name.unwrap_or_default()] = text,
    }
}

/// A regular expression whose match is cut off; Istio refuses to put nothing in its place, so what follows it is kept instead.
fn rewrite(action: &Value) -> Option<Value> {
    if let Some(path) = action.get("prefix_rewrite") {
        return Some(json!({ "uri": path }));
    }
    let rewrite = action.get("regex_rewrite")?;
    let (pattern, by) = (rewrite["pattern"]["regex"].as_str()?, rewrite["substitution"].as_str()?);
    let (pattern, by) =
        if by.is_empty() { (format!("{pattern}(/.*)"), "\\1") } else { (pattern.to_owned(), by) };
    Some(json!({ "uriRegexRewrite": { "match": pattern, "rewrite": by } }))
}

/// The marks that services' answers get for web pages. Preflights never come so far: the filter answers them.
fn cors(policy: &Value) -> Option<Value> {
    let origins = policy["allow_origin_string_match"].as_array()?;
    let origin = |rule: &Value| match rule.get("exact") {
        Some(exact) => json!({ "exact": exact }),
        None => json!({ "regex": rule["safe_regex"]["regex"] }),
    };
    let mut cors = json!({
        "allowOrigins": origins.iter().map(origin).collect::<Vec<_>>(),
        "allowCredentials": policy["allow_credentials"],
        "unmatchedPreflights": "IGNORE",
    });
    if let Some(exposed) = policy["expose_headers"].as_str() {
        cors["exposeHeaders"] = exposed.split(',').map(str::trim).collect::<Vec<_>>().into();
    }
    Some(cors)
}
