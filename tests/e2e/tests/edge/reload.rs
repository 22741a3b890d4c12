//! A running Envoy is given new policies, certificates and broken files, under load.

use crate::pki::{Pki, curl, serial_of_file, serial_shown};
use portcullis_cli::apply::{Admin, Folder, Outcome, apply};
use portcullis_cli::render::{Options, dynamic};
use portcullis_demo_services::{self as demo, DemoServices, Service};
use portcullis_e2e::{
    Connection, Envoy, EnvoyConfig, PATIENCE, Request, demo_services, eventually, example_policy, module,
    without_tokens,
};
use portcullis_policy::{Policy, Variable};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tempfile::TempDir;

const ASSETS: &str = "/api/v1/inventory/assets";

/// An Envoy that watches a folder.
struct Watching {
    envoy: Envoy,
    options: Options,
    folder: Folder,
    _demo: DemoServices,
    _kept: TempDir,
}

impl Watching {
    fn start(policy: &Value) -> Self {
        let (demo, kept) = (demo_services(), tempfile::tempdir().expect("a folder"));
        let folder = Folder::create(kept.path()).expect("a folder");
        let at = |service: Service| (demo.addr(service).ip().to_string(), demo.addr(service).port());
        let options = Options {
            module: module().to_string_lossy().into_owned(),
            listen: Some("127.0.0.1:0".into()),
            services: Service::ALL.map(|service| (service.name().to_owned(), at(service))).into(),
            ..Options::default()
        };
        let files = dynamic::dynamic(policy, &compiled(policy), &options, &folder.path());
        folder.fill(&files, &options).expect("the folder is writable");
        let bootstrap = folder.read("envoy.yaml").expect("it is readable").expect("it is there");
        let config = EnvoyConfig::yaml(&bootstrap).env("JWT_SECRET", demo::DEMO_JWT_SECRET);
        Self { envoy: Envoy::start(config), options, folder, _demo: demo, _kept: kept }
    }

    fn apply(&self, policy: &Value) -> Outcome {
        let options = self.folder.options().expect("they were written");
        assert_eq!(options.module, self.options.module);
        let files = dynamic::dynamic(policy, &compiled(policy), &options, &self.folder.path());
        let admin = Admin::at(&self.envoy.admin().address().to_string(), "gateway");
        apply(&self.folder, &files, &admin, PATIENCE).expect("the folder is writable, and Envoy answers")
    }
}

fn compiled(policy: &Value) -> Policy {
    let env = |_: &str| Variable::Elsewhere;
    Policy::from_value_with(policy, &env).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn policy() -> Value {
    without_tokens(example_policy())
}

/// The example with a route of this number, to a service that is there for even numbers only.
fn numbered(number: u64) -> Value {
    let mut policy = policy();
    let mut service = "inventory";
    if number.is_multiple_of(2) {
        service = "sometimes";
        policy["services"][service] = policy["services"]["inventory"].clone();
    }
    let path = format!("/number/{number}");
    let route =
        json!({ "path": path, "methods": ["GET"], "service": service, "upstream_path": "/inventory/assets" });
    policy["routes"].as_array_mut().expect("a list").push(route);
    policy
}

/// Clients that ask without pause, each on a connection of its own, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(address: SocketAddr, clients: usize) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || ask(address, &stop, &asked))
        };
        let threads = (0..clients).map(client).collect();
        Self { stop, asked, threads }
    }

    /// How many were asked, and what failed.
    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.threads.into_iter().flat_map(|thread| thread.join().expect("no client panics"));
        let failed = failed.collect();
        (self.asked.load(Ordering::Relaxed), failed)
    }
}

fn ask(address: SocketAddr, stop: &AtomicBool, asked: &AtomicU64) -> Vec<String> {
    let mut connection = Connection::open(address);
    let mut failed = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match connection.try_send(&Request::get(ASSETS)) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => failed.push(format!("{answer:?}")),
            Err(error) => {
                failed.push(error.to_string());
                connection = Connection::open(address);
            }
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

#[test]
fn a_hundred_policies_under_load_fail_no_request_and_open_connections_obey() {
    let watching = Watching::start(&numbered(0));
    let address = watching.envoy.address();
    let load = Load::on(address, 4);
    let mut open = Connection::open(address);
    let mut obeys = |number: u64| {
        let mut is_there =
            |number: u64| open.send(&Request::get(format!("/api/v1/number/{number}"))).status != 404;
        is_there(number) && !is_there(number.wrapping_sub(1))
    };
    let mut slowest = std::time::Duration::ZERO;
    for number in 1..=100 {
        let began = Instant::now();
        if number == 50 {
            assert_eq!(watching.apply(&refused()), Outcome::Rejected("filter/filter.yaml".into()));
            assert!(obeys(49), "the old policy does not serve on");
            continue;
        }
        let outcome = watching.apply(&numbered(number));
        assert!(matches!(outcome, Outcome::Accepted(_)), "{number}: {outcome:?}");
        eventually("an open connection obeys", || obeys(number));
        slowest = slowest.max(began.elapsed());
    }
    let (asked, failed) = load.end();
    println!("100 policies, {asked} requests, {} failed, the slowest change {slowest:?}", failed.len());
    assert!(failed.is_empty() && asked > 100, "{asked} asked, failed: {failed:?}");
    assert_eq!(watching.apply(&numbered(100)), Outcome::Accepted(Vec::new()));
}

/// Sound for whoever checks it, but Envoy has no such variable in its environment.
fn refused() -> Value {
    let mut policy = example_policy();
    policy["jwt"]["providers"]["order_processor"]["secrets"][0]["value"] = json!("${ENV:NO_SUCH_SECRET}");
    policy
}

#[test]
fn a_certificate_that_is_replaced_is_shown_and_a_broken_one_is_not() {
    let pki = Pki::new();
    ["server", "next"].iter().for_each(|name| pki.issue("ca", name, "/CN=gateway", "gateway.test", 30));
    let first = serial_of_file(&pki.path("server.pem"));
    let mut policy = policy();
    policy["gateway"]["tls"] = json!({
        "certificates": [{ "certificate_file": pki.text("server.pem"), "key_file": pki.text("server.key") }],
    });
    let watching = Watching::start(&policy);
    let address = watching.envoy.address();
    assert_eq!(serial_shown(address, "gateway.test"), first);
    pki.replace("server", "next");
    let next = serial_of_file(&pki.path("next.pem"));
    eventually("the new certificate is shown", || serial_shown(address, "gateway.test") == next);
    std::fs::write(pki.path("broken.pem"), "no certificate").expect("it is writable");
    std::fs::write(pki.path("broken.key"), "no key").expect("it is writable");
    pki.replace("server", "broken");
    eventually("Envoy has seen the broken one", || {
        let stats = watching.envoy.admin().get("/stats?filter=sds.certificate-0");
        String::from_utf8_lossy(&stats.body).lines().any(|line| {
            let failed = line.contains("key_rotation_failed") || line.contains("update_rejected");
            failed && !line.ends_with(": 0")
        })
    });
    let url = format!("https://gateway.test:{}/health", address.port());
    let got = curl(address, &["--cacert", &pki.text("ca.pem"), &url]);
    assert_eq!((got.exit, got.status), (0, 200), "{got:?}");
    assert_eq!(serial_shown(address, "gateway.test"), next);
}
