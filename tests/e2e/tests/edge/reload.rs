//! A running Envoy is given new policies, certificates and broken files, under the load of wrk.

use crate::pki::{Pki, curl, serial_of_file, serial_shown};
use portcullis_cli::apply::{Admin, Folder, Outcome, apply};
use portcullis_cli::render::{Options, dynamic};
use portcullis_demo_services::{self as demo, DemoServices, Service};
use portcullis_e2e::{
    Asked, Connection, Envoy, EnvoyConfig, PATIENCE, Request, Wrk, demo_services, eventually, example_policy,
    module, without_tokens,
};
use portcullis_policy::{Policy, Variable};
use serde_json::{Value, json};
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

#[test]
fn a_hundred_policies_under_load_fail_no_request_and_open_connections_obey() {
    let watching = Watching::start(&numbered(0));
    let address = watching.envoy.address();
    let load = Wrk::start(&format!("http://{address}{ASSETS}"), 8, &[]);
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
    let Asked { answered, failed, text } = load.end();
    println!("100 policies, {answered} requests of wrk, {failed} failed, the slowest change {slowest:?}");
    assert!(failed == 0 && answered > 10, "{text}");
    assert_eq!(watching.apply(&numbered(100)), Outcome::Accepted(Vec::new()));
}

/// Sound for whoever checks it, but Envoy has no such variable in its environment.
fn refused() -> Value {
    let mut policy = example_policy();
    policy["jwt"]["providers"]["order_processor"]["secrets"][0]["value"] = json!("${ENV:NO_SUCH_SECRET}");
    policy
}

#[test]
fn under_load_a_certificate_that_is_replaced_is_shown_and_a_broken_one_is_not() {
    let pki = Pki::new();
    for (file, days) in [("server", 30), ("next", 30), ("other", 30), ("last", 30), ("expired", -1)] {
        pki.issue("ca", file, "/CN=gateway", "gateway.test", days);
    }
    let first = serial_of_file(&pki.path("server.pem"));
    let mut policy = policy();
    policy["gateway"]["tls"] = json!({
        "certificates": [{ "certificate_file": pki.text("server.pem"), "key_file": pki.text("server.key") }],
    });
    let watching = Watching::start(&policy);
    let address = watching.envoy.address();
    // Some keep their connections, and some shake hands for every request.
    let url = format!("https://{address}{ASSETS}");
    let loads =
        [&["Connection: keep-alive"], &["Connection: close"]].map(|headers| Wrk::start(&url, 4, headers));
    assert_eq!(serial_shown(address, "gateway.test"), first);
    pki.replace("server", "next");
    let next = serial_of_file(&pki.path("next.pem"));
    eventually("the new certificate is shown", || serial_shown(address, "gateway.test") == next);
    write_broken(&pki);
    for bad in ["broken", "mismatched"] {
        let before = not_taken(&watching);
        pki.replace("server", bad);
        eventually("Envoy has seen it", || not_taken(&watching) > before);
        assert_eq!(serial_shown(address, "gateway.test"), next, "{bad}");
    }
    ["server.pem", "server.key"]
        .iter()
        .for_each(|file| std::fs::remove_file(pki.path(file)).expect("it is there"));
    let trusted = format!("https://gateway.test:{}/health", address.port());
    let got = curl(address, &["--cacert", &pki.text("ca.pem"), &trusted]);
    assert_eq!((got.exit, got.status), (0, 200), "{got:?}");
    assert_eq!(serial_shown(address, "gateway.test"), next, "missing");
    // A sound pair is taken again; and the date is nobody's business but that of `check`.
    for sound in ["last", "expired"] {
        pki.replace("server", sound);
        let serial = serial_of_file(&pki.path(&format!("{sound}.pem")));
        eventually("it is shown", || serial_shown(address, "gateway.test") == serial);
    }
    for (load, which) in loads.into_iter().zip(["kept", "new"]) {
        let Asked { answered, failed, text } = load.end();
        println!("four certificates, {answered} requests on {which} connections, {failed} failed");
        assert!(failed == 0 && answered > 10, "{text}");
    }
}

/// Pairs that are no certificate, and one whose key is another's.
fn write_broken(pki: &Pki) {
    let write = |file: &str, text: &[u8]| std::fs::write(pki.path(file), text).expect("it is writable");
    let read = |file: &str| std::fs::read(pki.path(file)).expect("it is there");
    write("broken.pem", b"no certificate");
    write("broken.key", b"no key");
    write("mismatched.pem", &read("other.pem"));
    write("mismatched.key", &read("next.key"));
}

/// How often Envoy has not taken what was in the certificate's files.
fn not_taken(watching: &Watching) -> u64 {
    let stats = watching.envoy.admin().get("/stats?filter=sds.certificate-0");
    let stats = String::from_utf8_lossy(&stats.body).into_owned();
    let failures = ["key_rotation_failed", "update_rejected"];
    let own = stats.lines().filter(|line| failures.iter().any(|name| line.contains(name)));
    own.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
}
