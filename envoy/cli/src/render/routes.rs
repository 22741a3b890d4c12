//! Routes: the policy's, in Envoy's words. The filter has judged a request before a route is chosen; the routes match the same
//! hosts, methods and paths, so that nothing passes even if the filter were bypassed.

use super::{Options, bodies, downstream, headers, matching, upstream};
use core::time::Duration;
use portcullis_policy::{Policy, Route, Upgrade};
use portcullis_route::{HostRoute, VirtualHost};
use portcullis_security_headers::{Cors, OriginRule};
use serde_json::{Map, Value, json};

pub(super) fn route_config(policy: &Policy, options: &Options) -> Value {
    let hosts = policy.table.virtual_hosts();
    // Hosts with names first, for the eye: Envoy looks for the most specific name in any order.
    let rendered = hosts.iter().skip(1).chain(hosts.first()).enumerate();
    let rendered: Vec<_> = rendered.map(|(index, host)| virtual_host(policy, index, host, options)).collect();
    let mut config = json!({
        "name": policy.gateway.name,
        "virtual_hosts": rendered,
        // Global rules first, a route's own after them.
        "most_specific_header_mutations_wins": true,
    });
    let Some(fields) = config.as_object_mut() else { return config };
    if policy.table.looks_at_hosts() {
        fields.insert("ignore_port_in_host_matching".to_owned(), true.into());
    }
    let subject = downstream::subject_header(policy);
    if let Some(subject) = &subject {
        fields.insert("request_headers_to_add".to_owned(), json!([subject]));
    }
    if options.offload {
        // Not the names that the filter itself writes: Envoy removes after all filters, and before it adds.
        let identity = policy.trust.identity().into_iter().flat_map(|names| names.all());
        let reserved = policy.trust.fixed().iter().chain(identity);
        let reserved: Vec<_> = reserved.map(|name| Value::from(name.as_str())).collect();
        fields.insert("request_headers_to_remove".to_owned(), reserved.into());
        let told: Vec<_> = headers::trust(&policy.trust).into_iter().chain(subject).collect();
        fields.insert("request_headers_to_add".to_owned(), told.into());
        fields.extend(headers::on_all_routes(policy));
    }
    config
}

/// The default host has the gateway's name, the others a number behind it.
fn virtual_host(policy: &Policy, index: usize, host: &VirtualHost, options: &Options) -> Value {
    let is_default = host.hosts.is_empty();
    let name = &policy.gateway.name;
    let mut rendered = match is_default {
        true => json!({ "name": name, "domains": ["*"] }),
        false => {
            let domains: Vec<_> = host.hosts.iter().map(ToString::to_string).collect();
            json!({ "name": format!("{name}-{}", index.saturating_add(1)), "domains": domains })
        }
    };
    if let Some(cors) = &policy.cors {
        rendered["typed_per_filter_config"] = json!({ "envoy.filters.http.cors": cors_policy(cors) });
    }
    rendered["routes"] = routes(policy, host, options).into();
    rendered
}

fn routes(policy: &Policy, host: &VirtualHost, options: &Options) -> Vec<Value> {
    let route = |own: &HostRoute| Some((policy.routes.get(own.route)?, own.implies_head));
    let mut routes: Vec<(&Route, bool)> = host.routes.iter().filter_map(route).collect();
    // Envoy takes the first that matches.
    routes.sort_by(|(a, _), (b, _)| a.template.by_precision(&b.template));
    routes.into_iter().map(|(route, implies_head)| render(policy, route, implies_head, options)).collect()
}

fn render(policy: &Policy, route: &Route, implies_head: bool, options: &Options) -> Value {
    let mut rendered = Map::new();
    rendered.insert("match".to_owned(), matching::matcher(policy, route, implies_head));
    rendered.insert("route".to_owned(), action(policy, route));
    if options.offload {
        rendered.extend(headers::on_route(policy, route));
    }
    let differs: Map<String, Value> =
        bodies::on_route(policy, route).into_iter().chain(cors_on_route(policy, route)).map(named).collect();
    if !differs.is_empty() {
        rendered.insert("typed_per_filter_config".to_owned(), differs.into());
    }
    rendered.into()
}

pub(super) fn action(policy: &Policy, route: &Route) -> Value {
    let service = policy.services.get(route.service);
    let timeout = route.timeout.or_else(|| service.map(|s| s.timeout)).unwrap_or_default();
    let mut action = json!({ "cluster": service.map(|s| s.name.as_str()), "timeout": seconds(timeout) });
    if let Some(idle) = route.idle_timeout.or_else(|| service.and_then(|s| s.idle_timeout)) {
        action["idle_timeout"] = seconds(idle).into();
    }
    if let Some(retry) = service.and_then(|s| s.retry.as_ref()) {
        action["retry_policy"] = upstream::retry_policy(retry);
    }
    if let Some(hash) = service.and_then(|s| s.load_balancing.hash_on.as_ref()) {
        action["hash_policy"] = upstream::hash_policy(hash);
    }
    if let Some((key, rewrite)) = matching::rewrite(policy, route) {
        action[key] = rewrite;
    }
    if !route.upgrades.is_empty() {
        action["upgrade_configs"] =
            route.upgrades.iter().map(|upgrade| upgrade_config(*upgrade, true)).collect();
    }
    action
}

/// An upgrade, allowed or not.
pub(super) fn upgrade_config(upgrade: Upgrade, enabled: bool) -> Value {
    let Upgrade::WebSocket = upgrade;
    json!({ "upgrade_type": "websocket", "enabled": enabled })
}

fn named((filter, config): (&str, Value)) -> (String, Value) {
    (filter.to_owned(), config)
}

/// Where a service speaks for itself, the filter adds nothing.
fn cors_on_route(policy: &Policy, route: &Route) -> Option<(&'static str, Value)> {
    let disabled =
        json!({ "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true });
    policy.cors.as_ref().filter(|_| route.cors_by_service).map(|_| ("envoy.filters.http.cors", disabled))
}

/// The CORS filter marks what services answer. No preflight comes so far; should one, it goes no further either.
fn cors_policy(cors: &Cors) -> Value {
    let mut rendered = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": cors.rules().iter().map(origin_matcher).collect::<Vec<_>>(),
        "allow_credentials": cors.credentials(),
        "forward_not_matching_preflights": false,
    });
    if !cors.exposed().is_empty() {
        rendered["expose_headers"] = String::from_utf8_lossy(cors.exposed()).into();
    }
    rendered
}

fn origin_matcher(rule: &OriginRule) -> Value {
    match rule {
        OriginRule::Any => json!({ "safe_regex": { "regex": ".*" } }),
        OriginRule::Exact(origin) => json!({ "exact": origin }),
        OriginRule::Subdomains { scheme, suffix } => {
            let regex = format!("{}[A-Za-z0-9.-]+{}", matching::quoted(scheme), matching::quoted(suffix));
            json!({ "safe_regex": { "regex": regex } })
        }
        OriginRule::Label { before, after } => {
            let regex = format!("{}[A-Za-z0-9-]+{}", matching::quoted(before), matching::quoted(after));
            json!({ "safe_regex": { "regex": regex } })
        }
        OriginRule::AnyPort(host) => {
            json!({ "safe_regex": { "regex": format!("{}(:[0-9]{{1,5}})?", matching::quoted(host)) } })
        }
    }
}

/// A duration as Envoy reads it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
