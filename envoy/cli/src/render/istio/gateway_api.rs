//! The routes that are rendered for Envoy, in the words of the Gateway API.
//!
//! An HTTPRoute cannot cut a prefix off a path that a regular expression matches, so its rules do not match the policy's paths again: the
//! filter has judged the request by them, and writes the name of its service into a header; Envoy then chooses the route anew. One rule
//! stands for all routes of a service that are treated alike. Others have a rule of their own, by their path, if it has no parameter.

use super::places::{Place, Places};
use super::{Options, gateway, object, routes, tls};
use crate::render::kubernetes::{
    self, GATEWAY_API, GATEWAY_API_V1, cors, duration, host_names, http_routes, methods, replace_full_path,
};
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the filter names the service in. Services do not see it.
pub const SERVICE_HEADER: &str = "x-portcullis-service";
/// The cluster, which there is not, of requests for which the filter has named no service.
pub const NOWHERE: &str = "portcullis-no-service";
/// Istio's own class of Gateways.
const CLASS: &str = "istio";
const CORS: &str = "envoy.filters.http.cors";
/// The fields of a route that tell how a request is treated: as it is called for Envoy, and where the policy has it.
const TREATMENT: [(&str, &str); 6] = [
    ("timeout", "timeout"),
    ("idle_timeout", "idle_timeout"),
    ("prefix_rewrite", "upstream_path"),
    ("regex_rewrite", "upstream_path"),
    ("retry_policy", "retry"),
    ("hash_policy", "hash_on"),
];

/// A rule of an HTTPRoute.
pub struct Rule<'a> {
    /// Its name, which Envoy's route gets.
    pub name: String,
    /// A route that is treated as all are that it stands for.
    pub route: &'a Value,
    /// Whether it stands for this path alone.
    exact: Option<Exact<'a>>,
}

struct Exact<'a> {
    path: &'a str,
    /// Others may go with a path that has a parameter in this place.
    methods: Vec<&'a str>,
}

/// The `Gateway`, and the HTTPRoutes of its virtual hosts.
pub fn routes(
    listeners: &[Value],
    places: &Places,
    policy: &Policy,
    options: &Options,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let mut errors: Vec<_> =
        reserved(policy).into_iter().chain(listeners.iter().find_map(encrypted)).collect();
    errors.extend(listeners.iter().flat_map(gateway::unsaid));
    errors.extend(upgrades(policy));
    let mut objects: Vec<_> = listeners.iter().take(1).map(|listener| bound(listener, options)).collect();
    for (number, host) in listeners.iter().take(1).flat_map(gateway::virtual_hosts).enumerate() {
        match of_host(host, number, places, policy) {
            Ok(rules) => objects.extend(named(host, number, &rules, options)),
            Err(found) => errors.extend(found),
        }
    }
    objects.extend(grants(listeners, places, options));
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
}

/// Leave to refer to services in other namespaces, which stands there.
fn grants(listeners: &[Value], places: &Places, options: &Options) -> Vec<Value> {
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let hosts = listeners.iter().flat_map(gateway::virtual_hosts);
    for route in hosts.flat_map(|host| host["routes"].as_array().into_iter().flatten()) {
        let found = places.get(service(route)).and_then(Place::of_kubernetes);
        if let Some((name, namespace)) = found.filter(|(_, namespace)| *namespace != options.namespace) {
            named.entry(namespace).or_default().insert(name);
        }
    }
    named.iter().map(|(namespace, names)| grant(namespace, names, options)).collect()
}

fn grant(namespace: &str, names: &BTreeSet<&str>, options: &Options) -> Value {
    let to = |name: &&str| json!({ "group": "", "kind": "Service", "name": name });
    let spec = json!({
        "from": [{ "group": GATEWAY_API, "kind": "HTTPRoute", "namespace": options.namespace }],
        "to": names.iter().map(to).collect::<Vec<_>>(),
    });
    let name = format!("{}-{}", options.namespace, options.gateway);
    let mut grant = object(GATEWAY_API_V1, "ReferenceGrant", &name, options, spec);
    grant["metadata"]["namespace"] = namespace.into();
    grant
}

/// A service of Kubernetes, or one that the mesh alone knows, by its host.
fn backend(place: &Place) -> Value {
    match place.of_kubernetes() {
        Some((name, namespace)) => {
            json!({ "kind": "Service", "name": name, "namespace": namespace, "port": place.port })
        }
        None => {
            json!({ "group": "networking.istio.io", "kind": "Hostname", "name": place.host, "port": place.port })
        }
    }
}

fn reserved(policy: &Policy) -> Option<ConfigError> {
    let at = Node::top().key("trust_headers");
    let is_taken = policy.trust.is_ours(SERVICE_HEADER.as_bytes());
    is_taken.then(|| {
        at.error(format!("`{SERVICE_HEADER}`"), "another name: routes of the Gateway API go by this header")
    })
}

/// Envoy decides on them before the filter has named a service, so by no rule of ours.
fn upgrades(policy: &Policy) -> Vec<ConfigError> {
    let routes = policy.routes.iter().enumerate().filter(|(_, route)| !route.upgrades.is_empty());
    let at = |index| Node::top().key("routes").index(index).key("upgrades");
    routes.map(|(index, _)| unsaid(&at(index), "a connection that becomes a WebSocket")).collect()
}

/// A policy names files; a Gateway takes Secrets.
fn encrypted(listener: &Value) -> Option<ConfigError> {
    tls::context(listener)?;
    Some(unsaid(&Node::top().key("gateway").key("tls"), "certificates in files"))
}

fn unsaid(at: &Node, found: impl Into<String>) -> ConfigError {
    at.error(found, "what the Gateway API has a field for; `--api istio` has this")
}

/// Pods of ours, or somebody's: not Istio's, which it would deploy without the annotations and variables that they need. The Service is
/// what tells whose a Gateway is, and has the Gateway's name.
fn bound(listener: &Value, options: &Options) -> Value {
    let mut spec = kubernetes::gateway(CLASS, &gateway::port(listener).into());
    spec["addresses"] = json!([{ "type": "Hostname", "value": options.gateway }]);
    object(GATEWAY_API_V1, "Gateway", &options.gateway, options, spec)
}

fn named(host: &Value, number: usize, rules: &[Value], options: &Options) -> Vec<Value> {
    let named = |(part, spec): (usize, Value)| {
        object(GATEWAY_API_V1, "HTTPRoute", &format!("{}-{number}-{part}", options.gateway), options, spec)
    };
    http_routes(&options.gateway, host, rules).into_iter().enumerate().map(named).collect()
}

fn of_host(
    host: &Value,
    number: usize,
    places: &Places,
    policy: &Policy,
) -> Result<Vec<Value>, Vec<ConfigError>> {
    let at = Node::top().key("routes");
    let is_name = |name: &&str| !name.contains('_') && name.parse::<std::net::Ipv4Addr>().is_err();
    let no_names = host_names(host).into_iter().filter(|name| !is_name(name));
    let mut errors: Vec<_> = no_names.map(|name| unsaid(&at, format!("the host `{name}`"))).collect();
    errors.extend(routes::unsaid(host));
    let marks = cors(&host["typed_per_filter_config"][CORS]);
    let marks = marks.map_err(|found| errors.push(unsaid(&Node::top().key("cors").key("origins"), found)));
    let (rules, found) = rules(host, number);
    errors.extend(found.into_iter().map(|found| unsaid(&at, found)));
    match (marks, errors.is_empty()) {
        (Ok(marks), true) => Ok(rules
            .iter()
            .filter_map(|rule| Some(rule.said(marks.as_ref(), places.get(service(rule.route))?, policy)))
            .collect()),
        _ => Err(errors),
    }
}

/// The rules of a virtual host, and what of its routes they cannot say.
pub fn rules(host: &Value, number: usize) -> (Vec<Rule<'_>>, Vec<String>) {
    let routes: Vec<&Value> = host["routes"].as_array().into_iter().flatten().collect();
    let (mut rules, mut unsaid) = (Vec::new(), Vec::new());
    let mut services: Vec<&str> = Vec::new();
    for route in &routes {
        if !services.contains(&service(route)) {
            services.push(service(route));
        }
    }
    let mut add = |route, exact| {
        let name = super::routes::rule_name(number, rules.len());
        rules.push(Rule { name, route, exact });
    };
    for name in services {
        let own: Vec<&Value> = routes.iter().copied().filter(|route| service(route) == name).collect();
        let usual = usual(&own);
        if let Some(usual) = usual {
            add(usual, None);
        }
        for route in own.iter().filter(|route| !usual.is_some_and(|usual| are_alike(usual, route))) {
            match exact(route) {
                Some(exact) => add(route, Some(exact)),
                None => unsaid.push(difference(route, usual)),
            }
        }
    }
    (rules, unsaid)
}

fn service(route: &Value) -> &str {
    route["route"]["cluster"].as_str().unwrap_or_default()
}

/// The route that most of a service's are treated like, of those that have a parameter if there are any: those can have no other rule.
fn usual<'a>(own: &[&'a Value]) -> Option<&'a Value> {
    let general: Vec<&Value> = own.iter().copied().filter(|route| is_general(&route["route"])).collect();
    let with_parameter: Vec<&Value> = general.iter().copied().filter(|route| path(route).is_none()).collect();
    let among = if with_parameter.is_empty() { general } else { with_parameter };
    let number = |route: &&Value| own.iter().filter(|other| are_alike(route, other)).count();
    // The first of several.
    among.into_iter().rev().max_by_key(number)
}

/// Whether a rule for many paths can say it: a path stays as it is but for the prefix.
fn is_general(action: &Value) -> bool {
    let cuts = action.get("regex_rewrite").is_none_or(|rewrite| rewrite["substitution"] == "");
    action.get("prefix_rewrite").is_none() && cuts
}

fn are_alike(one: &Value, other: &Value) -> bool {
    ["route", "typed_per_filter_config"].iter().all(|part| one[part] == other[part])
}

/// The path of a route without parameters.
fn path(route: &Value) -> Option<&str> {
    route["match"]["path"].as_str()
}

fn exact(route: &Value) -> Option<Exact<'_>> {
    Some(Exact { path: path(route)?, methods: methods(&route["match"])? })
}

/// What a route with a parameter has that others of its service have not.
fn difference(route: &Value, usual: Option<&Value>) -> String {
    let usual = usual.unwrap_or(&Value::Null);
    let differs = |(envoys, _): &&(&str, &str)| route["route"].get(envoys) != usual["route"].get(envoys);
    let field = TREATMENT.iter().find(differs).map_or("max_body_bytes", |(_, field)| field);
    let pattern = route["match"]["safe_regex"]["regex"].as_str().unwrap_or_default();
    format!(
        "`{field}` of `{pattern}`, a path with parameters, unlike that of other routes to `{}`",
        service(route)
    )
}

impl Rule<'_> {
    /// The rule in the API's words.
    fn said(&self, marks: Option<&Value>, place: &Place, policy: &Policy) -> Value {
        json!({
            "name": self.name,
            "matches": self.matches(policy),
            "filters": self.filters(marks, policy),
            "timeouts": { "request": duration(&self.route["route"]["timeout"]) },
            "backendRefs": [backend(place)],
        })
    }

    fn matches(&self, policy: &Policy) -> Vec<Value> {
        let by_service = json!([{ "name": SERVICE_HEADER, "value": service(self.route) }]);
        let of = |kind: &str, path: &str| json!({ "path": { "type": kind, "value": path }, "headers": by_service });
        let Some(exact) = &self.exact else {
            let prefix = if policy.path_prefix.is_empty() { "/" } else { &policy.path_prefix };
            return vec![of("PathPrefix", prefix)];
        };
        let with = |method: &&str| {
            let mut matcher = of("Exact", exact.path);
            matcher["method"] = (*method).into();
            matcher
        };
        exact.methods.iter().map(with).collect()
    }

    fn filters(&self, marks: Option<&Value>, policy: &Policy) -> Vec<Value> {
        let unseen = json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": [SERVICE_HEADER] } });
        // Where a service speaks for itself, nothing is added.
        let marks = marks.filter(|_| self.route["typed_per_filter_config"][CORS].is_null());
        let marks = marks.map(|cors| json!({ "type": "CORS", "cors": cors }));
        [Some(unseen), self.rewrite(policy), marks].into_iter().flatten().collect()
    }

    fn rewrite(&self, policy: &Policy) -> Option<Value> {
        let action = &self.route["route"];
        if let Some(path) = action.get("prefix_rewrite") {
            return Some(replace_full_path(path));
        }
        action.get("regex_rewrite")?;
        match &self.exact {
            Some(exact) => Some(replace_full_path(&exact.path.strip_prefix(&policy.path_prefix)?.into())),
            None => {
                let rewrite = json!({ "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } });
                Some(json!({ "type": "URLRewrite", "urlRewrite": rewrite }))
            }
        }
    }
}
