//! Paths as applications have them: escaped slashes, verbs, rewrites, slashes at the end, HEAD, addresses inside a path, HTTP/1.0.

use crate::common::{Echo, target_of, with_extra};
use portcullis_e2e::{Connection, Gateway, Request};
use serde_json::{Value, json};

/// A gateway with these routes to a service that says what it was asked.
fn with_routes(routes: Value) -> Gateway {
    let echo = Echo::start();
    let service = json!({ "address": echo.address().to_string() });
    let setup = with_extra(&service, json!({}));
    setup
        .policy(move |policy| {
            let all = policy["routes"].as_array_mut().expect("the example has routes");
            for mut route in routes.as_array().cloned().unwrap_or_default() {
                route["service"] = json!("extra");
                route["methods"] = route.get("methods").cloned().unwrap_or_else(|| json!(["GET"]));
                all.push(route);
            }
        })
        .start()
}

fn status(gateway: &Gateway, path: &str) -> u16 {
    gateway.get(path).status
}

#[test]
fn an_escaped_slash_arrives_as_it_came_where_a_route_takes_it() {
    let gateway = with_routes(json!([
        { "path": "/projects/{id}", "escaped_slashes": "keep" },
        { "path": "/files/{*name}", "escaped_slashes": "keep" },
        { "path": "/orders2/{id}" },
        { "path": "/rest2/{*rest}" },
    ]));
    let sent = |path: &str| target_of(&gateway.get(path));
    assert_eq!(sent("/api/v1/projects/group%2Fname?x=%2F"), "/projects/group%2Fname?x=%2F");
    assert_eq!(sent("/api/v1/projects/group%2fname"), "/projects/group%2Fname");
    assert_eq!(sent("/api/v1/files/a%2Fb/c"), "/files/a%2Fb/c");
    for refused in ["/projects/..%2Fadmin", "/projects/a%2F%2e%2e%2Fb", "/files/x%5Cy"] {
        assert_eq!(status(&gateway, &format!("/api/v1{refused}")), 400, "{refused}");
    }
    for nowhere in ["/orders2/a%2Fb", "/rest2/a%2Fb/c", "/projects%2Fx", "/extra%2F.."] {
        let status = status(&gateway, &format!("/api/v1{nowhere}"));
        assert!([400, 404].contains(&status), "{nowhere}: {status}");
    }
}

#[test]
fn a_verb_behind_a_segment_is_a_route_of_its_own() {
    let gateway = with_routes(json!([
        { "path": "/items/{id}", "upstream_path": "/read/{id}" },
        { "path": "/items/{id}:cancel", "upstream_path": "/cancel/{id}" },
    ]));
    let sent = |path: &str| target_of(&gateway.get(&format!("/api/v1{path}")));
    assert_eq!(sent("/items/7"), "/read/7");
    assert_eq!(sent("/items/7:cancel"), "/cancel/7");
    assert_eq!(sent("/items/a:b:cancel"), "/cancel/a:b");
    assert_eq!(sent("/items/7:other"), "/read/7:other");
}

/// Of several routes the more exact one wins, from the left; where they stand in the policy says nothing.
#[test]
fn a_prefix_hides_no_route_and_the_more_exact_one_wins() {
    let gateway = with_routes(json!([
        { "path": "/tree/{*rest}", "upstream_path": "/rest/{*rest}" },
        { "path": "/tree/new", "upstream_path": "/new" },
        { "path": "/tree/new/{id}/edit", "upstream_path": "/edit/{id}" },
        { "path": "/leaf/{id}", "upstream_path": "/one/{id}" },
        { "path": "/leaf/new", "upstream_path": "/a-new/leaf" },
        { "path": "/tree/post", "methods": ["POST"], "upstream_path": "/post" },
    ]));
    let sent = |path: &str| target_of(&gateway.get(&format!("/api/v1{path}")));
    for (path, at) in [
        ("/tree/new", "/new"),
        ("/tree/7", "/rest/7"),
        ("/tree/new/7/edit", "/edit/7"),
        ("/tree/new/7/show", "/rest/new/7/show"),
        ("/tree/new/7", "/rest/new/7"),
        ("/tree/post", "/rest/post"),
        ("/leaf/new", "/a-new/leaf"),
        ("/leaf/7", "/one/7"),
    ] {
        assert_eq!(sent(path), at, "{path}");
    }
    assert_eq!(status(&gateway, "/api/v1/tree/"), 404, "a rest is not empty");
}

#[test]
fn a_template_is_rewritten_with_what_the_client_wrote() {
    let gateway = with_routes(json!([
        { "path": "/shops/{shop}/orders/{id}", "upstream_path": "/v2/orders/{id}/of/{shop}" },
        { "path": "/static2/{*rest}", "upstream_path": "/bucket/public/{*rest}" },
        { "path": "/status2", "upstream_path": "/api/v1/admin" },
        { "path": "/admin" },
    ]));
    let sent = |path: &str| target_of(&gateway.get(&format!("/api/v1{path}")));
    assert_eq!(sent("/shops/caf%C3%A9/orders/1?a=/shops/2"), "/v2/orders/1/of/caf%C3%A9?a=/shops/2");
    assert_eq!(sent("/static2/css/a.css"), "/bucket/public/css/a.css");
    // What a rewrite leads to is no route's path any more: nothing is looked up again.
    assert_eq!(sent("/status2"), "/api/v1/admin");
}

#[test]
fn a_slash_at_the_end_is_as_the_route_says() {
    let gateway = with_routes(json!([
        { "path": "/either", "trailing_slash": "either" },
        { "path": "/either/{x}/", "trailing_slash": "either" },
        { "path": "/exact" },
    ]));
    let sent = |path: &str| target_of(&gateway.get(&format!("/api/v1{path}")));
    for path in ["/either", "/either/", "/either/1", "/either/1/", "/exact"] {
        assert_eq!(sent(path), path);
    }
    assert_eq!(status(&gateway, "/api/v1/exact/"), 404);
}

#[test]
fn head_is_answered_where_get_is() {
    let gateway = with_routes(json!([{ "path": "/page" }, { "path": "/posted", "methods": ["POST"] }]));
    let answer = gateway.send(&Request::new("HEAD", "/api/v1/page"));
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(gateway.send(&Request::new("HEAD", "/api/v1/posted")).status, 404);
}

#[test]
fn an_address_inside_a_path_is_refused_and_not_changed() {
    let gateway = with_routes(json!([{ "path": "/fetch/{*url}", "escaped_slashes": "keep" }]));
    for path in
        ["/fetch/https://example.com/x", "/fetch/https:/example.com/x", "/fetch/https%3A//example.com/x"]
    {
        assert_eq!(status(&gateway, &format!("/api/v1{path}")), 400, "{path}");
    }
    let escaped = "/fetch/https%3A%2F%2Fexample.com%2Fx";
    assert_eq!(target_of(&gateway.get(&format!("/api/v1{escaped}"))), escaped);
}

#[test]
fn a_client_of_http_1_0_is_answered_with_and_without_a_host() {
    let gateway = with_routes(json!([]));
    for head in ["GET /health HTTP/1.0\r\n\r\n", "GET /api/v1/extra HTTP/1.0\r\nHost: gateway.test\r\n\r\n"] {
        let answer = Connection::open(gateway.address()).send_raw(head.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{head}");
    }
}
