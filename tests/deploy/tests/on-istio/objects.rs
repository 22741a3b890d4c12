//! What is shipped, as the API server sees it: every definition known, no field misspelt.

use crate::world::{NAMESPACE, SERVICES, world};
use portcullis_deploy_tests::{Demo, Istiod, Kubernetes, example, portcullis, root, run};

fn kustomized(kubernetes: &Kubernetes, overlay: &str) -> String {
    let path = root().join("envoy/istio").join(overlay);
    kubernetes.kubectl(&["kustomize", path.to_str().expect("text")]).expect_success()
}

#[test]
fn each_overlay_is_accepted_and_differs_by_its_values() {
    let world = world();
    for overlay in ["development", "production"] {
        let path = root().join("envoy/istio").join(overlay);
        let tried = world.kubernetes.try_without_effect("-k", &path);
        assert_eq!(tried.status, Some(0), "{overlay}: {}", tried.stderr);
    }
    let (development, production) =
        (kustomized(&world.kubernetes, "development"), kustomized(&world.kubernetes, "production"));
    let only = |one: &str, other: &str| {
        let other: Vec<_> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(str::trim).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(only(&development, &production), "type: ClusterIP; replicas: 1");
    let added = only(&production, &development);
    assert!(added.contains("replicas: 3") && added.contains("type: LoadBalancer"), "{added}");
    assert!(!development.contains("portcullis-values"), "the values themselves are no object");
}

/// Istio's webhook judges beyond the definitions; without a cluster its rules are asked by `istioctl validate`.
#[test]
fn what_is_rendered_of_an_edge_is_accepted_by_the_definitions_and_by_istios_own_rules() {
    let world = world();
    let out = world.folder.join("deploy-edge");
    let mut render = portcullis();
    render.args(["render", "istio"]).arg(root().join("envoy/cli/tests/edge.yaml")).arg("--out").arg(&out);
    render.args(["--image", &world.image, "--namespace", NAMESPACE]);
    run(render).expect_success();
    let tried = world.kubernetes.try_without_effect("-k", &out);
    assert_eq!(tried.status, Some(0), "{}", tried.stderr);
    let written = [
        (out, "routes"),
        (world.folder.join("deploy"), "routes"),
        (world.folder.join("deploy-gateway-api"), "plugin"),
    ];
    for (folder, routes) in written {
        for file in ["plugin", routes, "services", "telemetry", "envoy-filter"] {
            let said = Istiod::validate(&folder.join(format!("{file}.yaml")));
            assert_eq!(said.status, Some(0), "{file}: {}{}", said.stdout, said.stderr);
        }
    }
    let empty = world.folder.join("empty-rewrite.yaml");
    let text = std::fs::read_to_string(world.folder.join("deploy/routes.yaml")).expect("the routes");
    assert!(text.contains(r"rewrite: \1"), "{text}");
    std::fs::write(&empty, text.replace(r"rewrite: \1", "rewrite: ''")).expect("it can be written");
    assert_ne!(Istiod::validate(&empty).status, Some(0), "the rules are asked");
}

#[test]
fn what_is_rendered_for_a_sidecar_is_accepted_by_the_definitions_and_by_istios_own_rules() {
    let world = world();
    let out = world.folder.join("deploy-sidecar");
    let mut render = portcullis();
    render.args(["render", "istio"]).arg(root().join("envoy/cli/tests/backend.yaml")).arg("--out").arg(&out);
    render.args(["--image", &world.image, "--namespace", SERVICES, "--sidecar", "--selector", "app=order"]);
    run(render).expect_success();
    let tried = world.kubernetes.try_without_effect("-k", &out);
    assert_eq!(tried.status, Some(0), "{}", tried.stderr);
    for file in ["plugin", "services", "telemetry", "envoy-filter"] {
        let said = Istiod::validate(&out.join(format!("{file}.yaml")));
        assert_eq!(said.status, Some(0), "{file}: {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn a_misspelt_field_of_an_http_route_is_not_accepted() {
    let world = world();
    let routes = world.folder.join("deploy-gateway-api/routes.yaml");
    let tried = world.kubernetes.try_without_effect("-f", &routes);
    assert_eq!(tried.status, Some(0), "{}", tried.stderr);
    let text = std::fs::read_to_string(&routes).expect("the routes");
    let misspelt = world.folder.join("misspelt-routes.yaml");
    std::fs::write(&misspelt, text.replace("replacePrefixMatch:", "replacePrefixMatsch:"))
        .expect("it can be written");
    let tried = world.kubernetes.try_without_effect("-f", &misspelt);
    assert!(tried.status != Some(0) && tried.stderr.contains("replacePrefixMatsch"), "{}", tried.stderr);
}

#[test]
fn what_is_rendered_for_envoy_gateway_is_accepted_by_its_definitions_and_a_misspelt_field_is_not() {
    let world = world();
    world.kubernetes.define("envoy-gateway/crds");
    let namespace = "envoy-gateway-system";
    world.kubernetes.namespace(namespace);
    let out = world.folder.join("deploy-envoy-gateway");
    let mut render = portcullis();
    render.args(["render", "envoy-gateway"]).arg(example()).arg("--out").arg(&out);
    render.args(["--image", &world.image, "--namespace", namespace]);
    for (name, port) in Demo::SERVICES {
        render.args(["--service", &format!("{name}={name}.order-processor.svc:{port}")]);
    }
    run(render).expect_success();
    let tried = world.kubernetes.try_without_effect("-k", &out);
    assert_eq!(tried.status, Some(0), "{}", tried.stderr);
    let plugin = out.join("plugin.yaml");
    let text = std::fs::read_to_string(&plugin).expect("the plugin");
    std::fs::write(&plugin, text.replace("failOpen:", "failOppen:")).expect("it can be written");
    let tried = world.kubernetes.try_without_effect("-k", &out);
    assert!(tried.status != Some(0) && tried.stderr.contains("failOppen"), "{}", tried.stderr);
}
