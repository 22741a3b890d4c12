//! Policies that change while the gateway serves.

use crate::world::{World, world};
use portcullis_deploy_tests::{eventually, example};
use portcullis_e2e::{Answer, Connection, Request};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The example with a piece of its text replaced, as a file.
pub fn changed(world: &World, name: &str, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(example()).expect("the example");
    assert!(text.contains(from), "`{from}` stands in the example");
    let file = world.folder.join(name);
    fs::write(&file, text.replace(from, to)).expect("it can be written");
    file
}

/// The example's rule for a header.
pub const FRAME: &str = "{ name: X-Frame-Options, set: DENY }";

#[test]
fn a_changed_policy_reaches_connections_that_are_open() {
    let world = world();
    let mut open = Connection::open(world.proxy.address());
    let request = Request::get("/api/v1/inventory/assets");
    let frame = |answer: &Answer| answer.header("x-frame-options");
    assert_eq!(frame(&open.send(&request)).as_deref(), Some("DENY"));
    world.apply_policy(&changed(&world, "policy.yaml", FRAME, "{ name: X-Frame-Options, set: SAMEORIGIN }"));
    eventually("the same connection obeys the new policy", || {
        let answer = open.send(&request);
        assert_eq!(answer.status, 200, "no request fails meanwhile");
        let now = frame(&answer);
        if now.as_deref() == Some("SAMEORIGIN") { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let said = world.verify();
    assert_eq!(said.status, Some(1), "another policy than the file's runs: {}", said.stdout);
    assert!(said.stdout.contains("browser_headers[2].set"), "{}", said.stdout);
    world.restore();
    let counted = world.proxy.samples(15090).sum("gateway_requests_total", &[]);
    assert!(counted > 20.0, "counters go on where they were: {counted}");
}

#[test]
fn a_broken_policy_is_refused_and_the_old_one_serves_on() {
    let world = world();
    let mut plugin = world.plugin();
    plugin["spec"]["pluginConfig"]["routes"][0]["service"] = "nobody".into();
    world.kubernetes.apply_object(&plugin);
    eventually("verify tells of the refusal", || {
        let said = world.verify();
        if said.status == Some(1) && said.stdout.contains("refused") { Ok(()) } else { Err(said.stdout) }
    });
    let answer = world.proxy.send(&Request::get("/api/v1/orders"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("AUTH_001")), "{answer:?}");
    assert!(world.proxy.log().contains("routes[0].service"), "the filter says where the mistake is");
    let rejects = "pilot_total_xds_rejects";
    eventually("istiod counts the refusal", || {
        let metrics = world.istiod.metrics();
        let found = metrics.lines().any(|line| line.starts_with(rejects) && line.contains("ecds"));
        if found { Ok(()) } else { Err("no such count".to_owned()) }
    });
    world.restore();
}

/// The policy that stands in the object is refused, the one before it serves on, and both `verify` and the pod's log say why.
#[track_caller]
fn assert_refused(change: impl FnOnce(&mut Value), words: &str) {
    let world = world();
    let mut plugin = world.plugin();
    change(&mut plugin["spec"]);
    world.kubernetes.apply_object(&plugin);
    eventually("verify tells of the refusal", || {
        let said = world.verify();
        if said.status == Some(1) && said.stdout.contains("refused") { Ok(()) } else { Err(said.stdout) }
    });
    let answer = world.proxy.send(&Request::get("/api/v1/orders"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("AUTH_001")), "{answer:?}");
    eventually("the filter says what is wrong", || {
        if world.proxy.log().contains(words) { Ok(()) } else { Err(format!("no `{words}` in the log")) }
    });
    world.restore();
    eventually("verify finds nothing wrong any more", || {
        let said = world.verify();
        if said.status == Some(0) { Ok(()) } else { Err(said.stdout) }
    });
}

#[test]
fn an_old_module_refuses_a_policy_of_a_newer_version_and_the_old_policy_serves_on() {
    assert_refused(|spec| spec["pluginConfig"]["version"] = 2.into(), "version: found `2`");
}

#[test]
fn an_old_module_refuses_a_field_that_it_does_not_know_and_the_old_policy_serves_on() {
    assert_refused(|spec| spec["pluginConfig"]["of_tomorrow"] = true.into(), "of_tomorrow");
}

#[test]
fn a_secret_that_is_not_in_the_environment_is_named_and_the_old_policy_serves_on() {
    let change = |spec: &mut Value| {
        let secrets = &mut spec["pluginConfig"]["jwt"]["providers"]["order_processor"]["secrets"];
        secrets[0]["value"] = "${ENV:NOT_IN_THE_POD}".into();
        spec["vmConfig"]["env"][0]["name"] = "NOT_IN_THE_POD".into();
    };
    assert_refused(change, "NOT_IN_THE_POD");
}

/// What stands in the objects must be known to the API server, which takes nothing that is misspelt.
#[test]
fn a_misspelt_field_does_not_get_past_the_api_server() {
    let world = world();
    let mut plugin = world.plugin();
    plugin["spec"]["failStrateggy"] = "FAIL_OPEN".into();
    let file = world.folder.join("misspelt.json");
    fs::write(&file, plugin.to_string()).expect("it can be written");
    let said = world.kubernetes.try_apply("-f", &file);
    assert_ne!(said.status, Some(0));
    assert!(said.stderr.contains("failStrateggy"), "{}", said.stderr);
}
