//! The example on Envoy Gateway, without Kubernetes, in front of a stock Envoy. Run by `make test-deploy`, in a namespace of its own.

use portcullis_deploy_tests::{
    Demo, Difference, ENVOY_GATEWAY_NAMESPACE, EnvoyGateway, Output, Registry, Seen, differences, eventually,
    example, is_known, metric_differences, portcullis, read, root, run,
};
use portcullis_e2e::{Answer, Request};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard};

/// The gateway, and what was seen at that of `make run` before it.
struct World {
    gateway: EnvoyGateway,
    folder: PathBuf,
    image: String,
    alone: Seen,
    planned: Seen,
    _registry: Registry,
    _demo: Demo,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::start()));

fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(|poisoned| {
        // A test that failed has left things as they were then.
        let world = poisoned.into_inner();
        world.restore();
        WORLD.clear_poison();
        world
    })
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        eprintln!("== logs of all processes: {}", folder.display());
        let alone = Seen::without_plane(&folder);
        let registry = Registry::start(&folder);
        let image = registry.push(&root().join("target/image/portcullis"), "portcullis");
        let rendered = render(&example(), &folder.join("rendered"), &image);
        let demo = Demo::start(&folder);
        let gateway = EnvoyGateway::start(&folder, &rendered);
        let planned = Seen::at(gateway.address(), &demo);
        Self { gateway, folder, image, alone, planned, _registry: registry, _demo: demo }
    }

    fn objects(&self) -> Vec<Value> {
        objects(&self.folder.join("rendered"))
    }

    fn verify(&self) -> Output {
        let mut verify = portcullis();
        verify.arg("verify").arg(example()).args(["--admin", &format!("http://{}", self.gateway.admin())]);
        run(verify)
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    fn eventually(&self, what: &str, request: &Request, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
        eventually(what, || {
            let connection = portcullis_e2e::Connection::try_open(None, self.gateway.address());
            let answer = connection.and_then(|mut connection| connection.send_raw(&request.to_bytes()));
            let answer = answer.map_err(|error| error.to_string())?;
            if is_wanted(&answer) { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
    }

    /// Puts back what was rendered.
    #[track_caller]
    fn restore(&self) {
        self.gateway.apply(&self.objects());
        let denied = |answer: &Answer| answer.status == 401 && frame(answer).as_deref() == Some("DENY");
        self.eventually("the filter is back", &Request::get("/api/v1/orders"), denied);
    }
}

fn render(policy: &Path, out: &Path, image: &str) -> Vec<Value> {
    let mut render = portcullis();
    render.args(["render", "envoy-gateway"]).arg(policy).arg("--out").arg(out);
    render.args(["--image", image, "--namespace", ENVOY_GATEWAY_NAMESPACE]);
    for (name, port) in Demo::SERVICES {
        render.args(["--service", &format!("{name}=127.0.0.1:{port}")]);
    }
    run(render).expect_success();
    objects(out)
}

/// All objects that a kustomization would apply.
fn objects(folder: &Path) -> Vec<Value> {
    let kustomization = read(&folder.join("kustomization.yaml")).remove(0);
    let files = kustomization["resources"].as_array().expect("a list").iter().filter_map(Value::as_str);
    files.flat_map(|file| read(&folder.join(file))).collect()
}

fn frame(answer: &Answer) -> Option<String> {
    answer.header("x-frame-options")
}

fn lines(found: &[Difference]) -> String {
    found.iter().map(|difference| format!("{difference}\n")).collect()
}

#[test]
fn the_day_of_the_platforms_clients_is_the_same() {
    let world = world();
    let found = differences(&world.alone.day, &world.planned.day);
    let found: Vec<_> = found.into_iter().filter(|difference| !is_known(difference)).collect();
    println!("{} exchanges compared, {} differences", world.planned.day.len(), found.len());
    assert!(found.is_empty(), "- alone, + under Envoy Gateway:\n{}", lines(&found));
}

#[test]
fn the_metrics_of_that_day_are_the_same() {
    let world = world();
    let found = metric_differences(&world.alone.metrics, &world.planned.metrics);
    println!("{} series compared, {} differences", world.planned.metrics.all().len(), found.len());
    assert!(found.is_empty(), "- alone, + under Envoy Gateway:\n{}", lines(&found));
}

#[test]
fn verify_finds_nothing_wrong() {
    let said = world().verify();
    assert_eq!(said.status, Some(0), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("the file's policy, sha256:"), "{}", said.stdout);
}

#[test]
fn a_changed_policy_is_obeyed_and_a_broken_one_refused_while_the_old_one_serves_on() {
    let world = world();
    let text = std::fs::read_to_string(example()).expect("the example");
    let policy = world.folder.join("policy.yaml");
    std::fs::write(
        &policy,
        text.replace("{ name: X-Frame-Options, set: DENY }", "{ name: X-Frame-Options, set: SAMEORIGIN }"),
    )
    .expect("it can be written");
    world.gateway.apply(&render(&policy, &world.folder.join("changed"), &world.image));
    let page = Request::get("/api/v1/inventory/assets");
    world.eventually("it is obeyed", &page, |answer| frame(answer).as_deref() == Some("SAMEORIGIN"));
    world.restore();

    let mut objects = world.objects();
    let extension =
        objects.iter_mut().find(|object| object["kind"] == "EnvoyExtensionPolicy").expect("a filter");
    extension["spec"]["wasm"][0]["config"]["routes"][0]["service"] = "nobody".into();
    world.gateway.apply(&objects);
    eventually("verify tells of the refusal", || {
        let said = world.verify();
        if said.status == Some(1) && said.stdout.contains("refused") { Ok(()) } else { Err(said.stdout) }
    });
    let answer = world.gateway.send(&Request::get("/api/v1/orders"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("AUTH_001")), "{answer:?}");
    world.restore();
    eventually("verify finds nothing wrong any more", || {
        let said = world.verify();
        if said.status == Some(0) { Ok(()) } else { Err(said.stdout) }
    });
}

/// Envoy Gateway answers itself where it has no module: the one that served before does not serve on.
#[test]
fn a_wrong_digest_fails_every_request_and_verify_tells() {
    let world = world();
    let mut objects = world.objects();
    let extension =
        objects.iter_mut().find(|object| object["kind"] == "EnvoyExtensionPolicy").expect("a filter");
    let name = world.image.split('@').next().expect("a name");
    extension["spec"]["wasm"][0]["code"]["image"]["url"] = format!("{name}@sha256:{}", "0".repeat(64)).into();
    world.gateway.apply(&objects);
    let page = Request::get("/api/v1/inventory/assets");
    let failed = world.eventually("every request fails", &page, |answer| answer.status == 500);
    assert_eq!(failed.json()["code"], "SVC_001", "by Envoy: {failed:?}");
    let said = eventually("verify finds it", || {
        let said = world.verify();
        if said.status == Some(1) { Ok(said.stdout) } else { Err(said.stdout) }
    });
    assert!(said.contains("no filter of ours"), "{said}");
    world.restore();
}
