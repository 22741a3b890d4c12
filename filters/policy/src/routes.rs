//! Routes and services, compiled.

use crate::gateway::host_and_port;
use crate::raw::{RawRoute, RawService};
use crate::tokens::{RouteTokens, Section};
use core::time::Duration;
use portcullis_authz::Rules;
use portcullis_edge_core::{ConfigError, Node, PolicyDuration};
use portcullis_jwt::RouteAuth;
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
    /// Whether a token is needed, and whose; nothing where the policy has no tokens.
    pub auth: Option<RouteAuth>,
    /// Who may use it; nothing for everybody whom `auth` lets through.
    pub rules: Option<Rules>,
}

/// Names that metric families of the gateway's own begin with.
const RESERVED: [&str; 2] = ["gateway", "portcullis"];

const SHORTEST: PolicyDuration = PolicyDuration::millis(1);
const LONGEST_TIMEOUT: PolicyDuration = PolicyDuration::secs(24 * 3600);
const LONGEST_CONNECT: PolicyDuration = PolicyDuration::secs(3600);

impl Service {
    pub(crate) fn compile(name: &str, raw: &RawService) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("services").key(name);
        let mut errors: Vec<_> = check_name(name, &at).into_iter().collect();
        errors.extend(check_calls(raw, &at));
        errors.extend(raw.timeout.outside(SHORTEST, LONGEST_TIMEOUT, &at.key("timeout")));
        errors.extend(raw.connect_timeout.outside(SHORTEST, LONGEST_CONNECT, &at.key("connect_timeout")));
        let address = address(raw, &at).map_err(|error| errors.push(error));
        match address {
            Ok(address) if errors.is_empty() => Ok(Self::new(name, address, raw)),
            _ => Err(errors),
        }
    }

    fn new(name: &str, (host, port): (String, u16), raw: &RawService) -> Self {
        Self {
            name: name.to_owned(),
            host,
            port,
            timeout: raw.timeout.0,
            connect_timeout: raw.connect_timeout.0,
            calls: raw.calls.clone(),
        }
    }
}

fn check_name(name: &str, at: &Node) -> Option<ConfigError> {
    if is_service_name(name) && !is_reserved(name) {
        return None;
    }
    let expected = "a name of lower-case letters, digits and `_` that begins with a letter and neither is nor begins as \
        the gateway's own metrics do: `gateway_`, `portcullis_`";
    Some(at.error(format!("the name `{}`", name.escape_debug()), expected))
}

fn is_reserved(name: &str) -> bool {
    let is_like = |own: &str| name.strip_prefix(own).is_some_and(|r| r.is_empty() || r.starts_with('_'));
    RESERVED.into_iter().any(is_like)
}

fn check_calls(raw: &RawService, at: &Node) -> Vec<ConfigError> {
    let at = at.key("calls");
    let check = |(index, call): (usize, &String)| {
        let expected = Template::parse(call).err()?;
        Some(at.index(index).error(format!("`{}`", call.escape_debug()), expected))
    };
    raw.calls.iter().enumerate().filter_map(check).collect()
}

fn address(raw: &RawService, at: &Node) -> Result<(String, u16), ConfigError> {
    host_and_port(&raw.address).ok_or_else(|| {
        let found = format!("`{}`", raw.address.escape_debug());
        at.key("address").error(found, "`host:port`, such as `orders.shop.svc:8002`")
    })
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
    pub section: &'a Section,
}

impl Route {
    pub(crate) fn compile(
        index: usize,
        raw: &RawRoute,
        around: &Context<'_>,
    ) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("routes").index(index);
        let mut errors = check_methods(raw, &at);
        let template = template(raw, around.prefix, &at).map_err(|error| errors.push(error)).ok();
        let browser = browser(raw, around.browser, &at).map_err(|e| errors.extend(e)).ok();
        let tokens = RouteTokens::compile(raw, around.section, &at).map_err(|e| errors.extend(e));
        errors.extend(check_upstream_path(raw, template.as_ref(), &at));
        errors.extend(raw.timeout.and_then(|t| t.outside(SHORTEST, LONGEST_TIMEOUT, &at.key("timeout"))));
        match (template, browser, tokens) {
            (Some(template), Some(browser), Ok(tokens)) if errors.is_empty() => {
                Ok(Self::new(raw, template, browser, around).with(tokens))
            }
            _ => Err(errors),
        }
    }

    fn with(self, RouteTokens { auth, rules }: RouteTokens) -> Self {
        Self { auth, rules, ..self }
    }

    fn new(raw: &RawRoute, template: Template, browser: BrowserHeaders, around: &Context<'_>) -> Self {
        Self {
            methods: raw.methods.clone(),
            template,
            // An unknown service is told by `references`; the route still takes part in the search for duplicates.
            service: around.services.iter().position(|s| s.name == raw.service).unwrap_or(usize::MAX),
            upstream_path: raw.upstream_path.clone(),
            timeout: raw.timeout.map(|t| t.0),
            browser,
            overrides_browser: !raw.browser_headers.is_empty(),
            auth: None,
            rules: None,
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

/// The route's whole path. Its own part is checked alone: a prefix must not make a path of what is none, and an error shows
/// what stands in the file.
fn template(raw: &RawRoute, prefix: &str, at: &Node) -> Result<Template, ConfigError> {
    let own = Template::parse(&raw.path)
        .map_err(|expected| at.key("path").error(format!("`{}`", raw.path.escape_debug()), expected))?;
    // A bad prefix is told where it stands.
    Ok(Template::parse(&format!("{prefix}{}", raw.path)).unwrap_or(own))
}

fn browser(raw: &RawRoute, base: &BrowserHeaders, at: &Node) -> Result<BrowserHeaders, Vec<ConfigError>> {
    BrowserHeaders::compile(&raw.browser_headers, base, &at.key("browser_headers"))
}

pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

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
