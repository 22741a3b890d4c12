//! The filter before a backend, in its sidecar, behind the mesh's gateway that signs: rendered, applied, served and taken away again. The
//! backend's pod is on a machine of its own.

use crate::world::{SERVICES, World, world};
use portcullis_deploy_tests::{
    Demo, Machine, Output, POD_IP, Pod, Proxy, Registry, SOURCE_SECRET, Steps, eventually, example,
};
use portcullis_e2e::{Answer, Request, Samples};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

const POD: &str = "order-0";
/// The port of the backend's pod, which its sidecar listens on. Nothing redirects it here, so the application has another one.
const PORT: u16 = 8002;
const APPLICATION: u16 = 9000;
/// Whom the backend's policy exempts. The test connects from elsewhere.
const EXEMPT: &str = "192.168.255.1";
const SIGNATURE: &str = "x-source-signature";

/// What was seen of it.
struct Seen {
    /// What each step of the documentation printed.
    said: Vec<String>,
    /// Asked without the gateway: with the constant alone, with a signature of nobody's, in the name of an exempt client.
    direct: [Answer; 3],
    /// What arrived at the application of those.
    arrived_directly: Vec<Value>,
    /// The answer through the gateway, and what arrived.
    through: (Answer, Vec<Value>),
    /// The pod's series on :15090 and :15020, and those of the filter's own page.
    scrapes: [Samples; 2],
    page: Samples,
    /// The lines that the sidecar printed.
    lines: Vec<Value>,
    /// Without the plugin: who asks without the gateway, and what `verify` says.
    unfiltered: (Answer, Output),
}

static SEEN: OnceLock<Seen> = OnceLock::new();

fn seen() -> &'static Seen {
    let world = world();
    SEEN.get_or_init(|| Seen::run(&world))
}

/// The backend behind the gateway, until it is taken away.
struct Backend<'w> {
    world: &'w World,
    machine: Machine,
    proxy: Proxy,
    application: Demo,
}

impl Seen {
    fn run(world: &World) -> Self {
        let folder = world.folder.join("backend");
        std::fs::create_dir_all(&folder).expect("a folder");
        let machine = Machine::beside(&folder);
        let mut steps = steps(world, &machine);
        assert_eq!(steps.count(), 6, "docs/deploy.md has six");
        world.kubernetes.apply_object(&deployment());
        let mut said: Vec<String> = (1..=4).map(|number| steps.step(number)).collect();
        let backend = Backend::start(world, machine, &folder);
        backend.proxy_answers();
        said.push(steps.step(5));
        said.push(eventually("verify finds nothing wrong", || {
            let output = steps.try_step(6);
            if output.status == Some(0) { Ok(output.stdout) } else { Err(output.stdout) }
        }));
        let seen = backend.look(said, &mut steps);
        backend.take_away();
        seen
    }
}

fn steps(world: &World, machine: &Machine) -> Steps {
    let steps = world.steps.turn_to("Before a backend");
    let image = world.image.replace(Registry::ADDRESS, Registry::FROM_AFAR);
    let steps = steps.with("IMAGE", image).with("SOURCE_SECRET", SOURCE_SECRET).with("FAR_POD", POD);
    let steps = steps.with("ENTER_FAR", machine.enter().unwrap_or_default()).with("BACKEND_POD", POD);
    steps.with("BACKEND", format!("http://{}", machine.at(PORT)))
}

/// The backend as it was before there was a filter. Nobody makes pods of it here.
fn deployment() -> Value {
    let labels = json!({ "app": "order" });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "order", "namespace": SERVICES },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "order", "image": "order" }] },
        } },
    })
}

/// What a cluster does otherwise: a port is redirected to the sidecar, and pods have certificates for each other.
fn stand_ins() -> [Value; 2] {
    let metadata = json!({ "name": "order", "namespace": SERVICES });
    [
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": metadata,
            "spec": { "workloadSelector": { "labels": { "app": "order" } }, "ingress": [{
                "port": { "number": PORT, "protocol": "HTTP", "name": "http" },
                "defaultEndpoint": format!("127.0.0.1:{}", APPLICATION + 2),
                "captureMode": "NONE",
            }] },
        }),
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata,
            "spec": { "selector": { "matchLabels": { "app": "order" } }, "mtls": { "mode": "DISABLE" } },
        }),
    ]
}

impl<'w> Backend<'w> {
    fn start(world: &'w World, machine: Machine, folder: &Path) -> Self {
        let kubernetes = &world.kubernetes;
        stand_ins().iter().for_each(|object| kubernetes.apply_object(object));
        let patched = kubernetes.get("deployment", SERVICES, "order");
        let template = &patched["spec"]["template"];
        kubernetes.pod(machine.pod_ip(), SERVICES, POD, template);
        let application = Demo::start_on(&machine, folder, APPLICATION);
        let pod =
            Pod { machine: &machine, kubernetes, namespace: SERVICES, name: POD, template, role: "sidecar" };
        let proxy = Proxy::start(folder, &pod);
        kubernetes.endpoints(SERVICES, "order", "http", machine.at(PORT));
        world.apply_policy(&signing(world));
        Self { world, machine, proxy, application }
    }

    fn ask(&self, request: &Request) -> Answer {
        request.send(self.machine.at(PORT))
    }

    fn proxy_answers(&self) {
        self.proxy.eventually_at(PORT, "the filter answers", &Request::get("/orders/"), |answer| {
            answer.status == 403
        });
    }

    fn look(&self, said: Vec<String>, steps: &mut Steps) -> Seen {
        let request = || Request::get("/orders/").header("x-source", "gateway");
        drop(self.application.take_captures("order"));
        let direct = [
            self.ask(&request()),
            self.ask(&request().header(SIGNATURE, "t=1795000000;v1=AAAA")),
            self.ask(&request().header("x-forwarded-for", EXEMPT)),
        ];
        let arrived_directly = self.application.take_captures("order");
        let through = self.through_the_gateway();
        let scrapes = [15090, 15020].map(|port| self.counted(port));
        let page = self.page();
        let lines = self.lines();
        let unfiltered = self.without_the_plugin(steps);
        Seen { said, direct, arrived_directly, through, scrapes, page, lines, unfiltered }
    }

    fn through_the_gateway(&self) -> (Answer, Vec<Value>) {
        let gateway = &self.world.proxy;
        let customer = json!({ "username": "demo_customer", "password": "Customer-Demo-1" });
        let session = gateway.send(&Request::post("/api/v1/auth/login").json(&customer)).json();
        let token = session["access_token"].as_str().unwrap_or_else(|| panic!("a token: {session}"));
        let request = Request::get("/api/v1/orders").bearer(token);
        let answer =
            gateway.eventually("what the gateway signs arrives", &request, |answer| answer.status == 200);
        (answer, self.application.take_captures("order"))
    }

    /// The series of the pod once they have what was asked: workers tell their counts on their tick.
    fn counted(&self, port: u16) -> Samples {
        eventually(&format!("all is counted on :{port}"), || {
            let samples = self.proxy.samples(port);
            if of(&samples, "missing") >= 2.0 && of(&samples, "valid") >= 1.0 {
                Ok(samples)
            } else {
                Err(samples.all().len().to_string())
            }
        })
    }

    fn page(&self) -> Samples {
        let answer = self.ask(&Request::get("/metrics"));
        Samples::parse(answer.text()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// Envoy writes its lines out a moment later.
    fn lines(&self) -> Vec<Value> {
        eventually("the line of the request that passed is there", || {
            let log = self.proxy.log();
            let json = log.lines().filter(|line| line.starts_with('{'));
            let lines: Vec<Value> = json.filter_map(|line| serde_json::from_str(line).ok()).collect();
            if lines.iter().any(has_passed) { Ok(lines) } else { Err(format!("{} lines", lines.len())) }
        })
    }

    fn without_the_plugin(&self, steps: &mut Steps) -> (Answer, Output) {
        self.world.kubernetes.kubectl(&["delete", "wasmplugin", "order", "-n", SERVICES]).expect_success();
        let request = Request::get("/orders/");
        let answer =
            self.proxy.eventually_at(PORT, "the filter is gone", &request, |answer| answer.status == 401);
        (answer, steps.try_step(6))
    }

    fn take_away(self) {
        let Self { world, proxy, application, machine } = self;
        drop((proxy, application, machine));
        let kubernetes = &world.kubernetes;
        let here = SocketAddr::new(POD_IP.parse().expect("an address"), PORT);
        kubernetes.endpoints(SERVICES, "order", "http", here);
        let rendered = world.folder.join("deploy-order");
        let rendered = rendered.to_str().expect("text");
        kubernetes.kubectl(&["delete", "--ignore-not-found", "-k", rendered]).expect_success();
        for kind in ["sidecar", "peerauthentication", "deployment"] {
            kubernetes.kubectl(&["delete", kind, "order", "-n", SERVICES]).expect_success();
        }
        kubernetes.delete_pod(SERVICES, POD);
        world.restore();
    }
}

/// The example, whose gateway signs what it sends on.
fn signing(world: &World) -> std::path::PathBuf {
    let text = std::fs::read_to_string(example()).expect("the example");
    let file = world.folder.join("signing.yaml");
    let sign = "\nsource: { sign: { secret: \"${ENV:SOURCE_SECRET}\" } }\n";
    std::fs::write(&file, text + sign).expect("it can be written");
    file
}

/// The line of a request that the backend has answered.
fn has_passed(line: &Value) -> bool {
    line["action"] == "request" && line["extra"]["endpoint"] == "/orders" && line["extra"]["status"] == 200
}

/// How many requests the check found to be so.
fn of(samples: &Samples, result: &str) -> f64 {
    let labels = [("header", SIGNATURE), ("result", result)];
    samples.value("gateway_security_header_validation_total", &labels).unwrap_or_default()
}

#[test]
fn what_does_not_come_through_the_gateway_is_refused_and_does_not_arrive() {
    let seen = seen();
    for answer in &seen.direct {
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("PERM_001")), "{answer:?}");
    }
    assert_eq!(seen.arrived_directly, [Value::Null; 0]);
    assert!(seen.said[4].contains("403 Forbidden") && seen.said[4].contains("PERM_001"), "{}", seen.said[4]);
}

#[test]
fn what_the_gateway_has_signed_arrives() {
    let (answer, arrived) = &seen().through;
    assert_eq!((answer.status, arrived.len()), (200, 1), "{answer:?}");
    let headers = arrived[0]["headers"].to_string().to_lowercase();
    assert!(headers.contains(SIGNATURE) && headers.contains("x-user-id"), "{headers}");
}

#[test]
fn the_backends_own_metrics_are_on_the_pods_ports_and_on_its_page() {
    let seen = seen();
    for samples in seen.scrapes.iter().chain([&seen.page]) {
        assert_eq!((of(samples, "missing"), of(samples, "invalid")), (of(&seen.page, "missing"), 1.0));
        assert_eq!(of(samples, "valid"), of(&seen.page, "valid"));
        assert_eq!(samples.sum("order_requests_total", &[("status_code", "200")]), 1.0);
        assert_eq!(
            samples.sum("order_errors_total", &[]),
            0.0,
            "what is refused is no answer of the service"
        );
    }
    let completed = seen.scrapes[0].sum("envoy_http_downstream_rq_completed", &[]);
    assert!(completed > 3.0, "Envoy's own count of what came in, for FilterBypassed: {completed}");
}

#[test]
fn each_request_that_comes_in_has_its_line() {
    let lines = &seen().lines;
    let refused = lines.iter().filter(|line| line["action"] == "security_header_validation").count();
    assert!(refused >= 3, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| has_passed(line)).count(), 1, "{lines:#?}");
}

#[test]
fn verify_finds_the_filter_on_what_comes_in_and_its_absence() {
    let seen = seen();
    let verified = &seen.said[5];
    assert!(
        verified.contains("the file's policy, sha256:")
            && verified.contains("8002, use_remote_address: true"),
        "{verified}"
    );
    let (answer, said) = &seen.unfiltered;
    assert!(!answer.headers.has("x-request-id"), "by the service: {answer:?}");
    assert!(said.status == Some(1) && said.stdout.contains("passes unfiltered"), "{}", said.stdout);
}
