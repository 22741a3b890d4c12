//! What the connection manager around the filter does, held against what the policy and its `proxy` section say of it.

use super::Finding;
use super::dump::{Dump, Listener, list};
use super::plugin::Plugin;
use crate::render::istio::NOWHERE;
use serde_json::Value;

pub(super) fn check(listener: &Listener<'_>, plugin: &Plugin<'_>, dump: &Dump<'_>) -> Vec<Finding> {
    let at = |field: &str| format!("listener {}, {field}", listener.name);
    let manager = listener.manager;
    let proxy = &plugin.policy["proxy"];
    let routes = dump.routes(manager);
    let mut findings = vec![
        remote_address(manager, at("use_remote_address")),
        hops(manager, plugin, at("xff_num_trusted_hops")),
    ];
    findings.push(normal_paths(manager, at("normalize_path")));
    findings.extend(escaped_slashes(manager, at("path_with_escaped_slashes_action")));
    if proxy["assigns_request_id"] == true {
        findings.push(request_id(manager, routes, at("generate_request_id")));
    }
    if proxy["sets_trust_headers"] == true {
        let names = plugin.policy["trust_headers"]["set"].as_object().into_iter().flat_map(|set| set.keys());
        let names = names.map(|name| name.to_lowercase());
        findings.extend(written(routes, "request_headers_to_add", names, &at("request_headers_to_add")));
    }
    if proxy["sets_browser_headers"] == true {
        let rules = list(&plugin.policy["browser_headers"]).filter(|rule| rule["set"].is_string());
        // Sent over TLS only, which routes cannot tell.
        let names = rules.filter_map(|rule| rule["name"].as_str()).map(str::to_lowercase);
        let names = names.filter(|name| name != "strict-transport-security");
        findings.extend(written(routes, "response_headers_to_add", names, &at("response_headers_to_add")));
    }
    if let Some(header) = proxy["service_header"].as_str() {
        findings.push(by_service(routes, header, at("routes")));
    }
    findings
}

/// Whether the filter's word alone chooses a service: by any other route, requests would come where they were not judged for.
fn by_service(routes: &Value, header: &str, at: String) -> Finding {
    let all = list(&routes["virtual_hosts"]).flat_map(|host| list(&host["routes"]));
    let is_by = |route: &&Value| {
        list(&route["match"]["headers"])
            .any(|matcher| matcher["name"] == header && !matcher["string_match"].is_null())
    };
    let leads = |route: &&Value| !route["route"].is_null() && route["route"]["cluster"] != NOWHERE;
    let (by, others): (Vec<_>, Vec<_>) = all.filter(leads).partition(is_by);
    let names: Vec<_> = others.iter().map(|route| route["name"].as_str().unwrap_or("?")).collect();
    match (by.len(), names.as_slice()) {
        (0, _) | (_, [_, ..]) => {
            let expected =
                format!("each by `{header}`, which the policy's `proxy` section says that routes go by");
            Finding::wrong(
                at,
                format!("{} by `{header}`, not by it: {}", by.len(), names.join(", ")),
                expected,
            )
        }
        (number, []) => Finding::good(at, format!("{number}, each by `{header}`")),
    }
}

fn remote_address(manager: &Value, at: String) -> Finding {
    match manager["use_remote_address"] == true {
        true => Finding::good(at, "true"),
        false => Finding::wrong(at, "false", "true: else a client says itself what its address is"),
    }
}

fn hops(manager: &Value, plugin: &Plugin<'_>, at: String) -> Finding {
    let has = manager["xff_num_trusted_hops"].as_u64().unwrap_or(0);
    let client_ip = &plugin.policy["client_ip"];
    let has_proxies = client_ip["trusted_proxies"].as_array().is_some_and(|networks| !networks.is_empty());
    let hops = client_ip["trusted_hops"].as_u64().unwrap_or(0);
    let wants = if has_proxies { hops.max(1) } else { 0 };
    if has == wants {
        return Finding::good(at, format!("{has}, as client_ip says"));
    }
    Finding::wrong(at, has.to_string(), format!("{wants}, which client_ip.trusted_hops of the policy says"))
}

fn normal_paths(manager: &Value, at: String) -> Finding {
    if manager["normalize_path"] == true {
        return Finding::good(at, "true");
    }
    let expected = "true: routes would see another path than the filter";
    Finding::wrong(at, "false", expected)
}

/// Rejected, or left to the filter, which refuses them; unescaped, they would become other paths before anybody had judged them.
fn escaped_slashes(manager: &Value, at: String) -> Option<Finding> {
    let action = manager["path_with_escaped_slashes_action"].as_str().unwrap_or("KEEP_UNCHANGED");
    let is_good = ["KEEP_UNCHANGED", "REJECT_REQUEST", "IMPLEMENTATION_SPECIFIC_DEFAULT"].contains(&action);
    (!is_good).then(|| Finding::wrong(at, action, "KEEP_UNCHANGED or REJECT_REQUEST"))
}

fn request_id(manager: &Value, routes: &Value, at: String) -> Finding {
    let generates = manager["generate_request_id"] != false;
    let by_routes = || added(routes, "response_headers_to_add").any(|name| name == "x-request-id");
    let returns = manager["always_set_request_id_in_response"] == true || by_routes();
    match generates && returns {
        true => Finding::good(at, "true, and returned"),
        false => Finding::wrong(
            at,
            format!("{generates}, returned: {returns}"),
            "both: the policy's `proxy.assigns_request_id` says that Envoy assigns and returns ids",
        ),
    }
}

/// The names of the headers that the routes write, wherever.
fn added<'a>(routes: &'a Value, list_name: &'static str) -> impl Iterator<Item = String> + 'a {
    let hosts = list(&routes["virtual_hosts"]);
    let every = hosts.flat_map(|host| std::iter::once(host).chain(list(&host["routes"])));
    let places = std::iter::once(routes).chain(every);
    places
        .flat_map(move |place| list(&place[list_name]))
        .filter_map(|added| added["header"]["key"].as_str().map(str::to_lowercase))
}

/// Whether the routes write these headers, as the `proxy` section says.
fn written(
    routes: &Value,
    list_name: &'static str,
    wanted: impl Iterator<Item = String>,
    at: &str,
) -> Vec<Finding> {
    let has: Vec<_> = added(routes, list_name).collect();
    let missing = wanted.filter(|name| !has.contains(name));
    missing
        .map(|name| {
            Finding::wrong(
                at,
                format!("no `{name}`"),
                "it: the policy's `proxy` section says that the routes write it",
            )
        })
        .collect()
}
