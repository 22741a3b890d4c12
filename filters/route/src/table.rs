//! Host, method and path to route, in time that does not depend on the number of routes.

use crate::host::{HostPattern, Hosts};
use crate::{EscapedSlashes, NormalPath, PathError, Template, normalise_with};
use portcullis_edge_core::{ConfigError, Node};

/// What the table needs to know of a route.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Where the route stands in the policy, for errors.
    pub at: Node,
    /// The hosts that it belongs to; empty for the default host.
    pub hosts: Vec<HostPattern>,
    /// Methods it answers; one at least.
    pub methods: Vec<String>,
    /// Its path.
    pub template: Template,
    /// Whether the same path with a slash at its end, or without the one it has, is the route's as well.
    pub either_slash: bool,
    /// Whether a segment may hold an escaped slash.
    pub escaped_slashes: EscapedSlashes,
}

/// The paths that one method has.
#[derive(Clone)]
struct Method {
    name: String,
    paths: matchit::Router<usize>,
    /// Those that end in a verb: for each verb, the paths before it. (The router knows suffixes too, but once it has followed one, it finds
    /// no way back to a parameter.)
    verbs: Vec<(String, matchit::Router<usize>)>,
}

impl Method {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), paths: matchit::Router::new(), verbs: Vec::new() }
    }

    fn insert(&mut self, path: &str, verb: Option<&str>, route: usize) -> Result<(), matchit::InsertError> {
        let Some(verb) = verb else { return self.paths.insert(path, route) };
        match self.verbs.iter_mut().find(|(own, _)| own == verb) {
            Some((_, paths)) => paths.insert(path, route),
            None => {
                let mut paths = matchit::Router::new();
                paths.insert(path, route)?;
                self.verbs.push((verb.to_owned(), paths));
                Ok(())
            }
        }
    }

    /// The route that has `path`. `ranks` says which of several is the most precise.
    fn find(&self, path: &str, ranks: &[usize]) -> Option<usize> {
        let plain = self.paths.at(path).ok().map(|found| *found.value);
        if self.verbs.is_empty() {
            return plain;
        }
        let with_verb = self.verbs.iter().filter_map(|(verb, paths)| {
            let before = path.strip_suffix(verb.as_str())?;
            paths.at(before).ok().map(|found| *found.value)
        });
        with_verb.chain(plain).min_by_key(|route| ranks.get(*route).copied())
    }
}

/// A host's methods and paths.
#[derive(Clone, Default)]
struct Paths(Vec<Method>);

/// Hosts that have the same routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    /// Their names; empty for the default host.
    pub hosts: Vec<HostPattern>,
    /// Their routes, in the order of the policy.
    pub routes: Vec<HostRoute>,
}

/// A route of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Its index.
    pub route: usize,
    /// Whether it answers HEAD because it answers GET, and no other route of the host has HEAD there.
    pub implies_head: bool,
}

/// A compiled route table. Routes are known by their index in the list it was built from.
///
/// Each method has paths of its own: were they shared, `POST /echo/only-post` would take that path away from
/// `GET /echo/{x}`.
#[derive(Clone)]
pub struct RouteTable {
    hosts: Hosts,
    /// One for each virtual host; the default host's first.
    paths: Vec<Paths>,
    /// The same for paths that have an escaped slash: with the routes that take one, and no others.
    keeping: Vec<Paths>,
    virtual_hosts: Vec<VirtualHost>,
    escaped_slashes: EscapedSlashes,
    /// The routes that answer HEAD because they answer GET.
    implied_head: Vec<usize>,
    /// Each route's place in the order of precision.
    ranks: Vec<usize>,
}

impl RouteTable {
    /// Compiles the table.
    ///
    /// # Errors
    /// Every pair of routes that no request could tell apart.
    pub fn build(routes: &[RouteSpec]) -> Result<Self, Vec<ConfigError>> {
        let mut virtual_hosts = group(routes);
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        for host in &mut virtual_hosts {
            match Paths::build(host, routes) {
                Ok(built) => paths.push(built),
                Err(wrong) => {
                    errors.extend(wrong.into_iter().filter(|e| !errors.contains(e)).collect::<Vec<_>>())
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let named = virtual_hosts.iter().enumerate();
        let hosts = Hosts::build(named.flat_map(|(index, host)| host.hosts.iter().map(move |h| (h, index))));
        let keeping: Vec<_> = virtual_hosts.iter().map(|host| Paths::keeping(host, routes)).collect();
        let is_used = keeping.iter().any(|paths| !paths.0.is_empty());
        let escaped_slashes = if is_used { EscapedSlashes::Keep } else { EscapedSlashes::Refuse };
        let implying =
            virtual_hosts.iter().flat_map(|host| host.routes.iter().filter(|own| own.implies_head));
        let implied_head = implying.map(|own| own.route).collect();
        Ok(Self { hosts, paths, virtual_hosts, escaped_slashes, keeping, implied_head, ranks: ranks(routes) })
    }

    /// Whether a request's host makes a difference.
    #[must_use]
    pub fn looks_at_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Whether any route takes escaped slashes.
    #[must_use]
    pub fn keeps_escaped_slashes(&self) -> bool {
        self.escaped_slashes == EscapedSlashes::Keep
    }

    /// The hosts and their routes; the default host's first.
    #[must_use]
    pub fn virtual_hosts(&self) -> &[VirtualHost] {
        &self.virtual_hosts
    }

    /// The normal form of a request target's path, with escaped slashes where any route takes them.
    ///
    /// # Errors
    /// When the path has no normal form that every reader agrees on.
    pub fn normalise<'t>(&self, target: &'t [u8]) -> Result<NormalPath<'t>, PathError> {
        normalise_with(target, self.escaped_slashes)
    }

    /// The route for an authority (looked at only where routes name hosts), a method and a normalised path.
    #[must_use]
    pub fn find(&self, authority: &[u8], method: &[u8], path: &str) -> Option<usize> {
        self.of(authority, path)?.find(method, path, &self.ranks)
    }

    /// The methods that a normalised path has at an authority by the policy's own words: a HEAD that only follows from GET is left
    /// out.
    pub fn methods<'t>(&'t self, authority: &[u8], path: &str) -> impl Iterator<Item = &'t str> {
        let methods = self.of(authority, path).map(|paths| paths.0.as_slice()).unwrap_or_default();
        let implied = |found: &usize| self.implied_head.contains(found);
        let has = move |method: &&Method| {
            method.find(path, &self.ranks).is_some_and(|found| method.name != "HEAD" || !implied(&found))
        };
        methods.iter().filter(has).map(|method| method.name.as_str())
    }

    fn of(&self, authority: &[u8], path: &str) -> Option<&Paths> {
        let index = if self.hosts.is_empty() { 0 } else { self.hosts.find(authority).unwrap_or(0) };
        let has_escaped_slash = self.keeps_escaped_slashes() && path.contains("%2F");
        if has_escaped_slash { self.keeping.get(index) } else { self.paths.get(index) }
    }
}

/// Hosts with the same routes, together. The default host is first, and always there.
fn group(routes: &[RouteSpec]) -> Vec<VirtualHost> {
    let of = |host: Option<&HostPattern>| -> Vec<HostRoute> {
        let has = |spec: &RouteSpec| host.map_or(spec.hosts.is_empty(), |host| spec.hosts.contains(host));
        let own = routes.iter().enumerate().filter(|(_, spec)| has(spec));
        own.map(|(route, _)| HostRoute { route, implies_head: false }).collect()
    };
    let mut groups = vec![VirtualHost { hosts: Vec::new(), routes: of(None) }];
    let mut named: Vec<&HostPattern> = routes.iter().flat_map(|spec| &spec.hosts).collect();
    named.sort_unstable();
    named.dedup();
    for host in named {
        let routes = of(Some(host));
        match groups.iter_mut().skip(1).find(|group| group.routes == routes) {
            Some(group) => group.hosts.push(host.clone()),
            None => groups.push(VirtualHost { hosts: vec![host.clone()], routes }),
        }
    }
    groups
}

impl Paths {
    fn build(host: &mut VirtualHost, all: &[RouteSpec]) -> Result<Self, Vec<ConfigError>> {
        let mut paths = Self::default();
        let own: Vec<usize> = host.routes.iter().map(|own| own.route).collect();
        let mut errors = Vec::new();
        for (place, index) in own.iter().enumerate() {
            let earlier = own.get(..place).unwrap_or_default();
            errors.extend(paths.insert(*index, earlier, all));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for own in &mut host.routes {
            own.implies_head = all.get(own.route).is_some_and(|spec| paths.add_head(own.route, spec));
        }
        Ok(paths)
    }

    /// The paths of those routes of a host that take escaped slashes.
    fn keeping(host: &VirtualHost, all: &[RouteSpec]) -> Self {
        let mut paths = Self::default();
        for own in &host.routes {
            let spec = all.get(own.route).filter(|spec| spec.escaped_slashes == EscapedSlashes::Keep);
            let Some(spec) = spec else { continue };
            let methods = spec.methods.iter().map(String::as_str).chain(own.implies_head.then_some("HEAD"));
            for (method, spelling) in methods.flat_map(|m| spellings(spec).into_iter().map(move |s| (m, s))) {
                // It was found to be told apart from all others before.
                let _ = paths.add(method, &spelling, own.route);
            }
        }
        paths
    }

    fn insert(&mut self, index: usize, earlier: &[usize], all: &[RouteSpec]) -> Vec<ConfigError> {
        let Some(route) = all.get(index) else { return Vec::new() };
        let mut errors = Vec::new();
        for (at, method) in route.methods.iter().enumerate() {
            let failed = spellings(route).iter().any(|path| self.add(method, path, index).is_err());
            if failed {
                errors.push(match owner(route, at, method, earlier, all) {
                    Some(owner) => taken(route, at, method, owner),
                    None => ambiguous(route),
                });
            }
        }
        // An ambiguous path is one mistake, however many methods have it.
        errors.dedup();
        errors
    }

    /// Lets a route with GET answer HEAD too (RFC 9110 section 9.3.2), unless another route has HEAD for the same paths.
    fn add_head(&mut self, index: usize, route: &RouteSpec) -> bool {
        let has = |name: &str| route.methods.iter().any(|method| method == name);
        has("GET")
            && !has("HEAD")
            && spellings(route).iter().all(|path| self.add("HEAD", path, index).is_ok())
    }

    fn add(&mut self, method: &str, spelling: &Spelling, route: usize) -> Result<(), matchit::InsertError> {
        let known = self.0.iter_mut().find(|m| m.name == method);
        if let Some(known) = known {
            return known.insert(&spelling.path, spelling.verb.as_deref(), route);
        }
        let mut new = Method::new(method);
        new.insert(&spelling.path, spelling.verb.as_deref(), route)?;
        self.0.push(new);
        Ok(())
    }

    fn find(&self, method: &[u8], path: &str, ranks: &[usize]) -> Option<usize> {
        self.0.iter().find(|m| m.name.as_bytes() == method)?.find(path, ranks)
    }
}

/// Each route's place in the order of precision; routes of equal precision have equal places.
fn ranks(routes: &[RouteSpec]) -> Vec<usize> {
    let before = |own: &RouteSpec, other: &RouteSpec| other.template.by_precision(&own.template).is_lt();
    routes.iter().map(|own| routes.iter().filter(|other| before(own, other)).count()).collect()
}

/// A path as the table knows it: what stands before its verb, and the verb with what may follow it.
#[derive(PartialEq, Eq)]
struct Spelling {
    path: String,
    verb: Option<String>,
}

/// The paths that a route is known by: with and without the slash at its end, if it takes either.
fn spellings(route: &RouteSpec) -> Vec<Spelling> {
    let text = route.template.as_str();
    if let Some((path, verb)) = route.template.without_verb() {
        let with = |end: &str| Spelling { path: path.to_owned(), verb: Some(format!("{verb}{end}")) };
        return if route.either_slash { vec![with(""), with("/")] } else { vec![with("")] };
    }
    let plain = |path: String| Spelling { path, verb: None };
    let other = text.strip_suffix('/').map_or_else(|| format!("{text}/"), str::to_owned);
    let own = plain(text.to_owned());
    if route.either_slash { vec![own, plain(other)] } else { vec![own] }
}

/// The route that has the method numbered `at` of `route` for the same path already; it may be that route itself.
fn owner<'a>(
    route: &'a RouteSpec,
    at: usize,
    method: &str,
    earlier: &[usize],
    all: &'a [RouteSpec],
) -> Option<&'a RouteSpec> {
    if route.methods.iter().take(at).any(|m| m == method) {
        return Some(route);
    }
    let wanted = spellings(route);
    let has = |r: &&RouteSpec| {
        r.methods.iter().any(|m| m == method) && spellings(r).iter().any(|path| wanted.contains(path))
    };
    earlier.iter().filter_map(|index| all.get(*index)).find(has)
}

fn ambiguous(route: &RouteSpec) -> ConfigError {
    let found = format!("`{}`, which matches the same paths as an earlier route", route.template.as_str());
    let expected = "a path of its own (parameters at the same place need the same name)";
    route.at.key("path").error(found, expected)
}

fn taken(route: &RouteSpec, at: usize, method: &str, owner: &RouteSpec) -> ConfigError {
    let found = format!("`{method}`, which {} has for the same path", owner.at);
    route.at.key("methods").index(at).error(found, "each method and path in one route only")
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
