//! Routes, compiled.

use crate::raw::{RawEscapedSlashes, RawRoute, RawRouteCors, TrailingSlash, Upgrade};
use crate::services::Service;
use crate::tokens::{RouteTokens, Section};
use crate::upstream;
use core::time::Duration;
use portcullis_authz::Rules;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_jwt::RouteAuth;
use portcullis_route::{EscapedSlashes, HostPattern, RouteSpec, Segment, Template};
use portcullis_security_headers::BrowserHeaders;

/// A route of the policy.
#[derive(Clone, Debug)]
pub struct Route {
    /// The hosts it belongs to; empty for the default host.
    pub hosts: Vec<HostPattern>,
    /// Methods it answers.
    pub methods: Vec<String>,
    /// Its whole path, prefix included; the `endpoint` label.
    pub template: Template,
    /// Index of its service.
    pub service: usize,
    /// Whether the path with the other kind of end is its own as well.
    pub either_slash: bool,
    /// Whether a segment may hold an escaped slash.
    pub escaped_slashes: EscapedSlashes,
    /// The path at the service, if it is not the route's without the prefix: the parameters are those of `template`.
    pub upstream_path: Option<Template>,
    /// What connections may be upgraded to.
    pub upgrades: Vec<Upgrade>,
    /// How long a request may take, where it differs from the service's; zero for no end.
    pub timeout: Option<Duration>,
    /// How long a request may go without a byte, where it differs from the service's; zero for no end.
    pub idle_timeout: Option<Duration>,
    /// Largest request body in bytes; nothing where it is passed on as it comes.
    pub max_body_bytes: Option<u32>,
    /// Whether the service itself says which web pages may read its answers.
    pub cors_by_service: bool,
    /// Rules for response headers.
    pub browser: BrowserHeaders,
    /// Whether `browser` is the route's own and not the policy's.
    pub overrides_browser: bool,
    /// Whether a token is needed, and whose; nothing where the policy has no tokens.
    pub auth: Option<RouteAuth>,
    /// Who may use it; nothing for everybody whom `auth` lets through.
    pub rules: Option<Rules>,
}

/// What a route's compilation needs besides the route.
pub(crate) struct Context<'a> {
    pub prefix: &'a str,
    pub max_body_bytes: u32,
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
        let hosts = hosts(raw, &at).map_err(|e| errors.extend(e)).ok();
        let upstream = upstream_path(raw, template.as_ref(), &at).map_err(|e| errors.push(e)).ok();
        errors.extend(check_body(raw, &at));
        errors.extend(check_form(raw, template.as_ref(), &at));
        errors.extend(raw.timeout.and_then(|t| upstream::endless(t, &at.key("timeout"))));
        errors.extend(raw.idle_timeout.and_then(|t| upstream::endless(t, &at.key("idle_timeout"))));
        match (template, browser, tokens, hosts, upstream) {
            (Some(template), Some(browser), Ok(tokens), Some(hosts), Some(upstream_path))
                if errors.is_empty() =>
            {
                let route = Self::new(raw, template, browser, around).with(tokens);
                Ok(Self { hosts, upstream_path, ..route })
            }
            _ => Err(errors),
        }
    }

    fn with(self, RouteTokens { auth, rules }: RouteTokens) -> Self {
        Self { auth, rules, ..self }
    }

    fn new(raw: &RawRoute, template: Template, browser: BrowserHeaders, around: &Context<'_>) -> Self {
        Self {
            hosts: Vec::new(),
            methods: raw.methods.clone(),
            template,
            either_slash: raw.trailing_slash == TrailingSlash::Either,
            escaped_slashes: match raw.escaped_slashes {
                RawEscapedSlashes::Refuse => EscapedSlashes::Refuse,
                RawEscapedSlashes::Keep => EscapedSlashes::Keep,
            },
            upgrades: raw.upgrades.clone(),
            // An unknown service is reported by `references`; the route still takes part in the search for duplicates.
            service: around.services.iter().position(|s| s.name == raw.service).unwrap_or(usize::MAX),
            upstream_path: None,
            timeout: raw.timeout.map(|t| t.0),
            idle_timeout: raw.idle_timeout.map(|t| t.0),
            max_body_bytes: (raw.buffer_body && raw.upgrades.is_empty())
                .then_some(raw.max_body_bytes.unwrap_or(around.max_body_bytes)),
            cors_by_service: raw.cors == RawRouteCors::Service,
            browser,
            overrides_browser: !raw.browser_headers.is_empty(),
            auth: None,
            rules: None,
        }
    }

    pub(crate) fn spec(&self, index: usize) -> RouteSpec {
        RouteSpec {
            at: Node::top().key("routes").index(index),
            hosts: self.hosts.clone(),
            methods: self.methods.clone(),
            template: self.template.clone(),
            either_slash: self.either_slash,
            escaped_slashes: self.escaped_slashes,
        }
    }
}

/// The route's whole path. Its own part is checked alone: a prefix must not make a path of what is none, and an error shows
/// what stands in the file.
fn template(raw: &RawRoute, prefix: &str, at: &Node) -> Result<Template, ConfigError> {
    let own = Template::parse(&raw.path)
        .map_err(|expected| at.key("path").error(format!("`{}`", raw.path.escape_debug()), expected))?;
    // A bad prefix is reported where it stands.
    Ok(Template::parse(&format!("{prefix}{}", raw.path)).unwrap_or(own))
}

fn browser(raw: &RawRoute, base: &BrowserHeaders, at: &Node) -> Result<BrowserHeaders, Vec<ConfigError>> {
    BrowserHeaders::compile(&raw.browser_headers, base, &at.key("browser_headers"))
}

fn check_methods(raw: &RawRoute, at: &Node) -> Vec<ConfigError> {
    let at = at.key("methods");
    if raw.methods.is_empty() {
        return vec![at.error("an empty list", "one method or more")];
    }
    upstream::unknown_methods(&raw.methods, &at)
}

/// What is not held cannot be measured before it is sent on.
fn check_body(raw: &RawRoute, at: &Node) -> Option<ConfigError> {
    let most = raw.max_body_bytes?;
    let at = at.key("max_body_bytes");
    match (most, raw.buffer_body) {
        (0, _) => Some(at.error("`0`", "a number of bytes from 1")),
        (_, false) => Some(at.error(format!("`{most}` beside `buffer_body: false`"), "one of them")),
        (_, true) => None,
    }
}

/// More names would be a wildcard.
const MOST_HOSTS: usize = 100;

fn hosts(raw: &RawRoute, at: &Node) -> Result<Vec<HostPattern>, Vec<ConfigError>> {
    let at = at.key("hosts");
    let (mut hosts, mut errors) = (Vec::new(), Vec::new());
    if raw.hosts.len() > MOST_HOSTS {
        errors.push(
            at.error(format!("{} hosts", raw.hosts.len()), format!("{MOST_HOSTS} at most, or a wildcard")),
        );
    }
    for (index, text) in raw.hosts.iter().enumerate() {
        let found = format!("`{}`", text.escape_debug());
        match HostPattern::parse(text) {
            Ok(host) if hosts.contains(&host) => {
                errors.push(
                    at.index(index).error(format!("{found}, which is listed already"), "each host once"),
                );
            }
            Ok(host) => hosts.push(host),
            Err(expected) => errors.push(at.index(index).error(found, expected)),
        }
    }
    if errors.is_empty() { Ok(hosts) } else { Err(errors) }
}

/// What a path with a rest, or a route that is upgraded, cannot be.
fn check_form(raw: &RawRoute, template: Option<&Template>, at: &Node) -> Vec<ConfigError> {
    let ends_open = template.is_some_and(|t| matches!(t.segments().last(), Some(Segment::Rest(_))));
    let is_root = template.is_some_and(|t| t.as_str() == "/");
    let slash = (raw.trailing_slash == TrailingSlash::Either && (ends_open || is_root)).then(|| {
        at.key("trailing_slash").error("`either`", "a path that neither is `/` nor ends in `{*name}`")
    });
    let upgrade = (!raw.upgrades.is_empty() && !raw.methods.iter().any(|m| m == "GET")).then(|| {
        at.key("upgrades").error("an upgrade without GET", "GET among `methods`: every upgrade begins as one")
    });
    slash.into_iter().chain(upgrade).collect()
}

/// RE2, which fills the parameters in, knows so many groups.
const MOST_PARAMETERS: usize = 9;

fn upstream_path(
    raw: &RawRoute,
    template: Option<&Template>,
    at: &Node,
) -> Result<Option<Template>, ConfigError> {
    let Some(text) = &raw.upstream_path else { return Ok(None) };
    let at = at.key("upstream_path");
    let found = format!("`{}`", text.escape_debug());
    let path = Template::parse(text).map_err(|expected| at.error(found.as_str(), expected))?;
    let Some(template) = template else { return Ok(Some(path)) };
    let known: Vec<&str> = template.segments().iter().filter_map(Segment::name).collect();
    if let Some(unknown) = path.segments().iter().filter_map(Segment::name).find(|name| !known.contains(name))
    {
        let expected = format!("only parameters of `path`: {}", known.join(", "));
        return Err(at.error(format!("`{{{unknown}}}`"), expected).near(unknown, known));
    }
    if path.segments().iter().any(|s| matches!(s, Segment::Param(n) | Segment::Verb { param: n, .. } if template.segments().contains(&Segment::Rest(n.clone())))) {
        return Err(at.error(found, "the rest of a path as the rest of a path: `{*name}`"));
    }
    if known.len() > MOST_PARAMETERS {
        return Err(at.error(found, format!("a `path` with {MOST_PARAMETERS} parameters at most")));
    }
    Ok(Some(path))
}
