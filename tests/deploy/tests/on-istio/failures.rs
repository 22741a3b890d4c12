//! What each failure lets through, and that the filter's absence is noticed.

use crate::world::{World, world};
use portcullis_deploy_tests::eventually;
use portcullis_e2e::{Answer, Request};
use serde_json::Value;
use std::path::PathBuf;

/// A module of the proxy-wasm ABI that traps at the first request.
const TRAP: &str = r#"(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get 0)))
    (local.get $at))
  (func (export "_start"))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#;

const PUBLIC: &str = "/api/v1/inventory/assets";

fn trap(world: &World) -> String {
    let module: PathBuf = world.folder.join("trap.wasm");
    std::fs::write(&module, wat::parse_str(TRAP).expect("a module")).expect("it can be written");
    world.push(&module, "trap")
}

/// Applies the plugin with another image and strategy.
fn apply(world: &World, image: &str, strategy: &str) {
    let mut plugin = world.plugin();
    plugin["spec"]["url"] = format!("oci://{image}").into();
    plugin["spec"]["failStrategy"] = strategy.into();
    plugin["spec"]["pluginConfig"] = Value::Null;
    plugin["spec"].as_object_mut().expect("a spec").remove("pluginConfig");
    world.kubernetes.apply_object(&plugin);
}

/// A service's answer, as it came: the filter has put nothing on it.
fn is_unfiltered(answer: &Answer) -> bool {
    answer.status == 200 && !answer.headers.has("x-frame-options")
}

#[test]
fn a_module_that_traps_lets_nothing_through_unless_told_to() {
    let world = world();
    let image = trap(&world);
    for (strategy, status) in [("FAIL_RELOAD", 503), ("FAIL_CLOSE", 503), ("FAIL_OPEN", 200)] {
        apply(&world, &image, strategy);
        let is_it = |answer: &Answer| answer.status == status && (status != 200 || is_unfiltered(answer));
        world.proxy.eventually(strategy, &Request::get(PUBLIC), is_it);
        world.restore();
    }
}

#[test]
fn an_image_that_is_not_there_denies_every_request_and_verify_says_why() {
    let world = world();
    let missing = format!("127.0.0.1:5000/portcullis@sha256:{}", "0".repeat(64));
    apply(&world, &missing, "FAIL_RELOAD");
    world.proxy.eventually("everything is denied", &Request::get(PUBLIC), |answer| answer.status == 403);
    let said = world.verify();
    assert_eq!(said.status, Some(1));
    assert!(said.stdout.contains("denies every request"), "{}", said.stdout);
    world.restore();
}

/// The gateway serves on without the filter, and nothing fails: this must be found, by `verify` and by what an alert can compare.
#[track_caller]
fn assert_absence_is_found(world: &World, change: impl FnOnce(&mut Value)) {
    let mut plugin = world.plugin();
    change(&mut plugin);
    world.kubernetes.apply_object(&plugin);
    world.proxy.eventually("requests pass unfiltered", &Request::get(PUBLIC), is_unfiltered);
    let said = eventually("verify finds it", || {
        let said = world.verify();
        if said.status == Some(1) { Ok(said.stdout) } else { Err(said.stdout) }
    });
    assert!(said.contains("unfiltered") && said.contains("selector"), "{said}");
    let (envoys, ours) = counts(world);
    (0..REQUESTS).for_each(|_| drop(world.proxy.send(&Request::get(PUBLIC))));
    eventually("Envoy counts them", || {
        let now = counts(world);
        if now.0 >= envoys + f64::from(REQUESTS) { Ok(now) } else { Err(format!("{now:?}")) }
    });
    // What the filter had counted before it went may arrive late.
    let late = counts(world).1 - ours;
    assert!(late < f64::from(REQUESTS) / 2.0, "nobody but Envoy has counted these: {late}");
    world.restore();
}

const REQUESTS: u32 = 200;

/// Requests at the gateway's port as Envoy counts them, and as the filter does.
fn counts(world: &World) -> (f64, f64) {
    let samples = world.proxy.samples(15090);
    let port = [("http_conn_manager_prefix", "outbound_0.0.0.0_8080")];
    (samples.sum("envoy_http_downstream_rq_completed", &port), samples.sum("gateway_requests_total", &[]))
}

#[test]
fn a_plugin_that_selects_other_pods_is_found_to_be_absent() {
    assert_absence_is_found(&world(), |plugin| {
        plugin["spec"]["selector"]["matchLabels"] = serde_json::json!({ "app": "gatewy" });
    });
}

#[test]
fn a_plugin_whose_url_has_no_scheme_is_found_to_be_absent() {
    let world = world();
    let image = world.image.clone();
    assert_absence_is_found(&world, |plugin| plugin["spec"]["url"] = image.into());
}
