//! What `render istio` writes, and what it refuses.

mod support;

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use support::IMAGE;
use tempfile::TempDir;

const POLICY: &str = r#"
version: 1
gateway: { name: shop, listen: "0.0.0.0:8080" }
path_prefix: /api
client_ip: { trusted_proxies: [10.0.0.0/8] }
services:
  order_history: { address: "orders.shop.svc:8002", connect_timeout: 2s }
  partner: { address: "partner.example:80" }
  local: { address: "10.1.2.3:9000" }
clusters:
  idp: { address: "idp.example:443", tls: true }
jwt:
  providers:
    people:
      issuer: https://idp.example
      algorithms: [RS256]
      fetch: { jwks_uri: "https://idp.example/keys", cluster: idp }
    tills:
      secrets: [{ alg: HS256, value: "${ENV:TILL_SECRET}" }]
routes:
  - { path: /orders, methods: [GET, POST], service: order_history, upstream_path: /orders/, auth: { providers: [people, tills] } }
  - { path: "/orders/{id}", methods: [GET], service: order_history, timeout: 500ms, auth: { providers: [people, tills] } }
  - { path: /partner, methods: [GET], service: partner, auth: { token: none } }
  - { path: /local, methods: [GET], service: local, auth: { token: none } }
cors: { origins: ["https://shop.example", "https://*.shop.example"], expose_headers: [x-a, x-b] }
metrics: { path: /metrics }
"#;

struct Run {
    folder: TempDir,
    output: Output,
}

/// Renders `policy` with `arguments` behind the usual ones.
fn render(policy: &str, arguments: &[&str]) -> Run {
    let (folder, output) = support::render("istio", policy, arguments);
    Run { folder, output }
}

impl Run {
    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// The objects in a file.
    #[track_caller]
    fn objects(&self, file: &str) -> Vec<Value> {
        assert!(self.output.status.success(), "{}", self.complaint());
        support::objects(self.folder.path(), file)
    }

    #[track_caller]
    fn object(&self, file: &str, kind: &str, name: &str) -> Value {
        let objects = self.objects(file);
        let found = objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {objects:#?}")).clone()
    }

    fn complaint(&self) -> String {
        support::complaint(&self.output)
    }

    /// What it says; nothing is written.
    #[track_caller]
    fn refused(&self) -> String {
        assert_ne!(self.output.status.code(), Some(0));
        assert!(!self.out().exists(), "files were written all the same");
        self.complaint()
    }
}

#[test]
fn the_plugin_has_a_scheme_a_digest_ports_and_no_secret() {
    let run = render(POLICY, &["--namespace", "edge", "--pull-secret", "registry"]);
    let spec = run.object("plugin.yaml", "WasmPlugin", "shop")["spec"].clone();
    assert_eq!(spec["url"], format!("oci://{IMAGE}"));
    assert_eq!((&spec["phase"], &spec["failStrategy"]), (&"AUTHN".into(), &"FAIL_RELOAD".into()));
    assert_eq!(spec["pluginName"], "shop");
    assert_eq!(spec["imagePullSecret"], "registry");
    assert_eq!(spec["match"], serde_json::json!([{ "ports": [{ "number": 8080 }] }]));
    assert_eq!(spec["selector"]["matchLabels"]["app"], "shop");
    assert_eq!(spec["vmConfig"]["env"], serde_json::json!([{ "name": "TILL_SECRET", "valueFrom": "HOST" }]));
    assert_eq!(spec["pluginConfig"]["proxy"], serde_json::json!({ "appends_peer": true }));
}

#[test]
fn clusters_that_the_filter_calls_have_the_names_that_istio_gives_them() {
    let config =
        render(POLICY, &[]).object("plugin.yaml", "WasmPlugin", "shop")["spec"]["pluginConfig"].clone();
    let name = "outbound|443||idp.example";
    assert_eq!(config["jwt"]["providers"]["people"]["fetch"]["cluster"], name);
    assert_eq!(config["clusters"][name]["address"], "idp.example:443");
    assert!(config["clusters"].get("idp").is_none(), "{}", config["clusters"]);
    assert!(config["services"]["order_history"].is_object(), "metrics have the services' own names");
}

#[test]
fn the_policy_in_the_plugin_is_sound() {
    let run = render(POLICY, &[]);
    let config = run.object("plugin.yaml", "WasmPlugin", "shop")["spec"]["pluginConfig"].clone();
    std::fs::write(run.folder.path().join("again.json"), config.to_string()).expect("it can be written");
    let mut check = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output =
        check.current_dir(run.folder.path()).args(["check", "again.json"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn kubernetes_services_are_named_and_everything_else_is_told_to_the_mesh() {
    let run = render(POLICY, &[]);
    let objects = run.objects("services.yaml");
    let entries: Vec<_> =
        objects.iter().filter(|o| o["kind"] == "ServiceEntry").map(|o| &o["spec"]["hosts"][0]).collect();
    assert_eq!(entries, ["local.shop.portcullis.internal", "partner.example", "idp.example"]);
    let rule = run.object("services.yaml", "DestinationRule", "order-history")["spec"].clone();
    assert_eq!(rule["host"], "orders.shop.svc.cluster.local");
    assert_eq!(rule["trafficPolicy"]["connectionPool"]["tcp"]["connectTimeout"], "2s");
    let local = run.object("services.yaml", "ServiceEntry", "local")["spec"].clone();
    assert_eq!(local["resolution"], "STATIC");
    assert_eq!(local["endpoints"], serde_json::json!([{ "address": "10.1.2.3", "ports": { "http": 9000 } }]));
}

#[test]
fn tls_to_a_cluster_verifies_its_name() {
    let rule = render(POLICY, &[]).object("services.yaml", "DestinationRule", "idp")["spec"].clone();
    let tls = &rule["trafficPolicy"]["tls"];
    assert_eq!((&tls["mode"], &tls["sni"]), (&"SIMPLE".into(), &"idp.example".into()));
    assert_eq!(tls["subjectAltNames"], serde_json::json!(["idp.example"]));
    assert!(tls["caCertificates"].as_str().is_some_and(|file| !file.is_empty()), "{tls}");
}

#[test]
fn a_service_can_be_elsewhere_than_the_policy_says() {
    let run = render(POLICY, &["--service", "local=local.shop.svc:80"]);
    let rule = run.object("services.yaml", "DestinationRule", "local")["spec"].clone();
    assert_eq!(rule["host"], "local.shop.svc.cluster.local");
    let unknown = render(POLICY, &["--service", "lokal=a.b.svc:80"]).refused();
    assert!(unknown.contains("no `lokal`") && unknown.contains("did you mean `local`"), "{unknown}");
}

#[test]
fn every_route_has_a_rule_without_retries_and_no_empty_rewrite() {
    let rules = render(POLICY, &[]).object("routes.yaml", "VirtualService", "shop")["spec"]["http"].clone();
    let rules = rules.as_array().expect("a list");
    assert_eq!(rules.len(), 4);
    for rule in rules {
        assert_eq!(rule["retries"]["attempts"], 0, "Istio's default is two");
        assert_ne!(rule["rewrite"]["uriRegexRewrite"]["rewrite"], "", "Istio refuses it");
    }
    let of = |path: &str| {
        rules.iter().find(|rule| rule["match"][0]["uri"].to_string().contains(path)).expect(path)
    };
    assert_eq!(of("\"/api/orders\"")["rewrite"], serde_json::json!({ "uri": "/orders/" }));
    assert_eq!(of("\"/api/orders\"")["match"][0]["method"], serde_json::json!({ "regex": "GET|POST|HEAD" }));
    assert_eq!(of("[^/]+")["timeout"], "0.5s");
    assert_eq!(
        of("[^/]+")["rewrite"]["uriRegexRewrite"],
        serde_json::json!({ "match": "^/api(/.*)", "rewrite": "\\1" })
    );
    assert_eq!(of("partner")["corsPolicy"]["exposeHeaders"], serde_json::json!(["x-a", "x-b"]));
    assert_eq!(of("partner")["route"][0]["destination"]["host"], "partner.example");
}

#[test]
fn the_pods_have_the_labels_and_settings_that_the_metrics_and_addresses_need() {
    let deployment = render(POLICY, &[]).object("proxies.yaml", "Deployment", "shop");
    let template = &deployment["spec"]["template"];
    let annotation =
        template["metadata"]["annotations"]["proxy.istio.io/config"].as_str().expect("it is there");
    let config: Value = serde_saphyr::from_str(annotation).expect("YAML");
    assert_eq!(config["gatewayTopology"]["numTrustedProxies"], 1);
    assert!(config.get("extraStatTags").is_none(), "Istio would find `type` in `error_type`: {config}");
    assert_eq!(config["connectionSettings"]["httpMergeSlashes"], true);
    assert!(config["connectionSettings"].get("httpPathWithEscapedSlashesAction").is_none(), "{config}");
    let env = &template["spec"]["containers"][0]["env"][0];
    assert_eq!(
        (&env["name"], &env["valueFrom"]["secretKeyRef"]["key"]),
        (&"TILL_SECRET".into(), &"TILL_SECRET".into())
    );
}

#[test]
fn the_bootstrap_of_the_pods_has_a_rule_for_each_label() {
    let run = render(POLICY, &[]);
    let template = run.object("proxies.yaml", "Deployment", "shop")["spec"]["template"].clone();
    assert_eq!(template["metadata"]["annotations"]["sidecar.istio.io/bootstrapOverride"], "shop-bootstrap");
    let map = run.object("bootstrap.yaml", "ConfigMap", "shop-bootstrap");
    let added = map["data"]["custom_bootstrap.json"].as_str().expect("the name that the injector looks for");
    let added: Value = serde_json::from_str(added).expect("JSON");
    let tags = added["stats_config"]["stats_tags"].as_array().expect("rules");
    let names: Vec<_> = tags.iter().filter_map(|tag| tag["tag_name"].as_str()).collect();
    assert_eq!(names, portcullis_pipeline::labels().into_iter().collect::<Vec<_>>());
    assert!(run.objects("kustomization.yaml")[0]["resources"].to_string().contains("bootstrap.yaml"));
}

#[test]
fn each_histogram_has_a_rule_that_makes_seconds_of_its_sum() {
    let groups = render(POLICY, &[]).objects("recording-rules.yaml").remove(0);
    let rules = groups["groups"][0]["rules"].as_array().expect("rules").clone();
    let expected = serde_json::json!({
        "record": "order_history_request_latency_seconds_sum", "expr": "order_history_request_latency_microseconds_sum / 1e6",
    });
    assert!(rules.contains(&expected), "{rules:#?}");
    let is_one = |rule: &Value| rule["record"].as_str().is_some_and(|name| name.ends_with("_seconds_sum"));
    assert!(rules.iter().all(is_one), "{rules:#?}");
}

#[test]
fn pods_that_are_there_already_get_a_patch_and_no_deployment() {
    let run = render(POLICY, &["--selector", "istio=ingressgateway,app=edge"]);
    let plugin = run.object("plugin.yaml", "WasmPlugin", "shop");
    let expected = serde_json::json!({ "istio": "ingressgateway", "app": "edge" });
    let labels = plugin["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    assert_eq!(labels.len(), 2);
    assert!(labels.iter().all(|(key, value)| expected[key] == *value), "{labels:?}");
    assert!(!run.out().join("proxies.yaml").exists());
    let resources = run.objects("kustomization.yaml")[0]["resources"].clone();
    assert!(!resources.to_string().contains("pod-patch"), "{resources}");
    let annotations = run.objects("pod-patch.yaml")[0]["spec"]["template"]["metadata"]["annotations"].clone();
    for name in ["proxy.istio.io/config", "sidecar.istio.io/bootstrapOverride"] {
        assert!(annotations[name].is_string(), "{annotations}");
    }
}

/// Only services are one for both: an object of one name would have the plugin stand at one of them alone.
#[test]
fn two_gateways_in_one_namespace_do_not_take_objects_from_each_other() {
    let of = |gateway: &str| -> Vec<String> {
        let run = render(POLICY, &["--gateway", gateway]);
        let files = run.objects("kustomization.yaml")[0]["resources"].clone();
        let files = files.as_array().expect("a list").iter().filter_map(Value::as_str);
        let objects = files.filter(|file| *file != "services.yaml").flat_map(|file| run.objects(file));
        objects.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
    };
    let (one, other) = (of("inner"), of("outer"));
    assert!(one.len() > 8, "{one:?}");
    let shared: Vec<_> = one.iter().filter(|name| other.contains(name)).collect();
    assert!(shared.is_empty(), "{shared:?}");
}

#[test]
fn two_instances_of_one_gateway_have_a_plugin_each_and_the_one_that_takes_findings_stands_behind() {
    const FINDINGS: &str = "findings: { secrets: [a-secret-of-two-instances-32-bytes-long], from: edge }\n";
    let of = |instance: &str, more: &str| {
        let named = POLICY.replace("name: shop", &format!("name: shop, instance: {instance}"));
        render(&[&named, more].concat(), &[])
    };
    let first = of("edge", "").object("plugin.yaml", "WasmPlugin", "shop-edge");
    let behind = of("limits_2", FINDINGS).object("plugin.yaml", "WasmPlugin", "shop-limits-2");
    assert_eq!(
        (first["spec"]["phase"].clone(), behind["spec"]["phase"].clone()),
        ("AUTHN".into(), "AUTHN".into())
    );
    assert!(first["spec"]["priority"].as_i64() > behind["spec"]["priority"].as_i64());
}

#[test]
fn each_fail_strategy_has_its_word() {
    for (argument, word) in [("close", "FAIL_CLOSE"), ("open", "FAIL_OPEN"), ("reload", "FAIL_RELOAD")] {
        let run = render(POLICY, &["--fail-strategy", argument]);
        assert_eq!(run.object("plugin.yaml", "WasmPlugin", "shop")["spec"]["failStrategy"], word);
    }
}

#[test]
fn names_that_kubernetes_does_not_take_are_refused_where_they_stand() {
    let complaint = render(&POLICY.replace("name: shop", "name: Our Shop"), &[]).refused();
    assert!(complaint.contains("gateway.name") && complaint.contains("Our Shop"), "{complaint}");
    let long = "a".repeat(64);
    let complaint = render(&POLICY.replace("order_history", &long), &[]).refused();
    assert!(complaint.contains(&format!("services.{long}")), "{complaint}");
    assert!(render(POLICY, &["--namespace", "Edge"]).refused().contains("a Kubernetes name"));
    assert!(render(POLICY, &["--selector", "a b=c"]).refused().contains("no label"));
}

#[test]
fn an_image_without_a_digest_is_refused() {
    let complaint = render(POLICY, &["--image", "registry.example/portcullis:v1"]).refused();
    assert!(complaint.contains("a tag may be moved"), "{complaint}");
}

#[test]
fn a_policy_that_is_not_sound_is_not_rendered() {
    let complaint = render(&POLICY.replace("service: partner", "service: partnr"), &[]).refused();
    assert!(complaint.contains("did you mean `partner`"), "{complaint}");
}
