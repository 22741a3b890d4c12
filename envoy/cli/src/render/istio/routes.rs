//! The routes that are rendered for Envoy, in Istio's words: a `VirtualService` for each virtual host.
//!
//! They are translated, not written a second time, so that both mean the same; what has no translation is an error with its name.

use super::places::Places;
use super::{Options, PLANE, object, retry};
use crate::render::bodies;
use crate::render::kubernetes::{unknown_keys, untranslatable};
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Map, Value, json};

const CORS: &str = "envoy.filters.http.cors";
const KNOWN_ROUTE: [&str; 3] = ["match", "route", "typed_per_filter_config"];
/// That of the bodies is an `EnvoyFilter`'s.
const KNOWN_FILTERS: [&str; 2] = [CORS, bodies::FILTER];
const KNOWN_MATCH: [&str; 4] = ["path", "safe_regex", "prefix", "headers"];
/// `hash_policy` is a `DestinationRule`'s, `idle_timeout` and `upgrade_configs` are an `EnvoyFilter`'s.
const KNOWN_ACTION: [&str; 8] = [
    "cluster",
    "timeout",
    "prefix_rewrite",
    "regex_rewrite",
    "retry_policy",
    "hash_policy",
    "idle_timeout",
    "upgrade_configs",
];
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

/// One `VirtualService`; its number tells several of a gateway apart. `told` are the headers that services get with every request.
pub fn virtual_service(
    host: &Value,
    told: &Value,
    number: usize,
    places: &Places,
    options: &Options,
) -> Result<Value, Vec<ConfigError>> {
    let mut errors = unsaid(host);
    let cors = cors(&host["typed_per_filter_config"][CORS]);
    let mut rules = Vec::new();
    for (index, route) in host["routes"].as_array().into_iter().flatten().enumerate() {
        match rule(route, cors.as_ref(), told, places) {
            Ok(rule) => {
                rules.extend(retry::split(rule, &route["route"]["retry_policy"], &rule_name(number, index)))
            }
            Err(found) => errors.push(found),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let name = if number == 0 { options.gateway.clone() } else { format!("{}-{number}", options.gateway) };
    let spec = json!({ "hosts": hosts(host), "gateways": [options.gateway], "http": rules });
    Ok(object("networking.istio.io/v1", "VirtualService", &name, options, spec))
}

/// What of a virtual host and its routes is translated nowhere.
pub fn unsaid(host: &Value) -> Vec<ConfigError> {
    let routes = host["routes"].as_array().into_iter().flatten().flat_map(unsaid_of_route);
    unknown(host, "virtual_host", &KNOWN_HOST).into_iter().chain(routes).collect()
}

fn unsaid_of_route(route: &Value) -> Vec<ConfigError> {
    let parts = [
        (route, "route", &KNOWN_ROUTE[..]),
        (&route["match"], "route.match", &KNOWN_MATCH[..]),
        (&route["route"], "route.route", &KNOWN_ACTION[..]),
        (&route["typed_per_filter_config"], "route.typed_per_filter_config", &KNOWN_FILTERS[..]),
    ];
    parts.into_iter().flat_map(|(part, path, known)| unknown(part, path, known)).collect()
}

fn unknown(value: &Value, path: &str, known: &[&str]) -> Vec<ConfigError> {
    let found = unknown_keys(value, path, known).into_iter();
    found.map(|found| untranslatable(&Node::top().key("routes"), found, PLANE)).collect()
}

/// The name of a rule, which Envoy's route gets.
pub fn rule_name(host: usize, route: usize) -> String {
    format!("{host}-{route}")
}

/// Sends everything elsewhere.
pub fn redirect(name: &str, redirect: &Value, options: &Options) -> Value {
    let mut to = json!({ "scheme": "https", "redirectCode": 301 });
    if let Some(port) = redirect.get("port_redirect") {
        to["port"] = port.clone();
    }
    let spec = json!({ "hosts": ["*"], "gateways": [name], "http": [{ "redirect": to }] });
    object("networking.istio.io/v1", "VirtualService", name, options, spec)
}

fn rule(
    route: &Value,
    cors: Option<&Value>,
    told: &Value,
    places: &Places,
) -> Result<Map<String, Value>, ConfigError> {
    // Where a service speaks for itself, nothing is added.
    let cors = cors.filter(|_| route["typed_per_filter_config"][CORS].is_null());
    let action = &route["route"];
    let Some(place) = action["cluster"].as_str().and_then(|name| places.get(name)) else {
        return Err(untranslatable(&Node::top().key("routes"), "a route without a service", PLANE));
    };
    let mut rule = Map::new();
    rule.insert("match".to_owned(), json!([matcher(&route["match"])]));
    let destination = json!({ "host": place.host, "port": { "number": place.port } });
    let parts = [
        ("headers", headers(told)),
        ("rewrite", rewrite(action)),
        // Left out, a request has no end, as `0s` says in Envoy; Istio refuses that.
        ("timeout", action.get("timeout").filter(|time| **time != "0s").cloned()),
        ("corsPolicy", cors.cloned()),
        ("route", Some(json!([{ "destination": destination }]))),
    ];
    rule.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
    Ok(rule)
}

/// What services are told with every request, in place of what a client says.
fn headers(told: &Value) -> Option<Value> {
    let told = told.as_array().filter(|told| !told.is_empty())?;
    let text = |header: &Value, key: &str| header["header"][key].as_str().unwrap_or_default().to_owned();
    let set: Map<_, _> = told.iter().map(|one| (text(one, "key"), text(one, "value").into())).collect();
    Some(json!({ "request": { "set": set } }))
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
