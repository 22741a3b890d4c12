//! Routes: the policy's, in Envoy's words. The filter has judged a request before a route is chosen; the routes match the same
//! methods and paths, so that nothing passes even if the filter were bypassed.

use super::{Options, headers};
use core::time::Duration;
use portcullis_policy::{Policy, Route};
use portcullis_route::{Segment, Template};
use portcullis_security_headers::{Cors, OriginRule};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

pub(super) fn route_config(policy: &Policy, options: &Options) -> Value {
    let mut config = json!({
        "name": policy.gateway.name,
        "virtual_hosts": [virtual_host(policy, options)],
        // Global rules first, a route's own after them.
        "most_specific_header_mutations_wins": true,
    });
    if let (true, Some(fields)) = (options.offload, config.as_object_mut()) {
        // Not the names that the filter itself writes: Envoy removes after all filters, and before it adds.
        let identity = policy.trust.identity().into_iter().flat_map(|names| names.all());
        let reserved = policy.trust.fixed().iter().chain(identity);
        let reserved: Vec<_> = reserved.map(|name| Value::from(name.as_str())).collect();
        fields.insert("request_headers_to_remove".to_owned(), reserved.into());
        fields.insert("request_headers_to_add".to_owned(), headers::trust(&policy.trust).into());
        let contested = headers::contested(policy);
        let common = policy.browser.rules().iter().filter(|rule| !contested.contains(&rule.name.as_str()));
        fields.extend(headers::browser(common));
    }
    config
}

fn virtual_host(policy: &Policy, options: &Options) -> Value {
    let mut routes: Vec<&Route> = policy.routes.iter().collect();
    routes.sort_by(|a, b| by_precision(&a.template, &b.template));
    let rendered: Vec<Value> = routes.iter().map(|route| render(policy, route, options)).collect();
    let mut host = json!({ "name": policy.gateway.name, "domains": ["*"] });
    if let Some(cors) = &policy.cors {
        host["typed_per_filter_config"] = json!({ "envoy.filters.http.cors": cors_policy(cors) });
    }
    host["routes"] = rendered.into();
    host
}

/// Envoy takes the first route that matches: where templates overlap, the literal segment goes first.
fn by_precision(a: &Template, b: &Template) -> Ordering {
    let rank = |segment: &Segment| match segment {
        Segment::Literal(text) => (0, text.clone()),
        Segment::Param(_) => (1, String::new()),
        Segment::Rest(_) => (2, String::new()),
    };
    let ranks = |template: &Template| template.segments().iter().map(rank).collect::<Vec<_>>();
    ranks(a).cmp(&ranks(b))
}

fn render(policy: &Policy, route: &Route, options: &Options) -> Value {
    let service = policy.services.get(route.service);
    let timeout = route.timeout.or_else(|| service.map(|s| s.timeout)).unwrap_or_default();
    let mut action = json!({ "cluster": service.map(|s| s.name.as_str()), "timeout": seconds(timeout) });
    if let Some((key, rewrite)) = rewrite(policy, route) {
        action[key] = rewrite;
    }
    let mut rendered = Map::new();
    rendered.insert("match".to_owned(), matcher(&route.template, &methods_matcher(&route.methods)));
    rendered.insert("route".to_owned(), action);
    if options.offload {
        let contested = headers::contested(policy);
        rendered.extend(headers::browser(
            route.browser.rules().iter().filter(|r| contested.contains(&r.name.as_str())),
        ));
    }
    rendered.into()
}

fn rewrite(policy: &Policy, route: &Route) -> Option<(&'static str, Value)> {
    if let Some(path) = &route.upstream_path {
        return Some(("prefix_rewrite", path.as_str().into()));
    }
    let pattern = format!("^{}", quoted(&policy.path_prefix));
    let rewrite = json!({ "pattern": { "regex": pattern }, "substitution": "" });
    (!policy.path_prefix.is_empty()).then_some(("regex_rewrite", rewrite))
}

fn matcher(template: &Template, method: &Value) -> Value {
    if template.is_literal() {
        return json!({ "path": template.as_str(), "headers": [method] });
    }
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => quoted(text),
        Segment::Param(_) => "[^/]+".to_owned(),
        Segment::Rest(_) => ".+".to_owned(),
    };
    let segments: Vec<_> = template.segments().iter().map(segment).collect();
    json!({ "safe_regex": { "regex": format!("/{}", segments.join("/")) }, "headers": [method] })
}

fn methods_matcher(methods: &[String]) -> Value {
    let matches = match methods {
        [only] => json!({ "exact": only }),
        several => json!({ "safe_regex": { "regex": several.join("|") } }),
    };
    json!({ "name": ":method", "string_match": matches })
}

/// RE2 reads punctuation behind `\` as itself.
fn quoted(text: &str) -> String {
    let escape = |c: char| {
        if c.is_ascii_punctuation() && c != '/' && c != '_' { format!("\\{c}") } else { c.to_string() }
    };
    text.chars().map(escape).collect()
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
            let regex = format!("{}[A-Za-z0-9.-]+{}", quoted(scheme), quoted(suffix));
            json!({ "safe_regex": { "regex": regex } })
        }
    }
}

/// A duration as Envoy reads it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
