//! What each failure lets through, and that the filter's absence is noticed.

use crate::world::{World, world};
use portcullis_deploy_tests::eventually;
use portcullis_e2e::{Answer, Connection, Request, Samples};
use serde_json::Value;
use std::path::PathBuf;

/// A module of the proxy-wasm ABI that traps at a request with more than 40 headers, and lets all others pass.
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
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.gt_s (local.get 1) (i32.const 40)) (then unreachable))
    (i32.const 0)))"#;

const PUBLIC: &str = "/api/v1/inventory/assets";
/// Requests that are sent to see who counts them.
const REQUESTS: u32 = 200;

/// The request that it traps at.
fn deadly() -> Request {
    (0..50).fold(Request::get(PUBLIC), |request, number| request.header(format!("x-{number}"), "1"))
}

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
    world.kubernetes.apply_object(&plugin);
}

/// A service's answer, as it came: the filter has put nothing on it.
fn is_unfiltered(answer: &Answer) -> bool {
    answer.status == 200 && !answer.headers.has("x-frame-options")
}

/// The module that traps in the filter's place, and a connection whose worker has just trapped.
fn trapped(world: &World, image: &str, strategy: &str) -> Connection {
    apply(world, image, strategy);
    world.proxy.eventually("the module serves", &Request::get(PUBLIC), is_unfiltered);
    let mut connection = Connection::open(world.proxy.address());
    assert_eq!(connection.send(&deadly()).status, 503, "{strategy}: the request that it traps at");
    connection
}

#[test]
fn after_a_trap_fail_reload_serves_again_as_soon_as_there_is_a_new_vm() {
    let world = world();
    let mut connection = trapped(&world, &trap(&world), "FAIL_RELOAD");
    eventually("the same worker serves again", || {
        let answer = connection.send(&Request::get(PUBLIC));
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    assert_eq!(connection.send(&deadly()).status, 503, "by the module, which traps again");
    world.restore();
}

#[test]
fn after_a_trap_fail_close_denies_until_an_object_changes() {
    let world = world();
    let mut connection = trapped(&world, &trap(&world), "FAIL_CLOSE");
    // Longer than FAIL_RELOAD waits for its first try, and for its second.
    let since = world.proxy.uptime();
    while world.proxy.uptime() < since + 5 {
        assert_eq!(connection.send(&Request::get(PUBLIC)).status, 503, "nobody makes a new VM");
    }
    assert!(world.verify().stdout.contains("until its configuration changes"));
    world.restore();
}

#[test]
fn after_a_trap_fail_open_lets_everything_pass_and_both_verify_and_the_alert_tell() {
    let world = world();
    let image = trap(&world);
    let mut connection = trapped(&world, &image, "FAIL_OPEN");
    eventually("the module is left out", || {
        let answer = connection.send(&deadly());
        if is_unfiltered(&answer) { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    assert!(world.verify().stdout.contains("every request passes unfiltered"));
    assert_alerted(&world);
    world.restore();
}

/// Istio takes a digest that no image has for a missing image: the module that served before does not serve on.
#[test]
fn a_wrong_digest_denies_every_request_and_verify_and_the_alert_tell() {
    let world = world();
    let missing = format!("127.0.0.1:5000/portcullis@sha256:{}", "0".repeat(64));
    for strategy in ["FAIL_RELOAD", "FAIL_CLOSE"] {
        apply(&world, &missing, strategy);
        let denied = world.proxy.eventually(strategy, &Request::get(PUBLIC), |answer| answer.status == 403);
        assert_eq!(denied.json()["code"], "REQ_001", "by Envoy, in the filter's place: {denied:?}");
        let said = world.verify();
        assert_eq!(said.status, Some(1));
        assert!(said.stdout.contains("denies every request"), "{}", said.stdout);
        assert_alerted(&world);
        world.restore();
    }
}

#[test]
fn a_wrong_digest_lets_everything_pass_if_told_to() {
    let world = world();
    apply(&world, &format!("127.0.0.1:5000/portcullis@sha256:{}", "0".repeat(64)), "FAIL_OPEN");
    world.proxy.eventually("everything passes", &Request::get("/api/v1/orders"), |answer| {
        answer.status == 401 && !answer.headers.has("x-frame-options")
    });
    let said = world.verify();
    let tells = said.stdout.contains("lets every request pass unfiltered");
    assert!(said.status == Some(1) && tells, "{}", said.stdout);
    assert_alerted(&world);
    world.restore();
}

/// The gateway serves on without the filter, and nothing fails: this must be found, by `verify` and by an alert.
#[track_caller]
fn assert_absence_is_found(world: &World, change: impl FnOnce(&mut Value)) {
    assert_silent(world);
    let mut plugin = world.plugin();
    change(&mut plugin);
    world.kubernetes.apply_object(&plugin);
    world.proxy.eventually("requests pass unfiltered", &Request::get(PUBLIC), is_unfiltered);
    let said = eventually("verify finds it", || {
        let said = world.verify();
        if said.status == Some(1) { Ok(said.stdout) } else { Err(said.stdout) }
    });
    assert!(said.contains("unfiltered") && said.contains("selector"), "{said}");
    assert_alerted(world);
    world.restore();
}

/// The alert fires if what happens now goes on. What the filter had counted before it went may come late: not with every try.
#[track_caller]
fn assert_alerted(world: &World) {
    eventually("FilterBypassed fires", || {
        let before = world.proxy.samples(15090);
        let after = after_requests(world, &before);
        if world.alerts.fires("FilterBypassed", &before, &after) { Ok(()) } else { Err("silence".to_owned()) }
    });
}

/// The alert is silent if what happens now goes on, once the filter has told its counts.
#[track_caller]
fn assert_silent(world: &World) {
    let before = world.proxy.samples(15090);
    drop(after_requests(world, &before));
    eventually("FilterBypassed is silent", || {
        let after = world.proxy.samples(15090);
        if world.alerts.fires("FilterBypassed", &before, &after) {
            Err("it fires".to_owned())
        } else {
            Ok(())
        }
    });
}

/// The pod's series once Envoy has counted so many more requests.
fn after_requests(world: &World, before: &Samples) -> Samples {
    let count = |samples: &Samples| samples.sum("envoy_http_downstream_rq_completed", &[]);
    let wanted = count(before) + f64::from(REQUESTS);
    (0..REQUESTS).for_each(|_| drop(world.proxy.send(&Request::get(PUBLIC))));
    eventually("Envoy counts them", || {
        let now = world.proxy.samples(15090);
        if count(&now) >= wanted { Ok(now) } else { Err(format!("{} of {wanted}", count(&now))) }
    })
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
