//! What `render istio --sidecar` writes for the filter in front of a backend, and what it refuses.

use portcullis_cli::render::istio::{self, Options, Target};
use portcullis_cli::render::kubernetes::File;
use portcullis_cli::source::Source;
use portcullis_policy::{Policy, Variable};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

const IMAGE: &str =
    "registry.example/portcullis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POLICY: &str = include_str!("backend.yaml");

fn files(text: &str) -> Result<Vec<File>, String> {
    let source = Source::parse(text.to_owned()).expect("YAML");
    let policy = Policy::from_value_with(&source.value, &|_| Variable::Elsewhere);
    let policy = policy.unwrap_or_else(|errors| panic!("{errors:#?}"));
    let image = IMAGE.parse().expect("an image");
    let mut options = Options::new(&policy, image, "shop", None).expect("a name");
    options.target = Target::Sidecar(BTreeMap::from([("app".to_owned(), "order".to_owned())]));
    options.deploys = false;
    istio::render(&source.value, &policy, &options)
        .map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect())
}

fn objects() -> Vec<Value> {
    let files = files(POLICY).unwrap_or_else(|error| panic!("{error}"));
    files.into_iter().flat_map(|file| file.objects).collect()
}

#[track_caller]
fn object(kind: &str, name: &str) -> Value {
    let objects = objects();
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {objects:#?}")).clone()
}

/// What is said against the policy with a piece of its text replaced.
#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(POLICY.contains(from), "`{from}` stands in the policy");
    files(&POLICY.replace(from, to)).expect_err("it is refused")
}

#[test]
fn the_plugin_stands_on_what_comes_in_to_the_services_port_of_the_selected_pods() {
    let spec = object("WasmPlugin", "order")["spec"].clone();
    assert_eq!(spec["selector"]["matchLabels"], json!({ "app": "order" }));
    assert_eq!(spec["match"], json!([{ "mode": "SERVER", "ports": [{ "number": 8002 }] }]));
    assert_eq!((&spec["phase"], &spec["failStrategy"]), (&"AUTHN".into(), &"FAIL_RELOAD".into()));
    assert_eq!(spec["pluginConfig"]["proxy"], json!({ "appends_peer": true }));
    let variables = spec["vmConfig"]["env"].as_array().expect("a list").clone();
    let source = json!({ "name": "SOURCE_SECRET", "valueFrom": "HOST" });
    assert!(variables.contains(&source), "{variables:?}");
}

#[test]
fn the_example_is_rendered() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend.yaml");
    let files = files(&std::fs::read_to_string(example).expect("the example"));
    let files = files.unwrap_or_else(|error| panic!("{error}"));
    let written: Vec<_> =
        files.iter().filter(|file| !file.objects.is_empty()).map(|file| file.name).collect();
    assert!(!written.contains(&"services.yaml"), "it calls nobody: {written:?}");
}

#[test]
fn there_is_nothing_of_a_gateway() {
    let kinds: Vec<_> =
        objects().iter().filter_map(|object| object["kind"].as_str().map(str::to_owned)).collect();
    for kind in ["Gateway", "VirtualService", "HTTPRoute", "Deployment", "Service"] {
        assert!(!kinds.iter().any(|found| found == kind), "{kinds:?}");
    }
}

#[test]
fn log_lines_are_those_of_what_comes_in() {
    let spec = object("Telemetry", "order")["spec"].clone();
    assert_eq!(spec["selector"]["matchLabels"], json!({ "app": "order" }));
    let logs = spec["accessLogging"].as_array().expect("a list");
    assert!(logs.len() == 3 && logs.iter().all(|log| log["match"]["mode"] == "SERVER"), "{logs:#?}");
}

/// A sidecar takes a connection's address from X-Forwarded-For, unless it is told otherwise; and the request's id is signed.
#[test]
fn the_listener_of_the_pod_knows_who_connects_and_leaves_the_id_of_a_request() {
    let spec = object("EnvoyFilter", "order-listeners")["spec"].clone();
    assert_eq!(spec["workloadSelector"]["labels"], json!({ "app": "order" }));
    let patches = spec["configPatches"].as_array().expect("a list");
    assert!(patches.iter().all(|patch| patch["match"]["context"] == "SIDECAR_INBOUND"), "{patches:#?}");
    assert!(patches.iter().all(|patch| patch["match"]["listener"]["portNumber"] == 8002), "{patches:#?}");
    let manager = &patches[0]["patch"]["value"]["typed_config"];
    assert_eq!((&manager["use_remote_address"], &manager["xff_num_trusted_hops"]), (&true.into(), &1.into()));
    assert_eq!(manager["preserve_external_request_id"], true);
    assert_eq!(manager["request_id_extension"]["typed_config"]["pack_trace_reason"], false);
    assert_eq!((&manager["request_timeout"], &manager["merge_slashes"]), (&"30s".into(), &true.into()));
    assert!(manager["local_reply_config"]["mappers"].is_array(), "{manager:#}");
    assert_eq!(patches[1]["patch"]["value"]["name"], "envoy.filters.http.buffer");
}

#[test]
fn the_one_route_of_the_port_has_what_all_routes_of_the_policy_have() {
    let spec = object("EnvoyFilter", "order-routes")["spec"].clone();
    let patch = &spec["configPatches"][0];
    assert_eq!(patch["match"]["routeConfiguration"]["portNumber"], 8002);
    let route = &patch["patch"]["value"]["route"];
    assert_eq!(route["timeout"], "20s");
    assert_eq!(route["upgrade_configs"], json!([{ "upgrade_type": "websocket", "enabled": false }]));
}

/// Others in the namespace go on to speak to the same places in their own way.
#[test]
fn what_the_filter_calls_is_told_for_these_pods_alone() {
    let config = object("WasmPlugin", "order")["spec"]["pluginConfig"].clone();
    let providers = &config["jwt"]["providers"];
    assert_eq!(providers["people"]["fetch"]["cluster"], "outbound|443||idp.example");
    assert_eq!(providers["tills"]["introspection"]["cluster"], "outbound|8003||auth.shop.svc.cluster.local");
    let entry = object("ServiceEntry", "order-idp")["spec"].clone();
    assert_eq!((&entry["hosts"], &entry["exportTo"]), (&json!(["idp.example"]), &json!(["."])));
    for name in ["order-idp", "order-auth"] {
        let rule = object("DestinationRule", name)["spec"].clone();
        assert_eq!(rule["exportTo"], json!(["."]));
        assert_eq!(rule["workloadSelector"], json!({ "matchLabels": { "app": "order" } }));
    }
    let rules = objects().iter().filter(|object| object["kind"] == "DestinationRule").count();
    assert_eq!(rules, 2, "none for the backend itself");
}

#[test]
fn the_pods_get_annotations_and_variables_and_istios_own_image() {
    let files = files(POLICY).expect("it is rendered");
    let patch = files.iter().find(|file| file.name == "pod-patch.yaml").expect("it is written");
    assert!(!patch.is_resource, "it is no object of its own");
    let template = &patch.objects[0]["spec"]["template"];
    let annotations = &template["metadata"]["annotations"];
    assert_eq!(annotations["sidecar.istio.io/bootstrapOverride"], "order-bootstrap");
    let config = annotations["proxy.istio.io/config"].as_str().expect("it is there");
    let config: Value = serde_saphyr::from_str(config).expect("YAML");
    let counted = config["proxyStatsMatcher"]["inclusionRegexps"][0].as_str().expect("a rule");
    assert!(counted.contains("inbound_") && counted.contains("_8002"), "{counted}");
    assert!(
        config.get("connectionSettings").is_none(),
        "they would hold for what the pod asks too: {config}"
    );
    let sidecar = &template["spec"]["containers"][0];
    assert_eq!((&sidecar["name"], &sidecar["image"]), (&"istio-proxy".into(), &"auto".into()));
    let secret = &sidecar["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!((&secret["name"], &secret["key"]), (&"order".into(), &sidecar["env"][0]["name"]));
}

/// A way to the service that a sidecar has not is refused in the field that asks for it.
#[test]
fn ways_to_a_service_are_refused_where_they_stand() {
    let service = r#"order: { address: "127.0.0.1:8002", timeout: 20s"#;
    for (from, to, place) in [
        ("version: 1", "version: 1\npath_prefix: /api", "path_prefix: found `/api`"),
        (service, &format!("{service}, protocol: http2"), "services.order.protocol"),
        (service, &format!("{service}, retry: {{ on: [reset] }}"), "services.order.retry"),
        (
            "path: /orders, ",
            "path: /orders, upstream_path: /v2/orders, ",
            "routes[0].upstream_path: found `/v2/orders`",
        ),
        (
            r#"path: "/orders/{id}", "#,
            r#"path: "/orders/{id}", timeout: 5s, "#,
            "routes[1].timeout: found `5s`, expected `20s`",
        ),
        (
            r#"path: "/orders/{id}", "#,
            r#"path: "/orders/{id}", upgrades: [websocket], "#,
            "routes[1].upgrades: found `[websocket]`, expected nothing",
        ),
        (
            r#"path: "/orders/{id}", "#,
            r#"path: "/orders/{id}", buffer_body: false, "#,
            "routes[1].max_body_bytes: found no bound, expected `1048576`",
        ),
        ("version: 1", "version: 1\ncors: { origins: [\"https://shop.example\"] }", "cors: found"),
        ("gateway: { name: order,", "gateway: { name: order, grpc_web: true,", "gateway.grpc_web"),
        (
            "gateway: { name: order,",
            "gateway: { name: order, tls: { certificates: [{ certificate_file: /a/c.pem, key_file: /a/k.pem }] },",
            "gateway.tls",
        ),
    ] {
        let said = refused(from, to);
        assert!(said.contains(place), "{place} in {said}");
        // A route with upgrades holds no bodies either.
        assert_eq!(said.lines().count(), if to.contains("upgrades") { 2 } else { 1 }, "{said}");
    }
}

#[test]
fn services_on_several_ports_are_refused() {
    let said = refused(
        "path: \"/orders/{id}\", methods: [GET], service: order",
        "path: \"/orders/{id}\", methods: [GET], service: auth",
    );
    assert!(
        said.contains("services.order.address: found port 8002, expected port 8003, as `auth` has"),
        "{said}"
    );
}

#[test]
fn the_command_asks_for_the_pods_and_writes_no_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("policy.yaml"), POLICY).expect("it can be written");
    let render = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(folder.path()).args([
            "render",
            "istio",
            "policy.yaml",
            "--out",
            "out",
            "--image",
            IMAGE,
        ]);
        command.args(arguments).output().expect("it runs")
    };
    let alone = render(&["--sidecar"]);
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(!alone.status.success() && said.contains("--selector"), "{said}");
    assert!(!render(&["--sidecar", "--selector", "app=order", "--api", "gateway"]).status.success());
    let rendered = render(&["--sidecar", "--selector", "app=order", "--service", "order=127.0.0.1:9002"]);
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).expect(name);
    assert!(text("plugin.yaml").contains("number: 9002"), "the pod's port is that of `--service`");
    assert!(!folder.path().join("out/routes.yaml").exists());
    assert!(!text("kustomization.yaml").contains("pod-patch.yaml"));
}
