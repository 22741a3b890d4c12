//! Routes and services, compiled.

use crate::gateway::host_and_port;
use crate::raw::{RawRoute, RawService};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_route::{RouteSpec, Template};
use portcullis_security_headers::BrowserHeaders;

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the policy.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Endpoints the gateway calls there.
    pub calls: Vec<String>,
}

/// A route of the policy.
#[derive(Clone, Debug)]
pub struct Route {
    /// Methods it answers.
    pub methods: Vec<String>,
    /// Its whole path, prefix included; the `endpoint` label.
    pub template: Template,
    /// Index of its service.
    pub service: usize,
    /// The path at the service, if it is not the route's without the prefix.
    pub upstream_path: Option<String>,
    /// How long a request may take, where it differs from the service's.
    pub timeout: Option<Duration>,
    /// Rules for response headers.
    pub browser: BrowserHeaders,
    /// Whether `browser` is the route's own and not the policy's.
    pub overrides_browser: bool,
}

/// Names that metric families of the gateway's own begin with.
const RESERVED: [&str; 2] = ["gateway", "portcullis"];

impl Service {
    pub(crate) fn compile(name: &str, raw: &RawService) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("services").key(name);
        let mut errors = Vec::new();
        if !is_service_name(name) || RESERVED.contains(&name) {
            let expected = "a name of lower-case letters, digits and `_` that begins with a letter and is not `gateway` or \
                `portcullis`";
            errors.push(at.error(format!("the name `{}`", name.escape_debug()), expected));
        }
        for (index, call) in raw.calls.iter().enumerate() {
            if let Err(expected) = Template::parse(call) {
                errors
                    .push(at.key("calls").index(index).error(format!("`{}`", call.escape_debug()), expected));
            }
        }
        let address = host_and_port(&raw.address);
        if address.is_none() {
            let found = format!("`{}`", raw.address.escape_debug());
            errors.push(at.key("address").error(found, "`host:port`, such as `orders.shop.svc:8002`"));
        }
        match address {
            Some((host, port)) if errors.is_empty() => Ok(Self {
                name: name.to_owned(),
                host,
                port,
                timeout: raw.timeout.0,
                connect_timeout: raw.connect_timeout.0,
                calls: raw.calls.clone(),
            }),
            _ => Err(errors),
        }
    }
}

fn is_service_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What a route's compilation needs besides the route.
pub(crate) struct Context<'a> {
    pub prefix: &'a str,
    pub services: &'a [Service],
    pub browser: &'a BrowserHeaders,
}

impl Route {
    pub(crate) fn compile(
        index: usize,
        raw: &RawRoute,
        around: &Context<'_>,
    ) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("routes").index(index);
        let mut errors = check_methods(raw, &at);
        let path = format!("{}{}", around.prefix, raw.path);
        let template = Template::parse(&path)
            .map_err(|expected| {
                errors.push(at.key("path").error(format!("`{}`", path.escape_debug()), expected))
            })
            .ok();
        let browser =
            BrowserHeaders::compile(&raw.browser_headers, around.browser, &at.key("browser_headers"))
                .map_err(|e| errors.extend(e))
                .ok();
        errors.extend(check_upstream_path(raw, template.as_ref(), &at));
        // An unknown service is told by `references`; the route still takes part in the search for duplicates.
        let service = around.services.iter().position(|s| s.name == raw.service).unwrap_or(usize::MAX);
        match template.zip(browser) {
            Some((template, browser)) if errors.is_empty() => Ok(Self {
                methods: raw.methods.clone(),
                template,
                service,
                upstream_path: raw.upstream_path.clone(),
                timeout: raw.timeout.map(|t| t.0),
                browser,
                overrides_browser: !raw.browser_headers.is_empty(),
            }),
            _ => Err(errors),
        }
    }

    pub(crate) fn spec(&self, index: usize) -> RouteSpec {
        RouteSpec {
            at: Node::top().key("routes").index(index),
            methods: self.methods.clone(),
            template: self.template.clone(),
        }
    }
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn check_methods(raw: &RawRoute, at: &Node) -> Vec<ConfigError> {
    let at = at.key("methods");
    if raw.methods.is_empty() {
        return vec![at.error("an empty list", "one method or more")];
    }
    let unknown = raw.methods.iter().enumerate().filter(|(_, m)| !METHODS.contains(&m.as_str()));
    unknown
        .map(|(index, method)| {
            let expected = format!("one of {}", METHODS.join(", "));
            at.index(index)
                .error(format!("`{}`", method.escape_debug()), expected)
                .near(&method.to_uppercase(), METHODS)
        })
        .collect()
}

fn check_upstream_path(raw: &RawRoute, template: Option<&Template>, at: &Node) -> Option<ConfigError> {
    let path = raw.upstream_path.as_ref()?;
    let at = at.key("upstream_path");
    let found = format!("`{}`", path.escape_debug());
    if template.is_some_and(|t| !t.is_literal()) {
        return Some(
            at.error(found, "no `upstream_path` on a route with `{name}`: the prefix alone is cut off there"),
        );
    }
    let is_plain = Template::parse(path).is_ok_and(|t| t.is_literal());
    if is_plain { None } else { Some(at.error(found, "a plain path that begins with `/`")) }
}
