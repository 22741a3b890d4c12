use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn specs(routes: &[(&[&str], &str)]) -> Vec<RouteSpec> {
    let spec = |(i, (methods, path)): (usize, &(&[&str], &str))| RouteSpec {
        at: Node::top().key("routes").index(i),
        hosts: Vec::new(),
        methods: methods.iter().map(ToString::to_string).collect(),
        template: Template::parse(path).unwrap(),
        either_slash: false,
        escaped_slashes: EscapedSlashes::Refuse,
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
    assert_eq!(table.find(b"", b"GET", "/balance/transactions"), Some(1));
    assert_eq!(table.find(b"", b"GET", "/balance/other"), Some(0));
    assert_eq!(table.find(b"", b"GET", "/balance/transactions/deep"), Some(2));
}

#[test]
fn a_route_is_method_and_path() {
    let table =
        RouteTable::build(&specs(&[(&["GET", "PUT"], "/profile"), (&["DELETE"], "/profile")])).unwrap();
    assert_eq!(table.find(b"", b"PUT", "/profile"), Some(0));
    assert_eq!(table.find(b"", b"DELETE", "/profile"), Some(1));
    assert_eq!(table.find(b"", b"get", "/profile"), None);
    assert_eq!(table.find(b"", b"GET", "/profile/"), None);
    assert_eq!(table.find(b"", b"GET", "/"), None);
}

#[test]
fn a_literal_route_hides_no_other_methods_of_a_parameter_route() {
    let table =
        RouteTable::build(&specs(&[(&["GET"], "/echo/{x}"), (&["POST"], "/echo/only-post")])).unwrap();
    assert_eq!(table.find(b"", b"GET", "/echo/only-post"), Some(0));
    assert_eq!(table.find(b"", b"POST", "/echo/only-post"), Some(1));
    assert_eq!(table.find(b"", b"POST", "/echo/other"), None);
}

#[test]
fn parameters_need_the_same_name_only_where_the_method_is_the_same() {
    let table = RouteTable::build(&specs(&[(&["GET"], "/a/{id}"), (&["PUT"], "/a/{name}")])).unwrap();
    assert_eq!(table.find(b"", b"PUT", "/a/1"), Some(1));
}

#[test]
fn a_method_twice_in_one_route_is_an_error_at_the_second() {
    let errors = RouteTable::build(&specs(&[(&["GET", "GET"], "/a")])).err().unwrap();
    assert_eq!(errors[0].at.to_string(), "routes[0].methods[1]");
}

#[test]
fn a_parameter_is_one_segment_that_is_not_empty() {
    let table = RouteTable::build(&specs(&[(&["GET"], "/orders/{id}"), (&["GET"], "/s/{*rest}")])).unwrap();
    assert_eq!(table.find(b"", b"GET", "/orders/"), None);
    assert_eq!(table.find(b"", b"GET", "/orders/1/2"), None);
    assert_eq!(table.find(b"", b"GET", "/s/1/2"), Some(1));
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

/// Each route with the hosts that it names.
fn with_hosts(routes: &[(&[&str], &str)]) -> Vec<RouteSpec> {
    let mut specs = specs(&routes.iter().map(|(_, path)| (&["GET"][..], *path)).collect::<Vec<_>>());
    for (spec, (hosts, _)) in specs.iter_mut().zip(routes) {
        spec.hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    }
    specs
}

#[test]
fn a_host_has_its_own_routes_and_no_others() {
    let table = RouteTable::build(&with_hosts(&[
        (&["a.example", "b.example"], "/orders"),
        (&["*.example"], "/orders"),
        (&[], "/orders"),
        (&[], "/other"),
        (&["a.example"], "/mine"),
    ]))
    .unwrap();
    assert_eq!(table.find(b"A.example:8080", b"GET", "/orders"), Some(0));
    assert_eq!(table.find(b"c.example", b"GET", "/orders"), Some(1));
    assert_eq!(table.find(b"elsewhere", b"GET", "/orders"), Some(2));
    assert_eq!(table.find(b"b.example", b"GET", "/mine"), None);
    assert_eq!(table.find(b"a.example", b"GET", "/other"), None);
    let hosts: Vec<_> = table.virtual_hosts().iter().map(|host| host.hosts.len()).collect();
    assert_eq!(hosts, [0, 1, 1, 1]);
}

#[test]
fn hosts_with_the_same_routes_are_one_virtual_host() {
    let table =
        RouteTable::build(&with_hosts(&[(&["a.x", "b.x", "*.c.x"], "/1"), (&["a.x", "b.x"], "/2")])).unwrap();
    let of = |host: &VirtualHost| host.routes.iter().map(|own| own.route).collect::<Vec<_>>();
    let groups: Vec<_> = table.virtual_hosts().iter().map(|host| (host.hosts.len(), of(host))).collect();
    assert_eq!(groups, [(0, vec![]), (2, vec![0, 1]), (1, vec![0])]);
}

#[test]
fn one_path_of_one_host_in_two_routes_is_a_mistake_told_once() {
    let errors = RouteTable::build(&with_hosts(&[(&["a.x", "b.x"], "/1"), (&["a.x", "b.x", "c.x"], "/1")]))
        .err()
        .unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn head_is_where_get_is_and_another_route_may_have_it() {
    let table = RouteTable::build(&specs(&[
        (&["GET"], "/a/{x}"),
        (&["HEAD"], "/a/b"),
        (&["GET"], "/a/b"),
        (&["POST"], "/c"),
    ]))
    .unwrap();
    assert_eq!(table.find(b"", b"HEAD", "/a/1"), Some(0));
    assert_eq!(table.find(b"", b"HEAD", "/a/b"), Some(1));
    assert_eq!(table.find(b"", b"HEAD", "/c"), None);
    let implied: Vec<_> = table.virtual_hosts()[0].routes.iter().map(|own| own.implies_head).collect();
    assert_eq!(implied, [true, false, false, false]);
}

#[test]
fn a_verb_wins_over_the_parameter_alone() {
    let table = RouteTable::build(&specs(&[
        (&["GET"], "/items/{id}"),
        (&["GET"], "/items/{id}:cancel"),
        (&["GET"], "/items/{id}:hard-cancel"),
    ]))
    .unwrap();
    let find = |path| table.find(b"", b"GET", path);
    assert_eq!(find("/items/7:cancel"), Some(1));
    assert_eq!(find("/items/7:hard-cancel"), Some(2));
    assert_eq!(find("/items/7:other"), Some(0));
    assert_eq!(find("/items/7"), Some(0));
    assert_eq!(find("/items/a:b:cancel"), Some(1));
    assert_eq!(find("/items/:cancel"), Some(0));
}

#[test]
fn a_slash_at_the_end_is_another_path_unless_the_route_takes_either() {
    let mut specs = specs(&[(&["GET"], "/a"), (&["GET"], "/b/{x}/"), (&["GET"], "/c")]);
    specs[0].either_slash = true;
    specs[1].either_slash = true;
    let table = RouteTable::build(&specs).unwrap();
    for (path, route) in [("/a", 0), ("/a/", 0), ("/b/1", 1), ("/b/1/", 1), ("/c", 2)] {
        assert_eq!(table.find(b"", b"GET", path), Some(route), "{path}");
        assert_eq!(table.find(b"", b"HEAD", path), Some(route), "{path}");
    }
    assert_eq!(table.find(b"", b"GET", "/c/"), None);
}

#[test]
fn an_escaped_slash_belongs_to_routes_that_take_it_and_to_no_others() {
    let mut specs = specs(&[(&["GET"], "/projects/{id}"), (&["GET"], "/orders/{id}")]);
    specs[0].escaped_slashes = EscapedSlashes::Keep;
    let table = RouteTable::build(&specs).unwrap();
    let path = table.normalise(b"/projects/a%2fb").unwrap().path.into_owned();
    assert_eq!(table.find(b"", b"GET", &path), Some(0));
    assert_eq!(table.find(b"", b"HEAD", &path), Some(0));
    assert_eq!(table.find(b"", b"GET", "/orders/a%2Fb"), None);
    assert!(RouteTable::build(&specs[1..]).unwrap().normalise(b"/projects/a%2Fb").is_err());
}

#[test]
fn a_verb_hides_no_path_that_only_looks_like_one_of_its_own() {
    let table = RouteTable::build(&specs(&[
        (&["GET"], "/{a}/{b}/{c}"),
        (&["GET"], "/{a}:v"),
        (&["GET"], "/{*rest}"),
        (&["GET"], "/items/{id}:x"),
        (&["GET"], "/{kind}/{id}:y"),
    ]));
    // Parameters at one place have one name, whatever stands behind them.
    assert!(table.is_err());
    let table = RouteTable::build(&specs(&[
        (&["GET"], "/{a}/{b}/{c}"),
        (&["GET"], "/{a}:v"),
        (&["GET"], "/items/{id}:x"),
        (&["GET"], "/{a}/{id}:y"),
        (&["POST"], "/{*rest}"),
        (&["POST"], "/items/{id}:x"),
    ]))
    .unwrap();
    let find = |method: &[u8], path| table.find(b"", method, path);
    assert_eq!(find(b"GET", "/q:v/b/c"), Some(0));
    assert_eq!(find(b"GET", "/q:v"), Some(1));
    assert_eq!(find(b"GET", "/items/7:x"), Some(2));
    assert_eq!(find(b"GET", "/items/7:y"), Some(3));
    assert_eq!(find(b"POST", "/items/7:x"), Some(5));
    assert_eq!(find(b"POST", "/items/7"), Some(4));
}

#[test]
fn a_path_with_an_escaped_slash_is_asked_at_routes_that_take_it_alone() {
    let mut specs = specs(&[(&["GET"], "/a/{x}"), (&["GET"], "/{*rest}")]);
    specs[1].escaped_slashes = EscapedSlashes::Keep;
    let table = RouteTable::build(&specs).unwrap();
    assert_eq!(table.find(b"", b"GET", "/a/b"), Some(0));
    assert_eq!(table.find(b"", b"GET", "/a/b%2Fc"), Some(1));
}

#[test]
fn a_rest_and_a_parameter_at_the_same_place_are_an_error_and_a_literal_beside_a_rest_is_not() {
    let parameter = specs(&[(&["GET"], "/tree/{*rest}"), (&["GET"], "/tree/{id}/edit")]);
    let errors = RouteTable::build(&parameter).err().unwrap();
    assert_eq!(errors[0].at.to_string(), "routes[1].path");
    let literal =
        specs(&[(&["GET"], "/tree/{*rest}"), (&["GET"], "/tree/new/{id}/edit"), (&["GET"], "/tree/new")]);
    let table = RouteTable::build(&literal).unwrap();
    for (path, route) in [("/tree/new", 2), ("/tree/new/1/edit", 1), ("/tree/new/1/show", 0), ("/tree/x", 0)]
    {
        assert_eq!(table.find(b"", b"GET", path), Some(route), "{path}");
    }
    assert_eq!(table.find(b"", b"GET", "/tree/"), None);
}

#[test]
fn a_table_knows_what_it_has_to_look_at() {
    let plain = RouteTable::build(&specs(&[(&["GET"], "/orders/{id}")])).unwrap();
    assert!(!plain.looks_at_hosts() && !plain.keeps_escaped_slashes());
    for host in ["a.example", "*.example"] {
        assert!(RouteTable::build(&with_hosts(&[(&[host], "/orders")])).unwrap().looks_at_hosts(), "{host}");
    }
    let mut keeping = specs(&[(&["GET"], "/orders/{id}")]);
    keeping[0].escaped_slashes = EscapedSlashes::Keep;
    assert!(RouteTable::build(&keeping).unwrap().keeps_escaped_slashes());
}

#[test]
fn a_path_lists_the_methods_that_the_policy_names() {
    let table = RouteTable::build(&specs(&[
        (&["GET", "PUT"], "/orders/{id}"),
        (&["GET"], "/pages/{id}"),
        (&["HEAD"], "/pages/{id}"),
    ]))
    .unwrap();
    let methods = |path: &str| {
        let mut methods: Vec<_> = table.methods(b"", path).collect();
        methods.sort_unstable();
        methods
    };
    assert_eq!(methods("/orders/1"), ["GET", "PUT"], "its HEAD only follows from GET");
    assert_eq!(methods("/pages/1"), ["GET", "HEAD"]);
    assert_eq!(methods("/elsewhere"), [""; 0]);
}

#[test]
fn of_a_verb_and_a_more_precise_path_without_one_the_more_precise_has_it() {
    let table =
        RouteTable::build(&specs(&[(&["GET"], "/{area}/{id}:go"), (&["GET"], "/maps/{id}")])).unwrap();
    assert_eq!(table.find(b"", b"GET", "/maps/7:go"), Some(1));
    assert_eq!(table.find(b"", b"GET", "/lists/7:go"), Some(0));
}

/// Whether a template has a path, by its segments alone.
fn fits(template: &str, path: &str) -> bool {
    let (own, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let is_in = |(own, given): (&&str, &&str)| match own.split_once('}') {
        Some((_, verb)) => given.len() > verb.len() && given.ends_with(verb),
        None => own == given,
    };
    match own.split_last() {
        Some((last, before)) if last.starts_with("{*") => {
            let rest = given.get(before.len()..).unwrap_or_default().concat();
            !rest.is_empty() && before.iter().zip(&given).all(is_in)
        }
        _ => own.len() == given.len() && own.iter().zip(&given).all(is_in),
    }
}

/// The same path with a slash at its end, or without the one it has.
fn with_other_end(path: &str) -> String {
    path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned)
}

const TEMPLATES: [&str; 17] = [
    "/a",
    "/{x}",
    "/{x}:go",
    "/{x}:do",
    "/{x}:goto",
    "/{x}:o",
    "/a:go",
    "/a/{y}",
    "/a/{y}:go",
    "/{x}/b",
    "/{x}/{y}",
    "/{x}/{y}:go",
    "/{x}/b:go",
    "/{x}/b/c",
    "/{*r}",
    "/a/{*r}",
    "/{x}/{*r}",
];
const PATHS: [&str; 21] = [
    "/a",
    "/c",
    "/a:go",
    "/c:go",
    "/c:do",
    "/c:goto",
    "/:go",
    "/:g",
    "/a/b",
    "/a/c:go",
    "/a/b:go",
    "/c/b",
    "/c/b:go",
    "/c:go/b",
    "/c:go/d:go",
    "/a:go/b/c",
    "/a/:go",
    "/c:go/",
    "/c/b/",
    "/c:go/b/",
    "/a/c:go/",
];

/// The router follows a verb with a slash behind it and finds no way back to a parameter: the table must not leave verbs to it.
#[test]
fn of_any_three_routes_the_most_precise_that_fits_has_a_path() {
    let threes = TEMPLATES.iter().flat_map(|one| {
        TEMPLATES.iter().flat_map(move |two| TEMPLATES.iter().map(move |three| [*one, *two, *three]))
    });
    let mut found = 0;
    for (three, either_slash) in threes.flat_map(|three| [(three, false), (three, true)]) {
        let specs = specs(&three.map(|path| (&["GET"][..], path)));
        let specs: Vec<_> = specs.into_iter().map(|spec| RouteSpec { either_slash, ..spec }).collect();
        let Ok(table) = RouteTable::build(&specs) else { continue };
        for path in PATHS {
            let has = |at: &usize| {
                let template = specs[*at].template.as_str();
                fits(template, path) || either_slash && fits(template, &with_other_end(path))
            };
            let fitting = (0..3).filter(has);
            let best = fitting.min_by(|a, b| specs[*a].template.by_precision(&specs[*b].template));
            assert_eq!(
                table.find(b"", b"GET", path),
                best,
                "{path} of {three:?}, either slash: {either_slash}"
            );
            found += usize::from(best.is_some());
        }
    }
    assert!(found > 20_000, "{found}");
}
