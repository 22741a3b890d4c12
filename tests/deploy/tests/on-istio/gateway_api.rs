//! The same policy in the words of the Gateway API: rendered, applied, served and taken away again before the mesh's own gateway is
//! there. A pod's ports are fixed, so there is one gateway at a time.

use crate::world::{pod_template, world};
use portcullis_deploy_tests::{
    Demo, Difference, Kubernetes, Machine, Output, POD_IP, Pod, Proxy, Seen, Steps, differences, example,
    is_known, metric_differences, portcullis, run,
};
use portcullis_e2e::{Answer, Request};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

const NAMESPACE: &str = "gateway-api";
const POD: &str = "gateway-0";
const HEADER: &str = "x-portcullis-service";

/// What was seen of it.
pub struct GatewayApi {
    /// What each step of the documentation printed.
    said: Vec<String>,
    seen: Seen,
    /// The answer to a client that names a service itself, and what arrived at that service and at its own.
    forged: (Answer, Vec<Value>, Vec<Value>),
    /// The HTTPRoutes, as the API server has them.
    routes: Vec<Value>,
    /// The routes that Envoy was sent.
    envoys: Vec<Value>,
    /// Without the filter: a client that knows nothing, one that names a service, and what `verify` says.
    unfiltered: (Answer, Answer, Output),
}

impl GatewayApi {
    pub fn run(folder: &Path, kubernetes: &Kubernetes, steps: &mut Steps) -> Self {
        assert_eq!(steps.count(), 6, "docs/deploy.md has six");
        let mut said: Vec<String> = (1..=3).map(|number| steps.step(number)).collect();
        let template = pod_template(&folder.join("deploy-gateway-api"));
        kubernetes.pod(POD_IP, NAMESPACE, POD, &template);
        let at = SocketAddr::new(POD_IP.parse().expect("an address"), 8080);
        kubernetes.endpoints(NAMESPACE, "gateway", "http-8080", at);
        said.push(steps.step(4));
        let demo = Demo::start(folder);
        let machine = &Machine::here();
        let pod =
            Pod { machine, kubernetes, namespace: NAMESPACE, name: POD, template: &template, role: "router" };
        let proxy = Proxy::start(&folder.join(NAMESPACE), &pod);
        proxy.eventually("the filter answers", &Request::get("/health"), |answer| answer.status == 200);
        let seen = Seen::at(proxy.address(), &demo);
        said.extend((5..=6).map(|number| steps.step(number)));
        let forged = forged(&proxy, &demo);
        let routes =
            list(&kubernetes.kubectl(&["get", "httproutes", "-n", NAMESPACE, "-o", "json"]).expect_success());
        let envoys = envoys(&proxy);
        let unfiltered = unfiltered(&proxy, kubernetes);
        drop((proxy, demo));
        take_away(folder, kubernetes);
        Self { said, seen, forged, routes, envoys, unfiltered }
    }
}

fn list(text: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(text).expect("JSON");
    list["items"].as_array().expect("a list").clone()
}

fn forged(proxy: &Proxy, demo: &Demo) -> (Answer, Vec<Value>, Vec<Value>) {
    let _: [Vec<Value>; 2] = ["inventory", "auth"].map(|service| demo.take_captures(service));
    let request = Request::get("/api/v1/inventory/assets")
        .header(HEADER, "auth")
        .header("x_portcullis_service", "auth");
    (proxy.send(&request), demo.take_captures("auth"), demo.take_captures("inventory"))
}

/// The routes that Envoy has for clients, in their order.
fn envoys(proxy: &Proxy) -> Vec<Value> {
    let dump = Request::get("/config_dump?resource=dynamic_route_configs").send(proxy.admin()).json();
    let all = dump["configs"].as_array().expect("a list").iter().map(|config| &config["route_config"]);
    let ours = all.filter(|config| config["name"] == "http.8080");
    let of = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let hosts: Vec<_> = ours.flat_map(|config| of(config, "virtual_hosts")).collect();
    hosts.iter().flat_map(|host| of(host, "routes")).collect()
}

fn unfiltered(proxy: &Proxy, kubernetes: &Kubernetes) -> (Answer, Answer, Output) {
    kubernetes.kubectl(&["delete", "wasmplugin", "gateway", "-n", NAMESPACE]).expect_success();
    let request = Request::get("/api/v1/inventory/assets");
    let unknown = proxy.eventually("the filter is gone", &request, |answer| answer.status == 404);
    let named = proxy.send(&request.header(HEADER, "inventory"));
    let mut verify = portcullis();
    verify.arg("verify").arg(example()).args(["--admin", &format!("http://{}", proxy.admin())]);
    (unknown, named, run(verify))
}

/// What two namespaces cannot have at a time: the pod's address, and what stands for it.
fn take_away(folder: &Path, kubernetes: &Kubernetes) {
    let rendered = folder.join("deploy-gateway-api");
    let rendered = rendered.to_str().expect("text");
    kubernetes.kubectl(&["delete", "--ignore-not-found", "--wait=false", "-k", rendered]).expect_success();
    kubernetes.kubectl(&["delete", "endpointslice", "gateway", "-n", NAMESPACE]).expect_success();
    kubernetes.delete_pod(NAMESPACE, POD);
}

fn lines(found: &[Difference]) -> String {
    found.iter().map(|difference| format!("{difference}\n")).collect()
}

#[test]
fn the_day_of_the_platforms_clients_is_the_same() {
    let world = world();
    let day = &world.gateway_api.seen.day;
    let found = differences(&world.without_mesh.day, day);
    let found: Vec<_> = found.into_iter().filter(|difference| !is_known(difference)).collect();
    println!("{} exchanges compared, {} differences", day.len(), found.len());
    assert!(found.is_empty(), "- without Istio, + by the Gateway API:\n{}", lines(&found));
}

#[test]
fn the_metrics_of_that_day_are_the_same() {
    let world = world();
    let metrics = &world.gateway_api.seen.metrics;
    let found = metric_differences(&world.without_mesh.metrics, metrics);
    println!("{} series compared, {} differences", metrics.all().len(), found.len());
    assert!(found.is_empty(), "- without Istio, + by the Gateway API:\n{}", lines(&found));
}

#[test]
fn the_steps_of_the_documentation_lead_to_a_guarded_gateway() {
    let world = world();
    let said = |number: usize| world.gateway_api.said[number - 1].as_str();
    assert!(said(4).contains("condition met"), "{}", said(4));
    assert!(said(5).contains("401 Unauthorized") && said(5).contains("AUTH_001"), "{}", said(5));
    assert!(said(6).contains("the file's policy, sha256:"), "{}", said(6));
    assert!(said(6).contains(&format!("each by `{HEADER}`")), "{}", said(6));
}

#[test]
fn istio_accepts_each_http_route_and_finds_what_it_refers_to() {
    let world = world();
    let routes = &world.gateway_api.routes;
    assert_eq!(routes.len(), 1, "one host, and no more rules than one object takes");
    let conditions = routes[0]["status"]["parents"][0]["conditions"].as_array().expect("conditions");
    let of = |kind: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}: {conditions:#?}"))["status"].clone()
    };
    assert_eq!((of("Accepted"), of("ResolvedRefs")), ("True".into(), "True".into()), "{conditions:#?}");
}

/// Four services that routes lead to, of which one has a path with a rule of its own.
#[test]
fn envoy_has_a_route_for_each_service_and_sends_no_request_again() {
    let world = world();
    let (last, routes) = world.gateway_api.envoys.split_last().expect("routes");
    assert_eq!(last["route"]["cluster"], "portcullis-no-service", "{last:#}");
    let names: BTreeSet<_> = routes.iter().map(|route| route["name"].to_string()).collect();
    assert_eq!(names.len(), 5, "{routes:#?}");
    for route in routes {
        let matchers = route["match"]["headers"].as_array().expect("a list");
        assert!(matchers.iter().any(|matcher| matcher["name"] == HEADER), "{route:#}");
        let retry = &route["route"]["retry_policy"];
        let never = &retry["retriable_request_headers"][0];
        assert_eq!(
            (&never["name"], &never["present_match"]),
            (&":method".into(), &false.into()),
            "{retry:#}"
        );
    }
}

#[test]
fn a_client_that_names_a_service_reaches_the_one_that_it_asked_for() {
    let world = world();
    let (answer, named, own) = &world.gateway_api.forged;
    assert_eq!((answer.status, named.len(), own.len()), (200, 0, 1), "{answer:?}");
    let headers = own[0]["headers"].to_string().to_lowercase();
    assert!(!headers.contains("portcullis"), "services do not see the header: {headers}");
}

/// Without the filter nobody is served but who names a service, and `verify` tells.
#[test]
fn without_the_filter_a_request_has_no_route() {
    let world = world();
    let (unknown, named, said) = &world.gateway_api.unfiltered;
    assert_eq!((unknown.status, named.status), (404, 200), "{unknown:?} {named:?}");
    assert!(said.status == Some(1) && said.stdout.contains("passes unfiltered"), "{}", said.stdout);
}
