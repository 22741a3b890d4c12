//! A policy that is wrong never serves, and says what is wrong with it.

use portcullis_demo_services::DemoServices;
use portcullis_e2e::{
    Envoy, EnvoyConfig, EnvoyError, Gateway, PLUGIN_POLICY, Request, demo_services, eventually,
    example_policy, validate, without_tokens,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Six mistakes, in six places.
fn mistaken_policy() -> Value {
    let mut policy = without_tokens(example_policy());
    policy["routes"][6]["service"] = "ordr".into();
    policy["routes"][0]["methods"] = json!(["post"]);
    policy["client_ip"]["ipv6_prefix"] = 8.into();
    policy["metrics"]["flush_interval"] = "soon".into();
    policy["trust_headers"]["reserve"] = json!(["X User"]);
    policy["metrcis"] = json!({});
    policy
}

const MISTAKES: [&str; 6] = [
    "routes[6].service: found `ordr`",
    "routes[0].methods[0]: found `post`",
    "client_ip.ipv6_prefix: found `8`",
    "metrics.flush_interval: found",
    "trust_headers.reserve[0]: found `X User`",
    "metrcis: found the unknown field `metrcis`",
];

fn config_with(policy: String, demo: &DemoServices) -> EnvoyConfig {
    Gateway::setup().config(demo).set(PLUGIN_POLICY, policy)
}

#[track_caller]
fn assert_names_every_mistake(log: &str) {
    for mistake in MISTAKES {
        assert!(log.contains(&format!("portcullis: {mistake}")), "no `{mistake}` in\n{log}");
    }
    assert!(log.contains("did you mean `order`?"), "{log}");
}

#[test]
fn envoy_does_not_validate_it_and_names_every_mistake() {
    let validation = validate(&config_with(mistaken_policy().to_string(), &demo_services()));
    assert!(!validation.is_ok(), "{}", validation.output);
    assert_names_every_mistake(&validation.output);
}

#[test]
fn envoy_does_not_start_and_names_every_mistake() {
    let started = Envoy::try_start(config_with(mistaken_policy().to_string(), &demo_services()));
    let Err(EnvoyError::Ended { log, status }) = started else { panic!("it started") };
    assert!(!status.success());
    assert_names_every_mistake(&log);
}

#[test]
fn what_is_no_policy_at_all_is_refused() {
    let demo = demo_services();
    for nonsense in ["", "[]", "version: 1"] {
        let validation = validate(&config_with(nonsense.into(), &demo));
        assert!(
            !validation.is_ok() && validation.output.contains("portcullis: the policy was rejected"),
            "{nonsense}"
        );
    }
}

/// The gateway with its listener in a file that Envoy watches, as a control plane would send it.
pub fn watched(config: EnvoyConfig) -> EnvoyConfig {
    let mut listener = Value::Null;
    let config = config.edit(|bootstrap| {
        listener = bootstrap["static_resources"]["listeners"][0].take();
        bootstrap["static_resources"]["listeners"] = json!([]);
        let source =
            json!({"path_config_source": {"path": "@FOLDER@/lds.json"}, "resource_api_version": "V3"});
        bootstrap["dynamic_resources"] = json!({"lds_config": source});
    });
    config.file("lds.json", &discovery(&at_a_free_port(listener)))
}

fn at_a_free_port(mut listener: Value) -> Value {
    listener["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": 0});
    listener
}

fn discovery(listener: &Value) -> String {
    let mut resource = listener.clone();
    resource["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
    json!({"resources": [resource]}).to_string()
}

/// The file of a gateway with this policy.
pub fn update(gateway: &Gateway, policy: &Value, sound: bool) -> String {
    let setup = Gateway::setup();
    let setup = if sound { setup.policy(|own| *own = policy.clone()) } else { setup };
    let config = setup.config(gateway.demo());
    let config = if sound { config } else { config.set(PLUGIN_POLICY, policy.to_string()) };
    let mut listener = Value::Null;
    let _ = config.edit(|bootstrap| listener = bootstrap["static_resources"]["listeners"][0].take());
    discovery(&at_a_free_port(listener))
}

#[test]
fn a_bad_update_leaves_the_old_policy_serving_and_a_good_one_takes_over_with_its_counts() {
    let gateway = Gateway::setup().envoy(watched).start();
    assert_eq!(gateway.get("/api/v1/inventory/assets").status, 200);
    assert_bad_update_changes_nothing(&gateway);
    let before = 2.0;
    gateway.envoy.travel(Duration::from_secs(2));
    assert_eq!(gateway.settled("inventory_requests_total", &[], before), before);

    let mut policy = without_tokens(example_policy());
    policy["routes"].as_array_mut().expect("routes").push(json!({
        "path": "/catalogue", "methods": ["GET"], "service": "inventory", "upstream_path": "/inventory/assets",
    }));
    gateway.envoy.replace_file("lds.json", &update(&gateway, &policy, true));
    eventually("the new route is served", || gateway.get("/api/v1/catalogue").status == 200);
    gateway.envoy.travel(Duration::from_secs(2));
    assert_eq!(gateway.settled("inventory_requests_total", &[], before + 1.0), before + 1.0);
    let new = [("endpoint", "/api/v1/catalogue"), ("status_code", "200")];
    assert_eq!(gateway.metrics().value("gateway_requests_total", &new), Some(1.0));
}

fn assert_bad_update_changes_nothing(gateway: &Gateway) {
    let mark = gateway.envoy.stderr().mark();
    gateway.envoy.replace_file("lds.json", &update(gateway, &mistaken_policy(), false));
    eventually("the update is rejected", || {
        gateway.envoy.admin().stat("listener_manager.lds.update_rejected") == Some(1)
    });
    let log: String = gateway.envoy.stderr().since(mark).iter().map(|line| line.text() + "\n").collect();
    assert_names_every_mistake(&log);
    assert_eq!(gateway.send(&Request::get("/api/v1/inventory/assets")).status, 200);
}

#[test]
fn envoy_takes_the_committed_configuration_of_the_example() {
    let config = EnvoyConfig::yaml_file(portcullis_e2e::workspace().join("envoy/envoy.yaml"));
    let config = config.replace("portcullis.wasm", &portcullis_e2e::module().to_string_lossy());
    let validation = validate(&config.env("JWT_SECRET", "a secret that is at least 32 bytes long"));
    assert!(validation.is_ok(), "{}", validation.output);
}
