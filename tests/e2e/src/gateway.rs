//! The gateway under test: the example policy as `portcullis render` makes it, on a real Envoy, in front of the demo services.
//!
//! ```no_run
//! use portcullis_e2e::Gateway;
//!
//! let gateway = Gateway::start();
//! assert_eq!(gateway.get("/api/v1/inventory/assets").status, 200);
//! assert_eq!(gateway.settled("gateway_requests_total", &[("status_code", "200")], 1.0), 1.0);
//! ```

use crate::{
    Answer, Ended, Envoy, EnvoyConfig, EnvoyError, Line, PATIENCE, Request, Samples, wait_for, workspace,
};
use portcullis_cli::render::{self, Options};
use portcullis_cli::source::Source;
use portcullis_demo_services::{self as demo, Captured, DemoServices, Knobs, SeededUser, Service};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use tokio::runtime::Runtime;

/// Where the plugin's policy stands in the bootstrap (RFC 6901).
pub const PLUGIN_POLICY: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
    /typed_config/config/configuration/value";

/// The runtime of all demo services. Tests are plain functions and block on it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("the system has threads")
});

/// The module under test: `$PORTCULLIS_WASM`, else the one that `make build` builds.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn module() -> PathBuf {
    let named = std::env::var_os("PORTCULLIS_WASM").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join("target/wasm32-wasip1/release/portcullis.wasm"));
    assert!(
        path.is_file(),
        "there is no module at {}: run `make build`, or set PORTCULLIS_WASM",
        path.display()
    );
    path
}

/// The example policy, as a tree.
///
/// # Panics
/// If it is no YAML.
pub fn example_policy() -> Value {
    let path = workspace().join("envoy/gateway.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source::parse(text).unwrap_or_else(|error| panic!("{}: {}", path.display(), error.message)).value
}

/// The same policy without tokens, limits, breakers and blocks, for whoever tests something else: every route is open, and the
/// identity headers are reserved.
#[must_use]
pub fn without_tokens(mut policy: Value) -> Value {
    let routes = policy["routes"].as_array_mut().into_iter().flatten();
    for route in routes.filter_map(Value::as_object_mut) {
        route.remove("auth");
        route.remove("authz");
    }
    let trust = policy["trust_headers"].as_object_mut().into_iter();
    for trust in trust {
        let names: Vec<_> =
            ["user", "role", "authenticated"].iter().filter_map(|key| trust.remove(*key)).collect();
        if let Some(reserve) = trust.entry("reserve").or_insert_with(|| json!([])).as_array_mut() {
            reserve.extend(names);
        }
    }
    if let Some(sections) = policy.as_object_mut() {
        for section in ["jwt", "limits", "concurrency", "breakers", "abuse", "business"] {
            sections.remove(section);
        }
    }
    policy
}

/// How to set a gateway up; see [`Gateway::setup`].
pub struct Setup {
    policy: Value,
    services: BTreeMap<String, SocketAddr>,
    offload: bool,
    variables: BTreeMap<String, String>,
    edit: Vec<Box<dyn FnOnce(EnvoyConfig) -> EnvoyConfig>>,
}

impl Setup {
    /// The filter does everything itself, as in an Envoy that somebody else configured.
    pub fn alone(mut self) -> Self {
        self.offload = false;
        self
    }

    /// As rendered when `offload`; else alone.
    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Changes the policy.
    pub fn policy(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Puts a service of the test's own in the place of a demo service.
    pub fn service_at(mut self, name: &str, address: SocketAddr) -> Self {
        self.services.insert(name.into(), address);
        self
    }

    /// Gives Envoy an environment variable, which the policy may then refer to. It has `JWT_SECRET` already: the secret of
    /// the demo services.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Changes how Envoy is run.
    pub fn envoy(mut self, change: impl FnOnce(EnvoyConfig) -> EnvoyConfig + 'static) -> Self {
        self.edit.push(Box::new(change));
        self
    }

    /// The configuration of an Envoy whose services are those of `demo`, or the test's own.
    ///
    /// # Panics
    /// If the policy is not sound. (For one that is not, replace [`PLUGIN_POLICY`] in a sound one's configuration.)
    #[track_caller]
    pub fn config(self, demo: &DemoServices) -> EnvoyConfig {
        let env = |name: &str| self.variables.get(name).cloned().into();
        let policy = Policy::from_value_with(&self.policy, &env)
            .unwrap_or_else(|errors| panic!("the policy: {errors:?}"));
        let ours = Service::ALL.map(|service| (service.name().to_owned(), demo.addr(service)));
        let services = ours.into_iter().chain(self.services).map(|(name, at)| (name, host_and_port(at)));
        let options = Options {
            module: module().to_string_lossy().into_owned(),
            services: services.collect(),
            offload: self.offload,
            ..Options::default()
        };
        let config = EnvoyConfig::json(render::bootstrap(&self.policy, &policy, &options));
        let config = self.variables.into_iter().fold(config, |config, (name, value)| config.env(name, value));
        self.edit.into_iter().fold(config, |config, edit| edit(config))
    }

    /// Starts it, with demo services of its own.
    ///
    /// # Panics
    /// With the log, if it does not start.
    #[track_caller]
    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it, with demo services of its own.
    ///
    /// # Errors
    /// Why Envoy does not serve.
    pub fn try_start(self) -> Result<Gateway, EnvoyError> {
        let demo = demo_services();
        Ok(Gateway { envoy: Envoy::try_start(self.config(&demo))?, demo })
    }
}

fn host_and_port(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

/// Demo services on free ports; they end when the value is dropped.
///
/// # Panics
/// If they cannot start.
pub fn demo_services() -> DemoServices {
    let started = RUNTIME.block_on(DemoServices::start(demo::Options::default()));
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// A running gateway and its demo services.
pub struct Gateway {
    /// The Envoy it runs in: logs, stats, time travel.
    pub envoy: Envoy,
    demo: DemoServices,
}

impl Gateway {
    /// The example's gateway as rendered, with 2 workers, and without tokens.
    #[track_caller]
    pub fn start() -> Self {
        Self::setup().start()
    }

    /// The same policy, with everything done by the filter itself.
    #[track_caller]
    pub fn alone() -> Self {
        Self::setup().alone().start()
    }

    /// The example's gateway with a changed policy.
    #[track_caller]
    pub fn with_policy(change: impl FnOnce(&mut Value)) -> Self {
        Self::setup().policy(change).start()
    }

    /// The example's gateway without tokens, to be changed before it starts.
    pub fn setup() -> Setup {
        Self::shipped().policy(|policy| *policy = without_tokens(policy.take()))
    }

    /// The example's gateway just as it ships, tokens and all.
    pub fn shipped() -> Setup {
        let variables = BTreeMap::from([("JWT_SECRET".to_owned(), demo::DEMO_JWT_SECRET.to_owned())]);
        let services = BTreeMap::new();
        Setup { policy: example_policy(), services, offload: true, variables, edit: Vec::new() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.envoy.address()
    }

    /// Sends a GET over HTTP/1.1.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.envoy.get(target)
    }

    /// Sends a request over HTTP/1.1.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.envoy.send(request)
    }

    /// Sends a request over HTTP/2.
    #[track_caller]
    pub fn send_h2(&self, request: &Request) -> Answer {
        request.send_h2(self.address())
    }

    /// The services behind it.
    pub fn demo(&self) -> &DemoServices {
        &self.demo
    }

    /// Faults and captures of the demo services.
    pub fn knobs(&self) -> &Knobs {
        self.demo.knobs()
    }

    /// What `service` was asked for at `path`, oldest first.
    pub fn captured(&self, service: Service, path: &str) -> Vec<Captured> {
        self.demo.captured(service).into_iter().filter(|request| request.path() == path).collect()
    }

    /// The one request that `service` was asked at `path`.
    ///
    /// # Panics
    /// If there was none, or more.
    #[track_caller]
    pub fn captured_once(&self, service: Service, path: &str) -> Captured {
        let mut all = self.captured(service, path);
        assert_eq!(all.len(), 1, "requests for {path} at {}: {all:?}", service.name());
        all.remove(0)
    }

    /// Logs in through the gateway; the token.
    #[track_caller]
    pub fn log_in(&self, user: &SeededUser) -> String {
        let credentials = json!({"username": user.username, "password": user.password});
        let answer = self.send(&Request::post("/api/v1/auth/login").json(&credentials));
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token in {answer:?}"))
    }

    /// What `GET /metrics` says on the metrics' own listener, or on the gateway's where there is no other.
    ///
    /// # Panics
    /// If Prometheus would refuse it.
    #[track_caller]
    pub fn metrics(&self) -> Samples {
        let listener = self.envoy.find_listener("gateway_metrics").unwrap_or_else(|| self.address());
        let answer = Request::get("/metrics").send(listener);
        assert_eq!(answer.status, 200, "{answer:?}");
        Samples::parse(answer.text()).unwrap_or_else(|error| panic!("/metrics: {error}"))
    }

    /// The sum of a metric's series on `GET /metrics`, once it has reached `value` (another worker's counts come up to a
    /// flush interval late) or [`PATIENCE`] has passed. What came with the same flush can be read behind it.
    #[track_caller]
    pub fn settled(&self, name: &str, labels: &[(&str, &str)], value: f64) -> f64 {
        let reached = wait_for(PATIENCE, || (self.metrics().sum(name, labels) >= value).then_some(()));
        // A worker that has shown a count may still be at the others of its flush.
        if reached.is_some() {
            self.ask_every_worker();
        }
        self.metrics().sum(name, labels)
    }

    /// Asks until every worker has answered: none of them is still at what it did before.
    #[track_caller]
    fn ask_every_worker(&self) {
        let before = self.connections_of_workers();
        crate::eventually("every worker has answered", || {
            self.metrics();
            let now = self.connections_of_workers();
            before.iter().all(|(worker, count)| now.get(worker).is_some_and(|now| now > count))
        });
    }

    /// How many connections each worker has taken.
    fn connections_of_workers(&self) -> BTreeMap<String, u64> {
        let stats = self.envoy.admin().get("/stats?filter=worker_[0-9]+.downstream_cx_total$");
        let mut counts = BTreeMap::new();
        for (name, count) in stats.text().lines().filter_map(|line| line.rsplit_once(": ")) {
            let worker = name.split('.').find(|part| part.starts_with("worker_")).unwrap_or_default();
            *counts.entry(worker.to_owned()).or_default() += count.parse::<u64>().unwrap_or(0);
        }
        counts
    }

    /// Tells Envoy to end, and waits until it has.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn shut_down(self) -> Ended {
        self.envoy.shut_down()
    }

    /// The log line of the request with this id, once it is there.
    #[track_caller]
    pub fn log_line(&self, request_id: &str) -> Value {
        let is_it = |line: &Line| {
            line.json().is_some_and(|json| json["request_id"] == request_id && json["action"] == "request")
        };
        self.envoy.stdout().wait_for_line(is_it).json().expect("it was JSON")
    }

    /// The log line of an answered request.
    ///
    /// # Panics
    /// If the answer has no request id.
    #[track_caller]
    pub fn log_line_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no request id in {answer:?}"));
        self.log_line(&id)
    }
}
