//! What `render istio --api gateway` writes, and what it refuses.

mod support;

use serde_json::{Value, json};
use support::objects;
use tempfile::TempDir;

const HEADER: &str = "x-portcullis-service";
/// A service of which one route is treated otherwise, one with paths of its own, and one that a host of its own has.
const POLICY: &str = r#"
version: 1
gateway: { name: shop, listen: "0.0.0.0:8080" }
path_prefix: /api
services:
  order_history:
    address: "orders.shop.svc:8002"
    retry: { attempts: 2, methods: [GET], on: [connect_failure, 5xx], per_try_timeout: 2s }
  local: { address: "10.1.2.3:9000", load_balancing: { policy: maglev, hash_on: { header: X-Key } }, retry: { attempts: 1, methods: [GET], on: [reset] } }
  chat: { address: "chat.example:80", timeout: 0s, idle_timeout: 1h }
routes:
  - { path: /orders, methods: [GET], service: order_history }
  - { path: /orders, methods: [POST], service: order_history, timeout: 500ms }
  - { path: "/orders/{id}", methods: [GET], service: order_history }
  - { path: /old, methods: [GET], service: order_history, upstream_path: /older/ }
  - { path: /local, methods: [GET], service: local }
  - { path: /chat, methods: [GET], service: chat, hosts: ["chat.example", "*.chat.example"] }
cors: { origins: ["https://shop.example", "https://*.shop.example"], expose_headers: [x-a] }
"#;

/// The folder, and what was complained of if it was refused.
fn render(policy: &str, arguments: &[&str]) -> (TempDir, Option<String>) {
    let arguments = [&["--api", "gateway"], arguments].concat();
    let (folder, output) = support::render("istio", policy, &arguments);
    (folder, (!output.status.success()).then(|| support::complaint(&output)))
}

#[track_caller]
fn rendered(file: &str) -> Vec<Value> {
    let (folder, complaint) = render(POLICY, &[]);
    assert_eq!(complaint, None);
    objects(folder.path(), file)
}

#[track_caller]
fn one<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {objects:#?}"))
}

/// The rules of the default host.
#[track_caller]
fn rules() -> Vec<Value> {
    let objects = rendered("routes.yaml");
    one(&objects, "HTTPRoute", "shop-1-0")["spec"]["rules"].as_array().expect("a list").clone()
}

fn by(service: &str) -> Value {
    json!([{ "name": HEADER, "value": service }])
}

#[test]
fn the_gateway_is_bound_to_the_service_of_its_pods_which_istio_does_not_deploy() {
    let (folder, complaint) = render(POLICY, &["--namespace", "edge"]);
    assert_eq!(complaint, None);
    let routes = objects(folder.path(), "routes.yaml");
    let gateway = one(&routes, "Gateway", "shop");
    assert_eq!(gateway["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(gateway["spec"]["gatewayClassName"], "istio");
    assert_eq!(gateway["spec"]["addresses"], json!([{ "type": "Hostname", "value": "shop" }]));
    assert_eq!(gateway["spec"]["listeners"][0]["port"], 8080);
    let proxies = objects(folder.path(), "proxies.yaml");
    assert_eq!(one(&proxies, "Service", "shop")["metadata"]["namespace"], "edge");
    let template = &one(&proxies, "Deployment", "shop")["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"], "shop");
    assert!(!routes.iter().any(|object| object["kind"] == "VirtualService"), "{routes:#?}");
}

#[test]
fn everything_that_is_for_the_gateway_names_it_and_the_filter_is_told_of_the_header() {
    let target = json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "shop" }]);
    let (folder, complaint) = render(POLICY, &[]);
    assert_eq!(complaint, None);
    for file in ["plugin.yaml", "telemetry.yaml", "envoy-filter.yaml"] {
        for object in objects(folder.path(), file) {
            assert_eq!(object["spec"]["targetRefs"], target, "{file}");
            assert!(
                object["spec"].get("selector").is_none() && object["spec"].get("workloadSelector").is_none()
            );
        }
    }
    let plugin = &objects(folder.path(), "plugin.yaml")[0];
    assert_eq!(
        plugin["spec"]["pluginConfig"]["proxy"],
        json!({ "appends_peer": true, "service_header": HEADER })
    );
}

#[test]
fn one_rule_stands_for_all_routes_of_a_service_that_are_treated_alike() {
    let rules = rules();
    assert_eq!(rules.len(), 4, "two services, and two routes that are treated otherwise: {rules:#?}");
    let rule = &rules[1];
    assert_eq!(rule["name"], "1-1", "routes without parameters come first: that to `local` is one");
    assert_eq!(
        rule["matches"],
        json!([{ "path": { "type": "PathPrefix", "value": "/api" }, "headers": by("order_history") }])
    );
    assert_eq!(
        rule["filters"],
        json!([
            { "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": [HEADER] } },
            { "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } } },
            { "type": "CORS", "cors": {
                "allowOrigins": ["https://shop.example", "https://*.shop.example"],
                "allowCredentials": false,
                "exposeHeaders": ["x-a"],
            } },
        ])
    );
    assert_eq!(rule["timeouts"], json!({ "request": "15s" }));
    let backend = json!({ "kind": "Service", "name": "orders", "namespace": "shop", "port": 8002 });
    assert_eq!(rule["backendRefs"], json!([backend]));
    assert_eq!(rules[0]["matches"][0]["headers"], by("local"));
    let local = json!({ "group": "networking.istio.io", "kind": "Hostname", "name": "local.shop.portcullis.internal", "port": 9000 });
    assert_eq!(rules[0]["backendRefs"], json!([local]), "it is no service of Kubernetes");
}

#[test]
fn services_of_another_namespace_grant_that_they_are_referred_to() {
    let grant = |namespace: &str| {
        let (folder, complaint) = render(POLICY, &["--namespace", namespace]);
        assert_eq!(complaint, None);
        let grants = objects(folder.path(), "routes.yaml").into_iter();
        grants.filter(|object| object["kind"] == "ReferenceGrant").collect::<Vec<_>>()
    };
    let grants = grant("edge");
    assert_eq!(grants.len(), 1, "{grants:#?}");
    assert_eq!(grants[0]["metadata"], json!({ "name": "edge-shop", "namespace": "shop" }));
    let from = json!([{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge" }]);
    assert_eq!(grants[0]["spec"]["from"], from);
    assert_eq!(grants[0]["spec"]["to"], json!([{ "group": "", "kind": "Service", "name": "orders" }]));
    assert!(grant("shop").is_empty(), "the services' own namespace needs none");
}

#[test]
fn a_path_that_is_treated_otherwise_has_a_rule_of_its_own_for_its_methods() {
    let rules = rules();
    let exact = |path: &str, method: &str| json!({ "path": { "type": "Exact", "value": path }, "headers": by("order_history"), "method": method });
    let find =
        |path: &str| rules.iter().find(|rule| rule["matches"][0]["path"]["value"] == path).expect("it");
    let posted = find("/api/orders");
    assert_eq!(posted["matches"], json!([exact("/api/orders", "POST")]), "GET goes with the others");
    assert_eq!(find("/api/orders")["timeouts"], json!({ "request": "500ms" }));
    let full = |rule: &Value| rule["filters"][1]["urlRewrite"]["path"]["replaceFullPath"].clone();
    assert_eq!(full(find("/api/orders")), "/orders");
    let old = ["GET", "HEAD"].map(|method| exact("/api/old", method));
    assert_eq!(find("/api/old")["matches"], json!(old), "one match for each method");
    assert_eq!(full(find("/api/old")), "/older/");
}

#[test]
fn a_host_has_routes_of_its_own() {
    let objects = rendered("routes.yaml");
    let chat = &one(&objects, "HTTPRoute", "shop-0-0")["spec"];
    assert_eq!(chat["hostnames"], json!(["chat.example", "*.chat.example"]));
    assert_eq!(chat["rules"][0]["timeouts"], json!({ "request": "0s" }), "without an end");
    assert!(one(&objects, "HTTPRoute", "shop-1-0")["spec"].get("hostnames").is_none());
}

/// Istio gives every route of an HTTPRoute two retries, which its field for them is too new to take back.
#[test]
fn retries_idle_time_outs_and_upgrades_are_patched_rule_by_rule() {
    let filters = rendered("envoy-filter.yaml");
    let patches = one(&filters, "EnvoyFilter", "shop-routes")["spec"]["configPatches"].clone();
    let of = |name: &str| {
        let all = patches.as_array().expect("a list");
        let found =
            all.iter().find(|patch| patch["match"]["routeConfiguration"]["vhost"]["route"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {patches:#}"))["patch"]["value"]["route"].clone()
    };
    let never = json!({ "retriable_request_headers": [{ "name": ":method", "present_match": false }] });
    let refused = json!([{ "upgrade_type": "websocket", "enabled": false }]);
    assert_eq!(
        of("0-0"),
        json!({ "idle_timeout": "3600s", "retry_policy": never, "upgrade_configs": refused })
    );
    let retry = of("1-1")["retry_policy"].clone();
    assert_eq!(retry["retry_on"], "connect-failure,5xx");
    assert_eq!((&retry["num_retries"], &retry["per_try_timeout"]), (&2.into(), &"2s".into()));
    let get = json!([{ "name": ":method", "string_match": { "exact": "GET" } }]);
    assert_eq!(retry["retriable_request_headers"], get);
    assert!(retry.get("retry_host_predicate").is_none(), "Istio has it already: {retry}");
    let hashed = of("1-0")["retry_policy"].clone();
    assert!(
        hashed.get("retry_host_predicate").is_some(),
        "Istio leaves it out of routes that hash: {hashed}"
    );
}

/// Envoy decides by a request's first route whether it may become a WebSocket.
#[test]
fn a_request_whose_service_nobody_has_named_is_led_nowhere_and_is_not_upgraded() {
    let filters = rendered("envoy-filter.yaml");
    let patches = one(&filters, "EnvoyFilter", "shop-routes")["spec"]["configPatches"].clone();
    let last = patches.as_array().and_then(|patches| patches.last()).expect("a patch");
    assert_eq!(last["patch"]["operation"], "INSERT_AFTER", "of no route: at the end");
    let route = &last["patch"]["value"];
    assert_eq!(
        (&route["match"], &route["route"]["cluster"]),
        (&json!({ "prefix": "/" }), &"portcullis-no-service".into())
    );
    assert_eq!(route["route"]["cluster_not_found_response_code"], "NOT_FOUND");
    assert_eq!(route["route"]["upgrade_configs"], json!([{ "upgrade_type": "websocket", "enabled": false }]));
}

#[test]
fn pods_that_are_there_already_get_a_label_and_a_service() {
    let (folder, complaint) = render(POLICY, &["--selector", "istio=ingress"]);
    assert_eq!(complaint, None);
    let patch = &objects(folder.path(), "pod-patch.yaml")[0]["spec"]["template"]["metadata"];
    assert_eq!(patch["labels"], json!({ "gateway.networking.k8s.io/gateway-name": "shop" }));
    let service = &objects(folder.path(), "service.yaml")[0];
    assert_eq!(
        (&service["metadata"]["name"], &service["spec"]["selector"]),
        (&"shop".into(), &json!({ "istio": "ingress" }))
    );
    let applied = &objects(folder.path(), "kustomization.yaml")[0]["resources"];
    assert!(applied.as_array().is_some_and(|files| files.contains(&"service.yaml".into())), "{applied}");
}

#[test]
fn what_the_gateway_api_has_no_field_for_is_refused_where_it_stands() {
    let refused = |from: &str, to: &str, words: &[&str]| {
        assert!(POLICY.contains(from), "{from}");
        let complaint = render(&POLICY.replace(from, to), &[]).1.expect("it is refused");
        words.iter().for_each(|word| assert!(complaint.contains(word), "{word}: {complaint}"));
    };
    let tls = r#"8080", tls: { certificates: [{ certificate_file: /a.crt, key_file: /a.key }] }"#;
    refused(r#"8080""#, tls, &["gateway.tls", "certificates in files", "--api istio"]);
    let slow = r#""/orders/{id}", methods: [GET], timeout: 9s, service: order_history }
  - { path: "/carts/{id}", methods: [GET]"#;
    refused(r#""/orders/{id}", methods: [GET]"#, slow, &["routes: ", "`timeout` of `/api/", "order_history"]);
    let socket = r#""*.chat.example"], upgrades: [websocket] }"#;
    refused(r#""*.chat.example"] }"#, socket, &["routes[5].upgrades"]);
    let upstream = r#""/orders/{id}", methods: [GET], upstream_path: "/o/{id}""#;
    refused(r#""/orders/{id}", methods: [GET]"#, upstream, &["`upstream_path` of `/api/orders/"]);
    refused("*.chat.example", "chat_room.example", &["the host `chat_room.example`"]);
    refused("https://*.shop.example", "http://localhost:*", &["cors.origins"]);
    let taken = "cors: {";
    refused(
        taken,
        "trust_headers: { set: { X-Portcullis-Service: a } }\ncors: {",
        &["trust_headers", HEADER],
    );
}

/// Without the filter nobody names a service.
#[test]
fn a_gateway_that_serves_without_the_filter_cannot_be_had() {
    let complaint = render(POLICY, &["--fail-strategy", "open"]).1.expect("it is refused");
    assert!(complaint.contains("--fail-strategy open"), "{complaint}");
}
