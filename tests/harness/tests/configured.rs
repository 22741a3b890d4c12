//! What Envoy's configuration tells plugins: virtual hosts, routes, clusters, the node.

mod support;

use std::time::Duration;

use portcullis_harness::{Builder, Error, Node, Outcome, Reply, Request, Route, Upstream};
use serde_json::json;
use support::{results, with_probe};

type Result = std::result::Result<(), Error>;

fn routed(script: &str) -> Builder {
    let late = Reply::status(200).delay(Duration::from_secs(2));
    with_probe(script)
        .peer("web", Upstream::respond(200).body("web"))
        .peer("late", late)
        .routed(Route::respond(418, "tea").host("tea.test").prefix("/pot"))
        .routed(Route::to("web").prefix("/canary").header("x-canary", "yes").name("canary"))
        .routed(Route::to("late").prefix("/late").timeout(Duration::from_secs(1)))
        .routed(Route::to("nobody").prefix("/lost").name("lost"))
        .routed(
            Route::to("web")
                .prefix("/web")
                .name("plain")
                .metadata("team", json!({ "size": 3, "list": [1, "x"] })),
        )
        .cluster_metadata("web", "owner", json!({ "name": "shop", "nothing": null }))
}

fn one(script: &str, request: Request) -> std::result::Result<Outcome, Error> {
    routed(script).build()?.send(request)
}

#[test]
fn a_route_is_bound_to_host_path_and_header_and_has_a_time_of_its_own() -> Result {
    let status = |request: Request| one("", request).map(|out| out.client.status());
    assert_eq!(status(Request::get("/pot").header(":authority", "TEA.test"))?, Some(418));
    // As with Envoy's virtual hosts, a host that has routes has no others.
    assert_eq!(status(Request::get("/web").header(":authority", "tea.test"))?, Some(404));
    assert_eq!(status(Request::get("/pot"))?, Some(404));
    assert_eq!(status(Request::get("/canary").header("x-canary", "yes"))?, Some(200));
    assert_eq!(status(Request::get("/canary").header("x-canary", "no"))?, Some(404));
    assert_eq!(status(Request::get("/late"))?, Some(504));
    assert_eq!(status(Request::get("/lost"))?, Some(503));
    Ok(())
}

#[test]
fn route_and_cluster_are_told_and_on_a_404_the_virtual_host_alone() -> Result {
    let paths = ["virtual_host_name", "route_name", "cluster_name", "route_metadata"];
    let script: String = paths.iter().map(|path| format!("log shape xds.{path}\n")).collect();
    let told = |path: &str| -> std::result::Result<Vec<String>, Error> {
        let out = one(&script, Request::get(path))?;
        Ok(paths.iter().flat_map(|path| results(&out.logs, &format!("log shape xds.{path}"))).collect())
    };
    assert_eq!(told("/web")?[..3], ["0 3 bytes", "0 5 bytes", "0 3 bytes"]);
    assert_eq!(told("/lost")?, ["0 3 bytes", "0 4 bytes", "1 0 bytes", "0 0 bytes"]);
    assert_eq!(told("/none")?, ["0 3 bytes", "1 0 bytes", "1 0 bytes", "1 0 bytes"]);
    Ok(())
}

#[test]
fn metadata_is_found_by_namespace_and_path() -> Result {
    let reads = [
        ("xds.route_metadata.filter_metadata.team.size", "0 0000000000000840"),
        (
            "xds.route_metadata.filter_metadata.team.list",
            "0 0200000008000000000000000100000000000000000000000000f03f0000780000",
        ),
        ("xds.cluster_metadata.filter_metadata.owner.name", "0 73686f70"),
        ("xds.cluster_metadata.filter_metadata.owner.nothing", "3 "),
        ("xds.cluster_metadata.filter_metadata.owner", "3 "),
        ("xds.cluster_metadata.filter_metadata", "3 "),
        ("xds.cluster_metadata.filter_metadata.none", "1 "),
    ];
    let script: String = reads.iter().map(|(path, _)| format!("request_headers hexprop {path}\n")).collect();
    let out = one(&script, Request::get("/web"))?;
    for (path, wanted) in reads {
        assert_eq!(results(&out.logs, &format!("request_headers hexprop {path}")), [wanted], "{path}");
    }
    Ok(())
}

#[test]
fn a_changed_path_is_another_route() -> Result {
    let script = "request_headers prop xds.route_name\nrequest_headers set 0 :path /web\nrequest_headers prop xds.route_name";
    let out = one(script, Request::get("/none"))?;
    assert_eq!(results(&out.logs, "request_headers prop xds.route_name"), [r#"1 """#, r#"0 "plain""#]);
    assert_eq!(out.client.text(), "web");
    Ok(())
}

#[test]
fn root_contexts_know_the_node() -> Result {
    let node = Node {
        id: "one".into(),
        cluster: "all".into(),
        locality: ["r".into(), "z".into(), String::new()],
        metadata: json!({ "on": true }),
    };
    let reads = [
        ("id", r#"0 "one""#),
        ("cluster", r#"0 "all""#),
        ("locality.zone", r#"0 "z""#),
        ("metadata.on", "0 \"\\u{1}\""),
    ];
    let script: String = reads.iter().map(|(path, _)| format!("configure prop xds.node.{path}\n")).collect();
    let proxy = with_probe(&script).node(node).upstream("web", Upstream::respond(200)).build()?;
    for (path, wanted) in reads {
        let logs = proxy.logs();
        assert_eq!(
            results(&logs, &format!("configure prop xds.node.{path}")).first(),
            Some(&wanted.to_owned()),
            "{path}"
        );
    }
    Ok(())
}
