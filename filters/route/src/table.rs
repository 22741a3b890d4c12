//! Method and path to route, in time that does not depend on the number of routes.

use crate::Template;
use portcullis_edge_core::{ConfigError, Node};

/// What the table needs to know of a route.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Where the route stands in the policy, for errors.
    pub at: Node,
    /// Methods it answers; one at least.
    pub methods: Vec<String>,
    /// Its path.
    pub template: Template,
}

/// The routes that share a path.
#[derive(Clone, Debug, Default)]
struct ByMethod(Vec<(String, usize)>);

/// A compiled route table. Routes are known by their index in the list it was built from.
#[derive(Clone)]
pub struct RouteTable {
    paths: matchit::Router<usize>,
    methods: Vec<ByMethod>,
}

impl RouteTable {
    /// Compiles the table.
    ///
    /// # Errors
    /// Every pair of routes that no request could tell apart.
    pub fn build(routes: &[RouteSpec]) -> Result<Self, Vec<ConfigError>> {
        let mut table = Self { paths: matchit::Router::new(), methods: Vec::new() };
        let errors: Vec<_> =
            routes.iter().enumerate().flat_map(|(index, route)| table.insert(index, route, routes)).collect();
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    fn insert(&mut self, index: usize, route: &RouteSpec, all: &[RouteSpec]) -> Vec<ConfigError> {
        let text = route.template.as_str();
        let earlier = all.iter().take(index).position(|r| r.template == route.template);
        let slot = match earlier.and_then(|i| self.slot_of(i)) {
            Some(slot) => slot,
            None => match self.paths.insert(text, self.methods.len()) {
                Ok(()) => {
                    self.methods.push(ByMethod::default());
                    self.methods.len().saturating_sub(1)
                }
                Err(_) => return vec![ambiguous(route)],
            },
        };
        self.add_methods(slot, index, route, all)
    }

    fn slot_of(&self, index: usize) -> Option<usize> {
        self.methods.iter().position(|m| m.0.iter().any(|(_, i)| *i == index))
    }

    fn add_methods(
        &mut self,
        slot: usize,
        index: usize,
        route: &RouteSpec,
        all: &[RouteSpec],
    ) -> Vec<ConfigError> {
        let Some(ByMethod(known)) = self.methods.get_mut(slot) else { return Vec::new() };
        let mut errors = Vec::new();
        for (at, method) in route.methods.iter().enumerate() {
            match known.iter().find(|(m, _)| m == method) {
                Some((_, other)) => errors.push(taken(route, at, method, all.get(*other))),
                None => known.push((method.clone(), index)),
            }
        }
        errors
    }

    /// The route for a method and a normalised path.
    #[must_use]
    pub fn find(&self, method: &[u8], path: &str) -> Option<usize> {
        let slot = *self.paths.at(path).ok()?.value;
        let ByMethod(methods) = self.methods.get(slot)?;
        methods.iter().find(|(m, _)| m.as_bytes() == method).map(|(_, route)| *route)
    }
}

fn ambiguous(route: &RouteSpec) -> ConfigError {
    let found = format!("`{}`, which matches the same paths as an earlier route", route.template.as_str());
    route.at.key("path").error(found, "a path of its own (parameters at the same place need the same name)")
}

fn taken(route: &RouteSpec, at: usize, method: &str, other: Option<&RouteSpec>) -> ConfigError {
    let owner = other.map(|r| r.at.to_string()).unwrap_or_default();
    let found = format!("`{method}`, which {owner} has for the same path");
    route.at.key("methods").index(at).error(found, "each method and path in one route only")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn specs(routes: &[(&[&str], &str)]) -> Vec<RouteSpec> {
        let spec = |(i, (methods, path)): (usize, &(&[&str], &str))| RouteSpec {
            at: Node::top().key("routes").index(i),
            methods: methods.iter().map(ToString::to_string).collect(),
            template: Template::parse(path).unwrap(),
        };
        routes.iter().enumerate().map(spec).collect()
    }

    #[test]
    fn literals_win_over_parameters_whatever_the_order() {
        let table = RouteTable::build(&specs(&[
            (&["GET"], "/balance/{what}"),
            (&["GET"], "/balance/transactions"),
            (&["GET"], "/balance/{what}/deep"),
        ]))
        .unwrap();
        assert_eq!(table.find(b"GET", "/balance/transactions"), Some(1));
        assert_eq!(table.find(b"GET", "/balance/other"), Some(0));
        assert_eq!(table.find(b"GET", "/balance/transactions/deep"), Some(2));
    }

    #[test]
    fn a_route_is_method_and_path() {
        let table =
            RouteTable::build(&specs(&[(&["GET", "PUT"], "/profile"), (&["DELETE"], "/profile")])).unwrap();
        assert_eq!(table.find(b"PUT", "/profile"), Some(0));
        assert_eq!(table.find(b"DELETE", "/profile"), Some(1));
        assert_eq!(table.find(b"get", "/profile"), None);
        assert_eq!(table.find(b"GET", "/profile/"), None);
        assert_eq!(table.find(b"GET", "/"), None);
    }

    #[test]
    fn a_parameter_is_one_segment_that_is_not_empty() {
        let table =
            RouteTable::build(&specs(&[(&["GET"], "/orders/{id}"), (&["GET"], "/s/{*rest}")])).unwrap();
        assert_eq!(table.find(b"GET", "/orders/"), None);
        assert_eq!(table.find(b"GET", "/orders/1/2"), None);
        assert_eq!(table.find(b"GET", "/s/1/2"), Some(1));
    }

    #[test]
    fn routes_that_cannot_be_told_apart_are_all_named() {
        let routes = specs(&[
            (&["GET"], "/a/{id}"),
            (&["GET"], "/a/{name}"),
            (&["PUT", "GET"], "/a/{id}"),
            (&["GET"], "/b"),
            (&["GET"], "/b"),
        ]);
        let errors = RouteTable::build(&routes).err().unwrap();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(places, ["routes[1].path", "routes[2].methods[1]", "routes[4].methods[0]"]);
    }
}
