//! One mesh for all tests: what takes a minute to start is started once, and every test leaves it as it found it.

use crate::gateway_api::GatewayApi;
use portcullis_deploy_tests::{
    Demo, Istiod, Kubernetes, Machine, Output, POD_IP, Pod, Proxy, Registry, Rules, Seen, Steps, command,
    example, portcullis, read, root, run,
};
use portcullis_e2e::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard};

/// The namespace of everything that was rendered.
pub const NAMESPACE: &str = "gateway";
/// The namespace of the services.
pub const SERVICES: &str = "order-processor";
/// The section of docs/deploy.md with the steps.
const TEN_STEPS: &str = "From nothing to a guarded gateway on Istio";

/// The mesh, and what was seen before it: the same day at the gateway of `make run`.
pub struct World {
    pub kubernetes: Kubernetes,
    pub istiod: Istiod,
    pub proxy: Proxy,
    pub folder: PathBuf,
    /// `REGISTRY/portcullis@sha256:...`
    pub image: String,
    /// The images' indexes before step 1 made them once more.
    pub first_images: BTreeMap<&'static str, String>,
    /// What each step of docs/deploy.md printed.
    pub said: Vec<String>,
    pub without_mesh: Seen,
    pub in_mesh: Seen,
    /// What was seen of the same policy in the words of the Gateway API.
    pub gateway_api: GatewayApi,
    pub alerts: Rules,
    /// The steps of the documentation, which other sections of it have too.
    pub steps: Steps,
    registry: Registry,
    _demo: Demo,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::start()));

/// The mesh, for one test at a time.
pub fn world() -> MutexGuard<'static, World> {
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
        let without_mesh = Seen::without_plane(&folder);
        let kubernetes = Kubernetes::start(&folder.join("kubernetes"));
        ["istio-system", SERVICES].into_iter().for_each(|name| kubernetes.namespace(name));
        Demo::SERVICES.into_iter().for_each(|(name, port)| kubernetes.service(SERVICES, name, port));
        let registry = Registry::start(&folder);
        let mut steps = Steps::of(&root().join("docs/deploy.md"), TEN_STEPS, &folder, &kubernetes);
        assert_eq!(steps.count(), 10, "docs/deploy.md promises ten");
        let first_images = indexes();
        let mut said: Vec<String> = (1..=4).map(|number| steps.step(number)).collect();
        said.push(steps.step(5));
        let istiod = Istiod::start(&folder, &kubernetes, &folder.join("istiod-values.yaml"));
        let gateway_api = GatewayApi::run(&folder, &kubernetes, &mut steps.turn_to("With the Gateway API"));
        said.extend((6..=7).map(|number| steps.step(number)));
        let template = pod_template(&folder.join("deploy"));
        kubernetes.pod(POD_IP, NAMESPACE, "gateway-0", &template);
        said.push(steps.step(8));
        let demo = Demo::start(&folder);
        let proxy = Proxy::start(
            &folder,
            &Pod {
                machine: &Machine::here(),
                kubernetes: &kubernetes,
                namespace: NAMESPACE,
                name: "gateway-0",
                template: &template,
                role: "router",
            },
        );
        proxy.eventually("the filter answers", &Request::get("/health"), |answer| answer.status == 200);
        let in_mesh = Seen::at(proxy.address(), &demo);
        said.extend((9..=10).map(|number| steps.step(number)));
        let image = steps.image().to_owned();
        let alerts = Rules::alerts(&folder);
        Self {
            kubernetes,
            istiod,
            proxy,
            folder,
            image,
            first_images,
            said,
            without_mesh,
            in_mesh,
            gateway_api,
            alerts,
            steps,
            registry,
            _demo: demo,
        }
    }

    /// Renders a policy anew and applies it.
    #[track_caller]
    pub fn apply_policy(&self, policy: &Path) {
        let out = self.folder.join("changed");
        render(policy, &out, &self.image).expect_success();
        self.kubernetes.apply("-k", &out);
    }

    /// The plugin as it was rendered.
    pub fn plugin(&self) -> Value {
        read(&self.folder.join("deploy/plugin.yaml")).remove(0)
    }

    /// Puts the plugin back as it was rendered, and waits until the gateway answers by it.
    #[track_caller]
    pub fn restore(&self) {
        self.kubernetes.apply("-k", &self.folder.join("deploy"));
        let guarded = Request::get("/api/v1/orders");
        self.proxy.eventually("the filter is back", &guarded, |answer| {
            answer.status == 401 && answer.headers.has("x-frame-options")
        });
    }

    /// Packs a module and pushes it; the reference by digest.
    pub fn push(&self, module: &Path, name: &str) -> String {
        let out = self.folder.join("images");
        let mut pack = command(root().join("target/debug/portcullis-image"));
        pack.arg(module).arg("--out").arg(&out);
        run(pack).expect_success();
        self.registry.push(&out.join(module.file_stem().expect("a name")), name)
    }

    /// `portcullis verify` against the running Envoy.
    pub fn verify(&self) -> Output {
        let mut verify = portcullis();
        verify.arg("verify").arg(example()).args(["--admin", &format!("http://{}", self.proxy.admin())]);
        run(verify)
    }
}

/// The index of each image in target/image, with its digest.
pub fn indexes() -> BTreeMap<&'static str, String> {
    let index = |name: &'static str| {
        let path = root().join("target/image").join(name).join("index.json");
        (name, std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    ["portcullis", "jwt", "rate-limit", "metrics", "security-headers"].map(index).into()
}

/// Renders a policy whose services are Kubernetes services.
pub fn render(policy: &Path, out: &Path, image: &str) -> Output {
    render_with(policy, out, image, &[])
}

/// The same with more arguments.
pub fn render_with(policy: &Path, out: &Path, image: &str, arguments: &[&str]) -> Output {
    let mut render = portcullis();
    render
        .args(["render", "istio"])
        .arg(policy)
        .arg("--out")
        .arg(out)
        .args(["--image", image])
        .args(arguments);
    for (name, port) in Demo::SERVICES {
        render.args(["--service", &format!("{name}={name}.{SERVICES}.svc:{port}")]);
    }
    run(render)
}

/// The template of the gateway's pods.
pub fn pod_template(rendered: &Path) -> Value {
    let objects = read(&rendered.join("proxies.yaml"));
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a deployment");
    deployment["spec"]["template"].clone()
}
