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

/// The paths that one method has.
#[derive(Clone)]
struct Method {
    name: String,
    paths: matchit::Router<usize>,
}

/// A compiled route table. Routes are known by their index in the list it was built from.
///
/// Each method has paths of its own: were they shared, `POST /echo/only-post` would take that path away from
/// `GET /echo/{x}`.
#[derive(Clone)]
pub struct RouteTable(Vec<Method>);

impl RouteTable {
    /// Compiles the table.
    ///
    /// # Errors
    /// Every pair of routes that no request could tell apart.
    pub fn build(routes: &[RouteSpec]) -> Result<Self, Vec<ConfigError>> {
        let mut table = Self(Vec::new());
        let errors: Vec<_> =
            routes.iter().enumerate().flat_map(|(index, route)| table.insert(index, route, routes)).collect();
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    fn insert(&mut self, index: usize, route: &RouteSpec, all: &[RouteSpec]) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (at, method) in route.methods.iter().enumerate() {
            if self.add(method, route.template.as_str(), index).is_err() {
                errors.push(match owner(index, at, method, all) {
                    Some(owner) => taken(route, at, method, owner),
                    None => ambiguous(route),
                });
            }
        }
        // An ambiguous path is one mistake, however many methods have it.
        errors.dedup();
        errors
    }

    fn add(&mut self, method: &str, path: &str, route: usize) -> Result<(), matchit::InsertError> {
        if let Some(known) = self.0.iter_mut().find(|m| m.name == method) {
            return known.paths.insert(path, route);
        }
        let mut paths = matchit::Router::new();
        paths.insert(path, route)?;
        self.0.push(Method { name: method.to_owned(), paths });
        Ok(())
    }

    /// The route for a method and a normalised path.
    #[must_use]
    pub fn find(&self, method: &[u8], path: &str) -> Option<usize> {
        let method = self.0.iter().find(|m| m.name.as_bytes() == method)?;
        method.paths.at(path).ok().map(|found| *found.value)
    }

    /// The methods that a normalised path has.
    pub fn methods<'t>(&'t self, path: &str) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter(move |method| method.paths.at(path).is_ok()).map(|method| method.name.as_str())
    }
}

/// The route that has the method numbered `at` of route `index` for the same path already; it may be that route itself.
fn owner<'a>(index: usize, at: usize, method: &str, all: &'a [RouteSpec]) -> Option<&'a RouteSpec> {
    let route = all.get(index)?;
    if route.methods.iter().take(at).any(|m| m == method) {
        return Some(route);
    }
    let has = |r: &&RouteSpec| r.template == route.template && r.methods.iter().any(|m| m == method);
    all.iter().take(index).find(has)
}

fn ambiguous(route: &RouteSpec) -> ConfigError {
    let found = format!("`{}`, which matches the same paths as an earlier route", route.template.as_str());
    route.at.key("path").error(found, "a path of its own (parameters at the same place need the same name)")
}

fn taken(route: &RouteSpec, at: usize, method: &str, owner: &RouteSpec) -> ConfigError {
    let found = format!("`{method}`, which {} has for the same path", owner.at);
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
    fn a_literal_route_hides_no_other_methods_of_a_parameter_route() {
        let table =
            RouteTable::build(&specs(&[(&["GET"], "/echo/{x}"), (&["POST"], "/echo/only-post")])).unwrap();
        assert_eq!(table.find(b"GET", "/echo/only-post"), Some(0));
        assert_eq!(table.find(b"POST", "/echo/only-post"), Some(1));
        assert_eq!(table.find(b"POST", "/echo/other"), None);
    }

    #[test]
    fn parameters_need_the_same_name_only_where_the_method_is_the_same() {
        let table = RouteTable::build(&specs(&[(&["GET"], "/a/{id}"), (&["PUT"], "/a/{name}")])).unwrap();
        assert_eq!(table.find(b"PUT", "/a/1"), Some(1));
    }

    #[test]
    fn a_method_twice_in_one_route_is_an_error_at_the_second() {
        let errors = RouteTable::build(&specs(&[(&["GET", "GET"], "/a")])).err().unwrap();
        assert_eq!(errors[0].at.to_string(), "routes[0].methods[1]");
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
