//! A new policy at one of two gateways: the steps of docs/deploy.md, and back again. The canary's pod is on a machine of its own.

use crate::changes::{FRAME, changed};
use crate::world::{NAMESPACE, World, pod_template, render_with, world};
use portcullis_deploy_tests::{Machine, Pod, Proxy, Registry, Steps, eventually, example};
use portcullis_e2e::{Answer, Connection, Request};
use std::path::Path;

const CANARY: &str = "gateway-canary";
const POD: &str = "gateway-canary-0";
const PUBLIC: &str = "/api/v1/inventory/assets";
const OLD: Option<&str> = Some("DENY");
const NEW: Option<&str> = Some("SAMEORIGIN");

fn steps(world: &World, machine: &Machine) -> Steps {
    let steps = world.steps.turn_to("A canary").with("IMAGE", image(world)).with("FAR_POD", POD);
    steps.with("ENTER_FAR", machine.enter().unwrap_or_default()).with("CANARY_POD", POD)
}

fn image(world: &World) -> String {
    world.image.replace(Registry::ADDRESS, Registry::FROM_AFAR)
}

/// The pod that a cluster would make of the canary's Deployment.
fn start(world: &World, machine: &Machine, folder: &Path) -> Proxy {
    let template = pod_template(&world.folder.join("deploy-canary"));
    let kubernetes = &world.kubernetes;
    kubernetes.pod(machine.pod_ip(), CANARY, POD, &template);
    Proxy::start(
        folder,
        &Pod { machine, kubernetes, namespace: CANARY, name: POD, template: &template, role: "router" },
    )
}

fn frame(answer: &Answer) -> Option<String> {
    answer.header("x-frame-options")
}

/// No request fails on the way from one policy to the other.
fn obeys(open: &mut Connection, wanted: Option<&str>) {
    eventually("the same connection obeys the other policy", || {
        let answer = open.send(&Request::get(PUBLIC));
        assert_eq!(answer.status, 200, "{answer:?}");
        if frame(&answer).as_deref() == wanted { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn a_new_policy_is_given_to_one_of_two_gateways_and_taken_back() {
    let world = world();
    let folder = world.folder.join("canary");
    std::fs::create_dir_all(&folder).expect("a folder");
    let machine = Machine::beside(&folder);
    let mut steps = steps(&world, &machine);
    assert_eq!(steps.count(), 5, "docs/deploy.md has five");
    changed(&world, "new-policy.yaml", FRAME, "{ name: X-Frame-Options, set: SAMEORIGIN }");
    (1..=3).for_each(|number| drop(steps.step(number)));
    let canary = start(&world, &machine, &folder);
    let public = Request::get(PUBLIC);
    canary.eventually("the canary has the new policy", &public, |answer| frame(answer).as_deref() == NEW);
    let old = |what: &str| assert_eq!(frame(&world.proxy.send(&public)).as_deref(), OLD, "{what}");
    old("the gateway has the old one");
    eventually("verify finds nothing wrong with either", || {
        let said = steps.try_step(4);
        if said.status == Some(0) { Ok(()) } else { Err(said.stdout) }
    });

    // Back to the old policy on the same pod, on a connection that is open, and forth again.
    let mut open = Connection::open(canary.address());
    let back = world.folder.join("canary-back");
    render_with(&example(), &back, &image(&world), &["--gateway", CANARY, "--namespace", CANARY])
        .expect_success();
    world.kubernetes.apply("-k", &back);
    obeys(&mut open, OLD);
    let _: String = steps.step(3);
    obeys(&mut open, NEW);

    // All of it taken away: the gateway has not noticed.
    let _: String = steps.step(5);
    old("nothing of the canary's was the gateway's");
    assert_eq!(world.verify().status, Some(0), "{}", world.verify().stdout);
    let plugins = world.kubernetes.kubectl(&["get", "wasmplugins", "-A", "-o", "name"]).expect_success();
    assert_eq!(plugins.trim(), format!("wasmplugin.extensions.istio.io/{NAMESPACE}"));
    drop(canary);
    world.kubernetes.delete_pod(CANARY, POD);
}
