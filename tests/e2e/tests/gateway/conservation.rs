//! Nothing is counted twice and nothing is lost: what clients saw, what metrics say and what the log says are one and the same, over
//! two workers and across a new policy.

use crate::policy_errors::{update, watched};
use portcullis_demo_services::{CUSTOMER, Service};
use portcullis_e2e::{
    Connection, Gateway, Line, Request, ReservedPort, Samples, ScriptedUpstream, example_policy,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// By status and endpoint.
type Counts = BTreeMap<(String, String), u64>;

const CLIENTS: usize = 8;
const ROUNDS: usize = 275;
const GONE: u64 = 200;
const ALL: u64 = (CLIENTS * ROUNDS * 9) as u64 + GONE;

/// The example with tokens, a limit that is soon reached, and a service that nobody serves; `limit` makes two policies of it.
fn policy(limit: u64) -> Value {
    let mut policy = example_policy();
    policy["limits"] = json!({ "rules": { "few": {
        "key": ["ip"], "limit": limit, "window": "1d", "routes": ["/inventory/assets/{id}"] } } });
    policy["abuse"] = json!({});
    policy["metrics"]["networks"] = json!(["127.0.0.0/8"]);
    policy
}

/// Requests of every kind, and what each counts under.
fn kinds(token: &str) -> [(Request, &'static str); 9] {
    let get = |path: &str| Request::get(path);
    // The last digits of a signature may not matter, its first do.
    let forged =
        token.rsplit_once('.').map(|(signed, signature)| format!("{signed}.AAAA{}", &signature[4..]));
    [
        (get("/api/v1/inventory/assets"), "/api/v1/inventory/assets"),
        (get("/api/v1/portfolio").bearer(token), "/api/v1/portfolio"),
        (get("/api/v1/portfolio").bearer("no-token"), "/api/v1/portfolio"),
        (get("/api/v1/balance"), "/api/v1/balance"),
        (get("/api/v1/balance").bearer(&forged.expect("a token")), "/api/v1/balance"),
        (get("/api/v1/inventory/assets/BTC"), "/api/v1/inventory/assets/{id}"),
        (get("/no/such/route"), "unmatched"),
        (get("/api/v1/orders;x"), "unmatched"),
        (get("/api/v1/insights/portfolio").bearer(token), "/api/v1/insights/portfolio"),
    ]
}

/// Sends every kind again and again over one connection, or over the next where the gateway ends one.
fn client(gateway: &Gateway, kinds: &[(Request, &'static str)], sent: &AtomicUsize) -> Counts {
    let mut connection = Connection::open(gateway.address());
    let mut seen = Counts::new();
    for (request, endpoint) in kinds.iter().cycle().take(kinds.len() * ROUNDS) {
        let answer = connection.send(request);
        *seen.entry((answer.status.to_string(), (*endpoint).to_owned())).or_default() += 1;
        sent.fetch_add(1, Ordering::Relaxed);
        if answer.header("connection").as_deref() == Some("close") {
            connection = Connection::open(gateway.address());
        }
    }
    seen
}

/// Clients that leave while the service thinks.
fn leave(gateway: &Gateway, order: &ScriptedUpstream, token: &str) -> Counts {
    for _ in 0..GONE {
        let mut client = Connection::open(gateway.address());
        client
            .write(&Request::get("/api/v1/orders/7").bearer(token).to_bytes())
            .expect("the gateway listens");
        let service = order.accept_request();
        client.reset().expect("it was there");
        service.wait_for_close();
    }
    Counts::from([(("499".to_owned(), "/api/v1/orders/{id}".to_owned()), GONE)])
}

/// Sends everything; `halfway` is done in the midst of it.
fn traffic(gateway: &Gateway, order: &ScriptedUpstream, halfway: impl FnOnce()) -> Counts {
    let token = gateway.log_in(&CUSTOMER);
    let (kinds, sent) = (kinds(&token), AtomicUsize::new(0));
    let mut seen = Counts::from([(("200".to_owned(), "/api/v1/auth/login".to_owned()), 1)]);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client(gateway, &kinds, &sent))).collect();
        let leavers = scope.spawn(|| leave(gateway, order, &token));
        while sent.load(Ordering::Relaxed) < CLIENTS * ROUNDS * 9 / 2 {
            std::thread::yield_now();
        }
        halfway();
        for counts in
            clients.into_iter().chain([leavers]).map(|client| client.join().expect("it was answered"))
        {
            counts.into_iter().for_each(|(key, count)| *seen.entry(key).or_default() += count);
        }
    });
    seen
}

fn in_metrics(samples: &Samples, family: &str, labels: [&str; 2]) -> Counts {
    let series = samples.series(family).into_iter().filter(|sample| sample.value != 0.0);
    let label =
        |sample: &portcullis_e2e::Sample, name: &str| sample.labels.get(name).cloned().unwrap_or_default();
    series
        .map(|sample| ((label(&sample, labels[0]), label(&sample, labels[1])), sample.value as u64))
        .collect()
}

fn count(keys: impl Iterator<Item = (String, String)>) -> Counts {
    let mut counts = Counts::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The lines with this action, by two fields of `extra`; those of the test's own looks at the metrics are left out.
fn in_log(lines: &[Value], action: &str, fields: [&str; 2]) -> Counts {
    let of_action =
        lines.iter().filter(|line| line["action"] == action && line["extra"]["path"] != "/metrics");
    count(of_action.map(|line| (text(&line["extra"][fields[0]]), text(&line["extra"][fields[1]]))))
}

/// Metrics, lines and clients say the same of every series.
fn assert_conserved(gateway: Gateway, seen: &Counts) {
    assert_eq!(seen.values().sum::<u64>(), ALL + 1);
    gateway.envoy.travel(Duration::from_secs(2));
    assert_eq!(gateway.settled("gateway_requests_total", &[], (ALL + 1) as f64), (ALL + 1) as f64);
    // What a service's own families and the guards' say comes with the same flush.
    let samples = gateway.metrics();
    let lines: Vec<Value> = gateway.shut_down().stdout.all().iter().filter_map(Line::json).collect();

    let by_status = ["status_code", "endpoint"];
    assert_eq!(in_metrics(&samples, "gateway_requests_total", by_status), *seen, "metrics and clients");
    assert_eq!(in_log(&lines, "request", ["status", "endpoint"]), *seen, "lines and clients");

    let errors: Counts =
        seen.clone().into_iter().filter(|((status, _), _)| status.as_str() >= "400").collect();
    assert_eq!(in_metrics(&samples, "gateway_errors_total", by_status), errors);
    assert_services(&samples, &lines);
    assert_histograms(&samples, &lines);
    assert_security(&samples, &lines);
}

/// How many, and how many microseconds together, by a label.
type Times = BTreeMap<String, (u64, u64)>;

/// Counts, sums and last buckets of a histogram; a last bucket that is not the count shows as a difference of the counts.
fn in_histogram(samples: &Samples, family: &str, label: &str) -> Times {
    let series = samples.series(&format!("{family}_count")).into_iter().filter(|sample| sample.value != 0.0);
    let of = |sample: portcullis_e2e::Sample| {
        let value = sample.labels[label].clone();
        let sum = samples.sum(&format!("{family}_sum"), &[(label, &value)]);
        let last = samples.sum(&format!("{family}_bucket"), &[(label, &value), ("le", "+Inf")]);
        assert_eq!(last, sample.value, "{family} of {value}");
        (value, (sample.value as u64, (sum * 1e6).round() as u64))
    };
    series.map(of).collect()
}

/// The same of lines, by a field of `extra`.
fn times(lines: &[Value], field: &str) -> Times {
    let mut times = Times::new();
    for line in lines.iter().filter(|line| line["action"] == "request" && line["extra"]["path"] != "/metrics")
    {
        let micros = (line["duration_ms"].as_f64().expect("a number") * 1e3).round() as u64;
        let of = times.entry(text(&line["extra"][field])).or_default();
        *of = (of.0 + 1, of.1 + micros);
    }
    times
}

/// Every request is in the histograms once, with the time that its line says.
fn assert_histograms(samples: &Samples, lines: &[Value]) {
    let own = "gateway_request_latency_seconds";
    assert_eq!(in_histogram(samples, own, "endpoint"), times(lines, "endpoint"), "{own}");
    let mut by_service = times(lines, "target_service");
    by_service.remove("gateway");
    let duration = in_histogram(samples, "gateway_request_duration_seconds", "service");
    assert_eq!(duration, by_service, "gateway_request_duration_seconds");
    for service in Service::ALL.map(Service::name) {
        let of = |line: &&Value| line["extra"]["target_service"] == service;
        let own: Vec<Value> = lines.iter().filter(of).cloned().collect();
        let family = format!("{service}_request_latency_seconds");
        let seen = in_histogram(samples, &family, "endpoint");
        assert_eq!(seen, times(&own, "endpoint"), "{family}");
    }
}

fn assert_services(samples: &Samples, lines: &[Value]) {
    for service in Service::ALL.map(Service::name) {
        let own: Vec<Value> =
            lines.iter().filter(|line| line["extra"]["target_service"] == service).cloned().collect();
        let family = format!("{service}_requests_total");
        let logged = in_log(&own, "request", ["status", "endpoint"]);
        assert_eq!(in_metrics(samples, &family, ["status_code", "endpoint"]), logged, "{family}");
    }
}

fn assert_security(samples: &Samples, lines: &[Value]) {
    let tokens: Counts = in_metrics(samples, "auth_jwt_validation_total", ["status", "reason"]);
    let refused: Counts = tokens.into_iter().filter(|((status, _), _)| status == "failure").collect();
    let logged = in_log(lines, "jwt_validation", ["verdict", "reason"]);
    let logged = logged.into_iter().map(|((_, reason), count)| (("failure".to_owned(), reason), count));
    assert_eq!(refused, logged.collect(), "refused tokens");
    assert_eq!(refused.len(), 3, "{refused:?}");

    let limited = in_metrics(samples, "auth_rate_limit_hits_total", ["type", ""]);
    let logged = in_log(lines, "rate_limit_violation", ["rule", "verdict"]);
    assert_eq!(limited.values().sum::<u64>(), logged.values().sum::<u64>(), "{limited:?} {logged:?}");
    assert!(limited.values().sum::<u64>() > 0);

    let changes = in_metrics(samples, "gateway_circuit_breaker_transitions_total", ["service", "to"]);
    assert_eq!(changes, in_log(lines, "circuit_breaker_change", ["rule", "to"]));

    let security = lines.iter().filter(|line| line["action"] != "request").count() as f64;
    assert_eq!(samples.sum("portcullis_log_lines_total", &[("kind", "security")]), security);
    assert_eq!(samples.sum("portcullis_log_lines_dropped_total", &[]), 0.0);
    // The clock was moved by two flush intervals at once.
    assert!(samples.sum("portcullis_ticks_late_total", &[]) > 0.0);
}

fn gateway(order: &ScriptedUpstream, nobody: &ReservedPort) -> Gateway {
    let setup = Gateway::shipped().policy(|own| *own = policy(500));
    let setup = setup.service_at("order", order.address()).service_at("insights", nobody.address());
    setup.envoy(|config| watched(config.workers(2))).start()
}

#[test]
fn twenty_thousand_requests_of_every_kind_are_the_same_in_metrics_in_the_log_and_to_their_clients() {
    let (order, nobody) = (ScriptedUpstream::listen(), ReservedPort::new());
    let gateway = gateway(&order, &nobody);
    let seen = traffic(&gateway, &order, || ());
    assert_conserved(gateway, &seen);
}

#[test]
fn they_are_the_same_across_a_new_policy() {
    let (order, nobody) = (ScriptedUpstream::listen(), ReservedPort::new());
    let gateway = gateway(&order, &nobody);
    let seen = traffic(&gateway, &order, || {
        gateway.envoy.replace_file("lds.json", &update(&gateway, &policy(600), true));
    });
    let new_policy = gateway.envoy.admin().stat("listener_manager.lds.update_success");
    assert!(new_policy >= Some(2), "the policy was replaced: {new_policy:?}");
    assert_conserved(gateway, &seen);
}
