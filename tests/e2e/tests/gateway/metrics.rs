//! What is counted is what was sent: every request, whoever answered it, over all workers, on both endpoints.

use crate::common::{as_rendered, both_ways_of};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{Connection, Gateway, Request, ReservedPort, Sample, Samples, workspace};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

const BUCKETS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const STATUSES: [&str; 14] =
    ["200", "201", "204", "400", "401", "403", "404", "422", "429", "499", "500", "502", "503", "504"];

/// The example's endpoints and the services behind them.
const ENDPOINTS: [(&str, &str); 17] = [
    ("/api/v1/auth/login", "user"),
    ("/api/v1/auth/register", "user"),
    ("/api/v1/auth/logout", "user"),
    ("/api/v1/auth/profile", "user"),
    ("/api/v1/inventory/assets", "inventory"),
    ("/api/v1/inventory/assets/{id}", "inventory"),
    ("/api/v1/orders", "order"),
    ("/api/v1/orders/{id}", "order"),
    ("/api/v1/assets/{asset_id}/transactions", "order"),
    ("/api/v1/portfolio", "user"),
    ("/api/v1/balance", "user"),
    ("/api/v1/balance/transactions", "user"),
    ("/api/v1/balance/asset/{asset_id}", "user"),
    ("/api/v1/balance/deposit", "user"),
    ("/api/v1/balance/withdraw", "user"),
    ("/api/v1/cny/claim", "user"),
    ("/api/v1/insights/portfolio", "insights"),
];

#[track_caller]
fn assert_at_zero(samples: &Samples, bearer: &str, endpoint: &str) {
    let is_zero = |name: &str, labels: &[(&str, &str)]| {
        assert_eq!(
            samples.value(&format!("{bearer}_{name}"), labels),
            Some(0.0),
            "{bearer}_{name} {labels:?}"
        );
    };
    for status in STATUSES {
        let labels = [("status_code", status), ("endpoint", endpoint)];
        is_zero("requests_total", &labels);
        let errors = samples.value(&format!("{bearer}_errors_total"), &labels);
        assert_eq!(errors, (status >= "400").then_some(0.0), "{bearer} errors {labels:?}");
    }
    BUCKETS
        .iter()
        .for_each(|le| is_zero("request_latency_seconds_bucket", &[("endpoint", endpoint), ("le", le)]));
    is_zero("request_latency_seconds_count", &[("endpoint", endpoint)]);
    is_zero("request_latency_seconds_sum", &[("endpoint", endpoint)]);
}

const NEVER_ZERO: [&str; 4] = [
    "portcullis_build_info",
    "portcullis_metric_series",
    "portcullis_metric_series_limit",
    "portcullis_policy_info",
];

#[test]
fn every_series_that_the_policy_makes_possible_is_at_0_from_the_start() {
    let gateway = Gateway::start();
    let samples = gateway.metrics();
    for (endpoint, service) in ENDPOINTS {
        assert_at_zero(&samples, "gateway", endpoint);
        assert_at_zero(&samples, service, endpoint);
    }
    assert_at_zero(&samples, "gateway", "unmatched");
    assert_at_zero(&samples, "auth", "/internal/auth/validate");
    for service in ["user", "inventory", "order", "auth", "insights"] {
        for error_type in ["request_failed", "500", "502", "503", "504"] {
            let labels = [("target_service", service), ("error_type", error_type)];
            assert_eq!(samples.value("gateway_proxy_errors_total", &labels), Some(0.0), "{labels:?}");
        }
    }
    let all = samples.all();
    let moved = all.iter().filter(|sample| sample.value != 0.0).map(|sample| sample.name.as_str());
    assert_eq!(moved.collect::<BTreeSet<_>>(), NEVER_ZERO.into(), "only what says what runs");
    assert!(all.iter().all(|sample| !sample.name.ends_with("_created")));
    assert_same_on_envoys_endpoint(&samples, &gateway.envoy.samples());
}

#[test]
fn every_family_says_what_it_is() {
    let gateway = as_rendered();
    let samples = gateway.metrics();
    for bearer in ["gateway", "user", "inventory", "order", "auth", "insights"] {
        for (name, kind) in [
            ("requests_total", "counter"),
            ("errors_total", "counter"),
            ("request_latency_seconds", "histogram"),
        ] {
            let name = format!("{bearer}_{name}");
            assert_eq!(samples.type_of(&name), Some(kind), "{name}");
            assert!(samples.help_of(&name).is_some_and(|help| !help.is_empty()), "{name}");
        }
    }
    let answer = gateway.get("/metrics");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
}

/// Counts who looks at the metrics, too: a flush between two looks lets them differ.
const MOVED_BY_LOOKING: &str = "gateway_uncounted_requests_total";

/// Envoy keeps the same series as counters, the sum in microseconds.
#[track_caller]
fn assert_same_on_envoys_endpoint(ours: &Samples, envoys: &Samples) {
    for sample in ours.all() {
        let (name, unit) = match sample.name.strip_suffix("_seconds_sum") {
            Some(base) => (format!("{base}_microseconds_sum"), 1e6),
            None => (sample.name.clone(), 1.0),
        };
        let labels: Vec<_> =
            sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let theirs = envoys.value(&name, &labels).map(|value| value / unit);
        if name == MOVED_BY_LOOKING {
            assert!(
                theirs.is_some_and(|theirs| theirs >= sample.value),
                "{name}: {theirs:?}, {}",
                sample.value
            );
            continue;
        }
        assert_eq!(theirs, Some(sample.value), "{name} {labels:?}");
    }
}

/// One kind of request and what it counts as.
struct Kind {
    request: Request,
    endpoint: &'static str,
    status: u16,
    service: Option<&'static str>,
    proxy_error: Option<&'static str>,
    /// The status that the client sees, where it is another.
    told: Option<u16>,
}

impl Kind {
    fn told(self, status: u16) -> Self {
        Self { told: Some(status), ..self }
    }
}

fn kind(request: Request, endpoint: &'static str, status: u16, service: Option<&'static str>) -> Kind {
    Kind { request, endpoint, status, service, proxy_error: None, told: None }
}

fn preflight(origin: &str) -> Request {
    let request = Request::new("OPTIONS", "/api/v1/orders").header("origin", origin);
    request.header("access-control-request-method", "GET")
}

const UNCOUNTED: &str = "nowhere";

fn mix() -> Vec<Kind> {
    let (get, post) = (|path: &str| Request::get(path), |path: &str| Request::post(path));
    let credentials = serde_json::json!({"username": "demo_customer", "password": "Wrong-Password-1"});
    let failed = |kind: Kind, error: &'static str| Kind { proxy_error: Some(error), ..kind };
    vec![
        kind(get("/api/v1/inventory/assets"), "/api/v1/inventory/assets", 200, Some("inventory")),
        kind(get("/api/v1/inventory/assets/BTC"), "/api/v1/inventory/assets/{id}", 200, Some("inventory")),
        kind(
            get("/api/v1/inventory/assets/NONE?x=1"),
            "/api/v1/inventory/assets/{id}",
            404,
            Some("inventory"),
        ),
        kind(get("/api/v1//orders/../orders/7"), "/api/v1/orders/{id}", 401, Some("order")),
        kind(get("/api/v1/orders"), "/api/v1/orders", 401, Some("order")),
        kind(post("/api/v1/auth/login").json(&credentials), "/api/v1/auth/login", 401, Some("user")),
        kind(post("/api/v1/auth/login").body("{}"), "/api/v1/auth/login", 422, Some("user")),
        failed(kind(get("/api/v1/portfolio"), "/api/v1/portfolio", 500, Some("user")), "500"),
        failed(
            kind(get("/api/v1/insights/portfolio"), "/api/v1/insights/portfolio", 503, Some("insights")),
            "request_failed",
        ),
        kind(get("/no/such/route"), "unmatched", 404, None),
        kind(get("/api/v1/orders/a/b"), "unmatched", 404, None),
        kind(get("/api/v1/auth/login"), "unmatched", 404, None),
        kind(get("/api/v1/orders;x"), "unmatched", 400, None),
        kind(get("/api/v1/orders%2Fx"), "unmatched", 400, None),
        kind(get("/no.such/Call").header("content-type", "application/grpc"), "unmatched", 404, None)
            .told(200),
        kind(get("/api/v1/orders").without_host(), "unmatched", 400, None),
        kind(get("/api/v1/orders").header("x-huge", vec![b'a'; 64 * 1024]), "unmatched", 431, None),
        kind(preflight("http://localhost:3000"), "/api/v1/orders", 200, None),
        kind(preflight("https://evil.example"), "/api/v1/orders", 403, None),
        kind(get("/health"), UNCOUNTED, 200, None),
        kind(get("/metrics"), UNCOUNTED, 200, None),
        kind(get("/internal/metrics"), UNCOUNTED, 404, None),
    ]
}

/// Sends the mix over `CONNECTIONS` connections, some of them at a time, each beginning elsewhere in it.
fn send_mix(gateway: &Gateway, mix: &[Kind]) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                (thread..CONNECTIONS).step_by(4).for_each(|number| send_rotated(gateway, mix, number))
            });
        }
    });
}

const CONNECTIONS: usize = 36;

fn send_rotated(gateway: &Gateway, mix: &[Kind], by: usize) {
    let mut connection = Connection::open(gateway.address());
    for kind in mix.iter().cycle().skip(by).take(mix.len()) {
        let answer = connection.send(&kind.request);
        assert_eq!(answer.status, kind.told.unwrap_or(kind.status), "{answer:?}");
        if answer.header("connection").as_deref() == Some("close") {
            connection = Connection::open(gateway.address());
        }
    }
}

type Counts = BTreeMap<(String, String), f64>;

/// The series of a family that are not 0, by two of their labels.
fn counted(samples: &Samples, name: &str, labels: [&str; 2]) -> Counts {
    let key =
        |sample: &Sample| labels.map(|label| sample.labels.get(label).cloned().unwrap_or_default()).into();
    let series = samples.series(name);
    series.iter().filter(|sample| sample.value != 0.0).map(|sample| (key(sample), sample.value)).collect()
}

fn sent<'a>(kinds: impl Iterator<Item = &'a Kind>, key: impl Fn(&Kind) -> (String, String)) -> Counts {
    let mut counts = Counts::new();
    kinds.for_each(|kind| *counts.entry(key(kind)).or_default() += CONNECTIONS as f64);
    counts
}

fn by_status(kind: &Kind) -> (String, String) {
    (kind.status.to_string(), kind.endpoint.to_owned())
}

/// The families of the gateway, or of a service, have counted exactly these kinds of request.
#[track_caller]
fn assert_counted<'a>(samples: &Samples, bearer: &str, kinds: impl Iterator<Item = &'a Kind> + Clone) {
    let name = |suffix: &str| format!("{bearer}_{suffix}");
    let labels = ["status_code", "endpoint"];
    assert_eq!(counted(samples, &name("requests_total"), labels), sent(kinds.clone(), by_status), "{bearer}");
    let errors = kinds.clone().filter(|kind| kind.status >= 400);
    assert_eq!(counted(samples, &name("errors_total"), labels), sent(errors, by_status), "{bearer}");
    let times = sent(kinds, |kind| (kind.endpoint.to_owned(), String::new()));
    assert_eq!(counted(samples, &name("request_latency_seconds_count"), ["endpoint", ""]), times, "{bearer}");
    assert_cumulative(samples, &name("request_latency_seconds"));
}

/// Buckets grow with their bound, the last holds everything, and the sum lies between what the buckets allow.
#[track_caller]
fn assert_cumulative(samples: &Samples, name: &str) {
    for count in samples.series(&format!("{name}_count")) {
        let endpoint = count.labels["endpoint"].as_str();
        let bucket = |le: &&str| {
            samples.value(&format!("{name}_bucket"), &[("endpoint", endpoint), ("le", le)]).expect("a bucket")
        };
        let buckets: Vec<f64> = BUCKETS.iter().map(bucket).collect();
        assert!(buckets.is_sorted(), "{name} {endpoint}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&count.value), "{name} {endpoint}");
        let sum = samples.value(&format!("{name}_sum"), &[("endpoint", endpoint)]).expect("a sum");
        assert!((sum > 0.0) == (count.value > 0.0) && sum <= count.value * 10.0, "{name} {endpoint}: {sum}");
    }
}

fn assert_both_workers_worked(gateway: &Gateway) {
    let stats = gateway.envoy.admin().get("/stats?filter=worker_[0-9].downstream_cx_total");
    let counts: Vec<_> = stats.text().lines().filter_map(|line| line.rsplit_once(": ")).collect();
    assert!(counts.len() == 2 && counts.iter().all(|(_, count)| *count != "0"), "{counts:?}");
}

#[test]
fn the_counts_equal_what_was_sent_over_two_workers_on_both_endpoints() {
    let nobody = ReservedPort::new();
    both_ways_of(
        || Gateway::setup().service_at("insights", nobody.address()),
        |gateway| {
            gateway
                .knobs()
                .set(Fault::on(Service::User, "/portfolio").status(500))
                .expect("a possible fault");
            let mix = mix();
            send_mix(gateway, &mix);
            let kinds = || mix.iter().filter(|kind| kind.endpoint != UNCOUNTED);
            gateway.envoy.travel(Duration::from_secs(2));
            let total = (CONNECTIONS * kinds().count()) as f64;
            assert_eq!(gateway.settled("gateway_requests_total", &[], total), total);
            let samples = gateway.metrics();
            assert_counted(&samples, "gateway", kinds());
            for service in ["user", "inventory", "order", "auth", "insights"] {
                assert_counted(&samples, service, kinds().filter(|kind| kind.service == Some(service)));
            }
            let failed = kinds().filter(|kind| kind.proxy_error.is_some());
            let expected = sent(failed, |kind| {
                (kind.service.unwrap_or("").into(), kind.proxy_error.unwrap_or("").into())
            });
            assert_eq!(
                counted(&samples, "gateway_proxy_errors_total", ["target_service", "error_type"]),
                expected
            );
            assert_same_on_envoys_endpoint(&samples, &gateway.envoy.samples());
            assert_both_workers_worked(gateway);
            assert_promtool_is_content(gateway);
        },
    );
}

/// `promtool check metrics` says nothing at all.
#[track_caller]
fn assert_promtool_is_content(gateway: &Gateway) {
    let promtool = workspace().join(".tools/bin/promtool");
    assert!(promtool.is_file(), "there is no {}: run `tests/tools.sh promtool`", promtool.display());
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    child.stdin.take().expect("piped").write_all(&gateway.get("/metrics").body).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
