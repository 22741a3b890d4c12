//! What `render envoy-gateway` writes, and what it refuses.

mod support;

use serde_json::{Value, json};
use support::{IMAGE, objects};
use tempfile::TempDir;

/// Renders the example, its text changed; the folder, and what was complained of if it was refused.
fn render(change: impl FnOnce(String) -> String, arguments: &[&str]) -> (TempDir, Option<String>) {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway.yaml");
    let text = change(std::fs::read_to_string(example).expect("the example"));
    let (folder, output) = support::render("envoy-gateway", &text, arguments);
    (folder, (!output.status.success()).then(|| support::complaint(&output)))
}

#[track_caller]
fn example(file: &str) -> Vec<Value> {
    let (folder, complaint) = render(|text| text, &[]);
    assert_eq!(complaint, None);
    objects(folder.path(), file)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_filter_is_on_the_whole_gateway_and_comes_back_after_a_trap() {
    let plugin = example("plugin.yaml");
    let policy = of_kind(&plugin, "EnvoyExtensionPolicy")[0];
    assert_eq!(policy["spec"]["targetRefs"][0]["kind"], "Gateway");
    let wasm = &policy["spec"]["wasm"][0];
    assert_eq!((&wasm["code"]["image"]["url"], &wasm["failOpen"]), (&IMAGE.into(), &false.into()));
    assert_eq!(wasm["env"]["hostKeys"], json!(["JWT_SECRET"]));
    assert_eq!(wasm["config"]["proxy"], json!({ "appends_peer": true }));
    let patch = &of_kind(&plugin, "EnvoyPatchPolicy")[0]["spec"]["jsonPatches"][0]["operation"];
    assert_eq!((&patch["path"], &patch["value"]), (&"/failure_policy".into(), &"FAIL_RELOAD".into()));
}

#[test]
fn no_http_route_has_more_rules_than_the_api_takes_and_the_last_one_catches_everything() {
    let routes = example("routes.yaml");
    let routes = of_kind(&routes, "HTTPRoute");
    let rules: Vec<_> =
        routes.iter().flat_map(|route| route["spec"]["rules"].as_array().expect("rules")).collect();
    assert!(
        routes.iter().all(|route| route["spec"]["rules"].as_array().is_some_and(|rules| rules.len() <= 16))
    );
    assert_eq!(rules.len(), 18, "17 routes, and one for what has none");
    assert_eq!(rules[17]["matches"], json!([{ "path": { "type": "PathPrefix", "value": "/" } }]));
    let mut names: Vec<_> = routes.iter().map(|route| route["metadata"]["name"].to_string()).collect();
    let given = names.clone();
    names.sort();
    assert_eq!(names, given, "Envoy Gateway takes them in the order of their names");
}

#[test]
fn each_method_is_a_match_and_the_prefix_is_cut_off() {
    let routes = example("routes.yaml");
    let rules = of_kind(&routes, "HTTPRoute")[0]["spec"]["rules"].as_array().expect("rules").clone();
    let profile =
        rules.iter().find(|rule| rule["matches"][0]["path"]["value"] == "/api/v1/auth/profile").expect("it");
    assert_eq!(
        profile["matches"].as_array().map(Vec::len),
        Some(3),
        "GET, PUT and HEAD, which follows from GET"
    );
    let filter = profile["filters"][0]["extensionRef"]["name"].as_str().expect("a filter");
    let filters = of_kind(&routes, "HTTPRouteFilter");
    let rewrite = filters.iter().find(|object| object["metadata"]["name"] == filter).expect("it");
    let replace = &rewrite["spec"]["urlRewrite"]["path"]["replaceRegexMatch"];
    assert_eq!((&replace["pattern"], &replace["substitution"]), (&"^/api/v1(/.*)".into(), &"\\1".into()));
    assert_eq!(filters.len(), 2, "one rewrite for all, and the answer of what has no route");
}

#[test]
fn defaults_that_would_answer_before_the_filter_are_changed() {
    let traffic = example("traffic.yaml");
    let client = &of_kind(&traffic, "ClientTrafficPolicy")[0]["spec"];
    assert_eq!(client["path"]["escapedSlashesAction"], "KeepUnchanged");
    assert_eq!(client["headers"]["withUnderscoresAction"], "Allow");
    assert_eq!(client["timeout"]["http"]["requestHeadersReceivedTimeout"], "10s");
    let cors = &of_kind(&traffic, "SecurityPolicy")[0]["spec"]["cors"];
    assert_eq!(cors["allowOrigins"], json!(["http://localhost:3000", "https://*.order-processor.example"]));
}

#[test]
fn the_proxies_have_the_filter_first_the_order_of_routes_and_the_labels_of_the_metrics() {
    let proxy = &example("proxy.yaml")[0]["spec"];
    assert_eq!(proxy["filterOrder"][0]["before"], "envoy.filters.http.cors");
    assert_eq!(proxy["preserveRouteOrder"], true);
    let bootstrap: Value =
        serde_saphyr::from_str(proxy["bootstrap"]["value"].as_str().expect("text")).expect("YAML");
    let tags = bootstrap["stats_config"]["stats_tags"].as_array().map(Vec::len);
    assert_eq!(tags, Some(portcullis_pipeline::labels().len()));
    let settings = proxy["telemetry"]["accessLog"]["settings"].as_array().expect("a list");
    for setting in &settings[1..] {
        let text = setting["format"]["text"].as_str().expect("text").replace("%DURATION%", "1");
        let line: Value = serde_json::from_str(&text).expect("a line of JSON");
        assert_eq!((&line["action"], &line["duration_ms"]), (&"request".into(), &1.into()));
    }
}

#[test]
fn what_envoy_gateway_has_no_field_for_is_refused_where_it_stands() {
    let slow = |text: String| text.replace("timeout: 30s }", "timeout: 30s, connect_timeout: 7s }");
    let complaint = render(slow, &[]).1.expect("it is refused");
    assert!(
        complaint.contains("services.insights") && complaint.contains("connect_timeout: 7000ms"),
        "{complaint}"
    );
}

#[test]
fn a_filter_that_must_not_come_back_has_no_patch_for_it() {
    for (strategy, open) in [("close", false), ("open", true)] {
        let (folder, complaint) = render(|text| text, &["--fail-strategy", strategy]);
        assert_eq!(complaint, None);
        let plugin = objects(folder.path(), "plugin.yaml");
        let patches = of_kind(&plugin, "EnvoyPatchPolicy")[0]["spec"]["jsonPatches"].clone();
        let paths: Vec<_> =
            patches.as_array().expect("a list").iter().map(|patch| &patch["operation"]["path"]).collect();
        assert_eq!(paths, ["/local_reply_config"]);
        assert_eq!(of_kind(&plugin, "EnvoyExtensionPolicy")[0]["spec"]["wasm"][0]["failOpen"], open);
    }
}
