//! The guards, in the pipeline: their order, and what is given back.

use crate::lab::moved;
use crate::tests::{at, head};
use crate::{Facts, LocalReply, Pipeline, Record, Step, Stream, Worker};
use core::time::Duration;
use portcullis_edge_core::{Headers, MemoryHost};
use portcullis_token_lab::{SECRET, mint};
use serde_json::{Value, json};

fn policy(more: Value) -> Value {
    let mut policy = json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:1" }, "user": { "address": "127.0.0.1:2" } },
        "jwt": { "providers": { "main": {
            "secrets": [{ "alg": "HS256", "value": SECRET }],
            "user_claim": "sub", "role_claim": "role" } } },
        "routes": [
            { "path": "/orders", "methods": ["GET"], "service": "order", "auth": { "token": "optional" } },
            { "path": "/login", "methods": ["POST"], "service": "user", "auth": { "token": "none" } }],
        "cors": { "origins": ["https://shop.example"] } });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

/// How a service answers.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    /// The headers come, and then it breaks off.
    Cut,
    /// None comes; the client leaves.
    ClientLeaves,
}

struct StreamInfo(&'static str);

impl Stream for StreamInfo {
    fn response_headers(&mut self) -> Headers {
        Headers::default()
    }
    fn code_details(&mut self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
    fn response_flags(&mut self) -> u64 {
        // UC and DC.
        match self.0 {
            "upstream_reset_after_response_started" => 1 << 6,
            "downstream_remote_disconnect" => 1 << 14,
            _ => 0,
        }
    }
    fn response_code(&mut self) -> Option<u16> {
        None
    }
    fn client_tls(&mut self) -> bool {
        false
    }

    fn duration_nanos(&mut self) -> u64 {
        0
    }
}

struct Gateway {
    pipeline: Pipeline,
    worker: Worker,
    host: MemoryHost,
}

impl Gateway {
    fn new(more: Value) -> Self {
        let pipeline =
            Pipeline::compile(policy(more).to_string().as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        let worker = pipeline.worker(1);
        Self { pipeline, worker, host: MemoryHost::at(at(1)) }
    }

    fn ask(&mut self, method: &str, path: &str, more: &[(&str, &[u8])]) -> (Facts, Step) {
        self.pipeline.on_request(head(method, path, more), &self.host, &mut self.worker)
    }

    fn get(&mut self) -> (Facts, Step) {
        self.ask("GET", "/orders", &[])
    }

    /// The answer to a request that was sent on, up to its end.
    fn answer(&mut self, mut facts: Facts, answer: Answer) -> (Vec<(String, Vec<u8>)>, Record) {
        let mut info = match answer {
            Answer::Status(_) => StreamInfo("via_upstream"),
            Answer::Cut => StreamInfo("upstream_reset_after_response_started"),
            Answer::ClientLeaves => StreamInfo("downstream_remote_disconnect"),
        };
        let status = match answer {
            Answer::Status(status) => Some(status),
            Answer::Cut => Some(200),
            Answer::ClientLeaves => None,
        };
        let mut headers = Vec::new();
        if let Some(status) = status {
            let step = self.pipeline.on_response(&mut facts, status, true, &self.host, &mut info);
            headers = step.ops.set;
            if !matches!(answer, Answer::Cut) {
                self.pipeline.on_response_end(&mut facts);
            }
        }
        (headers, self.pipeline.on_done(&mut facts, &self.host, &mut self.worker, &mut info))
    }

    fn call(&mut self, answer: Answer) -> Option<Record> {
        let (facts, step) = self.get();
        matches!(step, Step::Forward(_)).then(|| self.answer(facts, answer).1)
    }
}

fn refused(step: Step) -> LocalReply {
    match step {
        Step::Reply(reply) => reply,
        other => panic!("not refused: {other:?}"),
    }
}

fn header<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| core::str::from_utf8(value).unwrap())
}

fn lines(record: &Record) -> Vec<Value> {
    record.lines.split(|b| *b == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn a_429_says_in_body_and_headers_what_is_left_and_when_to_come_back() {
    let mut gateway = Gateway::new(
        json!({ "limits": { "rules": { "per_ip": { "key": ["ip"], "limit": 2, "window": "10s" } } } }),
    );
    for left in ["1", "0"] {
        let (facts, _) = gateway.get();
        let (headers, _) = gateway.answer(facts, Answer::Status(200));
        assert_eq!(header(&headers, "x-ratelimit-remaining"), Some(left));
    }
    let (mut facts, step) = gateway.get();
    let reply = refused(step);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let of = |name: &str| body[name].clone();
    assert_eq!((reply.status, of("code")), (429, json!("RATE_001")));
    assert_eq!((of("retry_after"), of("limit"), of("remaining")), (json!(5), json!(2), json!(0)));
    assert_eq!(of("reset_time"), json!("1970-01-01T00:00:11.000Z"));
    assert_eq!(header(&reply.headers, "retry-after"), Some("5"));
    let step = gateway.pipeline.on_response(&mut facts, 429, true, &gateway.host, &mut StreamInfo(""));
    assert_eq!(header(&step.ops.set, "ratelimit"), Some("\"per_ip\";r=0;t=10"));
    assert_eq!(header(&step.ops.set, "ratelimit-policy"), Some("\"per_ip\";q=2;w=10"));
    let record =
        gateway.pipeline.on_done(&mut facts, &gateway.host, &mut gateway.worker, &mut StreamInfo(""));
    let line = &lines(&record)[0];
    assert_eq!((&line["action"], &line["extra"]["rule"]), (&json!("rate_limit_violation"), &json!("per_ip")));
    assert_eq!((&line["extra"]["verdict"], &line["extra"]["limit"]), (&json!("refused"), &json!(2)));
}

#[test]
fn a_grpc_client_is_refused_with_resource_exhausted() {
    let mut gateway =
        Gateway::new(json!({ "limits": { "rules": { "all": { "key": [], "limit": 1, "window": "1m" } } } }));
    gateway.get();
    let (_, step) = gateway.ask("GET", "/orders", &[("content-type", b"application/grpc")]);
    assert_eq!(refused(step).grpc_status, Some(8));
}

#[test]
fn limits_by_address_come_before_the_token_and_limits_by_user_after_it() {
    let mut gateway = Gateway::new(json!({ "limits": { "rules": {
        "per_ip": { "key": ["ip"], "limit": 3, "window": "1m" },
        "per_user": { "key": ["user"], "limit": 1, "window": "1m" } } } }));
    let token = mint("HS256", &json!({ "sub": "ann", "role": "customer", "exp": 60 }));
    let bearer = format!("Bearer {token}");
    let good: &[(&str, &[u8])] = &[("authorization", bearer.as_bytes())];
    assert!(matches!(gateway.ask("GET", "/orders", good).1, Step::Forward(_)));
    let (facts, step) = gateway.ask("GET", "/orders", good);
    assert_eq!((refused(step).status, facts.guard.limits.hits.len()), (429, 1));
    let bad: &[(&str, &[u8])] = &[("authorization", b"Bearer x")];
    assert_eq!(refused(gateway.ask("GET", "/orders", bad).1).status, 401);
    assert_eq!(refused(gateway.ask("GET", "/orders", bad).1).status, 429, "no signature is checked any more");
}

#[test]
fn what_matches_no_route_and_preflights_are_limited_and_pages_are_not() {
    let limits = json!({ "rules": { "per_ip": { "key": ["ip"], "limit": 2, "window": "1m" } } });
    let mut gateway = Gateway::new(json!({ "limits": limits }));
    let preflight: &[(&str, &[u8])] =
        &[("origin", b"https://shop.example"), ("access-control-request-method", b"GET")];
    assert_eq!(refused(gateway.ask("GET", "/none", &[]).1).status, 404);
    assert_eq!(refused(gateway.ask("OPTIONS", "/orders", preflight).1).status, 200);
    assert_eq!(refused(gateway.ask("GET", "/none", &[]).1).status, 429);
    assert_eq!(refused(gateway.ask("OPTIONS", "/orders", preflight).1).status, 429);
    assert_eq!(refused(gateway.ask("GET", "/health", &[]).1).status, 200);
}

#[test]
fn a_shadow_limit_is_logged_and_changes_nothing() {
    let rule = json!({ "key": ["ip"], "limit": 1, "window": "1m", "mode": "shadow" });
    let mut gateway = Gateway::new(json!({ "limits": { "rules": { "shy": rule } } }));
    gateway.get();
    let (facts, step) = gateway.get();
    assert!(matches!(step, Step::Forward(_)));
    let (headers, record) = gateway.answer(facts, Answer::Status(200));
    assert_eq!(header(&headers, "ratelimit"), None);
    assert_eq!(lines(&record)[0]["extra"]["verdict"], json!("would_refuse"));
}

#[test]
fn a_breaker_opens_on_failures_of_every_kind_and_is_told_in_a_503_with_retry_after() {
    for failure in [Answer::Status(500), Answer::Cut] {
        let mut gateway = Gateway::new(
            json!({ "breakers": { "order": { "consecutive_failures": 2, "jitter_percent": 0 } } }),
        );
        gateway.call(failure);
        let record = gateway.call(failure).unwrap();
        let change = &lines(&record)[0];
        assert_eq!(
            (&change["action"], &change["extra"]["to"]),
            (&json!("circuit_breaker_change"), &json!("open"))
        );
        let (_, step) = gateway.get();
        let reply = refused(step);
        assert_eq!((reply.status, header(&reply.headers, "retry-after")), (503, Some("60")));
        assert!(matches!(gateway.ask("POST", "/login", &[]).1, Step::Forward(_)), "another service");
    }
}

#[test]
fn a_trial_is_given_back_whatever_becomes_of_its_stream() {
    for (end, passes_next) in [
        (Answer::ClientLeaves, true),
        (Answer::Status(200), true),
        (Answer::Status(404), true),
        (Answer::Status(503), false),
        (Answer::Cut, false),
    ] {
        let mut gateway =
            Gateway::new(json!({ "breakers": { "*": { "consecutive_failures": 1, "jitter_percent": 0 } } }));
        gateway.call(Answer::Status(500));
        gateway.host.advance(Duration::from_secs(60));
        let (facts, step) = gateway.get();
        assert!(matches!(step, Step::Forward(_)) && facts.guard.call.unwrap().is_trial());
        assert!(gateway.call(Answer::Status(200)).is_none(), "one trial at a time");
        gateway.answer(facts, end);
        assert_eq!(gateway.call(Answer::Status(200)).is_some(), passes_next);
    }
}

#[test]
fn a_trial_that_the_host_could_not_send_is_given_back() {
    let mut gateway = Gateway::new(json!({ "breakers": { "*": { "consecutive_failures": 1 } } }));
    gateway.call(Answer::Status(500));
    gateway.host.advance(Duration::from_secs(120));
    let (mut facts, _) = gateway.get();
    gateway.pipeline.give_up(&mut facts);
    gateway.answer(facts, Answer::Status(503));
    assert!(gateway.call(Answer::Status(200)).is_some());
}

#[test]
fn refusals_of_ours_are_no_failures_of_the_service_and_use_no_trial() {
    let limits = json!({ "rules": { "per_ip": { "key": ["ip"], "limit": 1, "window": "1m" } } });
    let mut gateway = Gateway::new(json!({
        "limits": limits, "breakers": { "order": { "consecutive_failures": 1 } } }));
    gateway.call(Answer::Status(200));
    for _ in 0..3 {
        let (facts, step) = gateway.get();
        assert_eq!(refused(step).status, 429);
        gateway.answer(facts, Answer::Status(429));
    }
    gateway.host.advance(Duration::from_secs(60));
    assert!(gateway.call(Answer::Status(200)).is_some());
}

#[test]
fn failed_logins_block_the_login_and_nothing_else() {
    let mut gateway =
        Gateway::new(json!({ "abuse": { "failed_logins": { "routes": ["/login"], "failures": 2 } } }));
    let fail = |gateway: &mut Gateway| {
        let (facts, step) = gateway.ask("POST", "/login", &[]);
        assert!(matches!(step, Step::Forward(_)));
        gateway.answer(facts, Answer::Status(401)).1
    };
    fail(&mut gateway);
    let record = fail(&mut gateway);
    let event = &lines(&record)[0];
    assert_eq!(
        (&event["action"], &event["extra"]["reason"]),
        (&json!("suspicious_activity"), &json!("brute_force"))
    );
    let (facts, step) = gateway.ask("POST", "/login", &[]);
    let reply = refused(step);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &body["code"]), (403, &json!("AUTH_004")));
    assert_eq!(header(&reply.headers, "retry-after"), Some("300"));
    let (_, record) = gateway.answer(facts, Answer::Status(403));
    assert_eq!(lines(&record)[0]["extra"]["reason"], json!("login_blocked"));
    assert!(matches!(gateway.get().1, Step::Forward(_)));
    gateway.host.advance(Duration::from_secs(300));
    assert!(matches!(gateway.ask("POST", "/login", &[]).1, Step::Forward(_)));
}

#[test]
fn a_blocked_network_gets_nothing_but_the_pages() {
    let mut gateway = Gateway::new(json!({ "abuse": { "blocked": { "networks": ["203.0.113.0/24"] } } }));
    for path in ["/orders", "/none"] {
        assert_eq!(refused(gateway.ask("GET", path, &[]).1).status, 403);
    }
    assert_eq!(refused(gateway.ask("GET", "/health", &[]).1).status, 200);
}

#[test]
fn a_token_in_too_many_places_is_refused_where_it_came_last() {
    let client_ip = json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] });
    let mut gateway =
        Gateway::new(json!({ "client_ip": client_ip, "abuse": { "tokens": { "networks": 1 } } }));
    let token = mint("HS256", &json!({ "sub": "ann", "role": "customer", "exp": 60 }));
    let bearer = format!("Bearer {token}");
    let mut from = |address: &str| {
        let headers: &[(&str, &[u8])] =
            &[("authorization", bearer.as_bytes()), ("x-forwarded-for", address.as_bytes())];
        gateway.ask("GET", "/orders", headers)
    };
    assert!(matches!(from("192.0.2.1").1, Step::Forward(_)));
    let (facts, step) = from("192.0.2.2");
    assert_eq!(refused(step).status, 403);
    assert_eq!(facts.guard.token_abused, Some(portcullis_edge_core::Mode::Enforce));
    assert!(matches!(from("192.0.2.1").1, Step::Forward(_)));
}

#[test]
fn places_are_held_until_the_stream_ends() {
    let mut gateway =
        Gateway::new(json!({ "concurrency": { "rules": { "c": { "key": ["ip"], "limit": 2 } } } }));
    let (first, _) = gateway.get();
    let (_second, _) = gateway.get();
    let (facts, step) = gateway.get();
    assert_eq!(refused(step).status, 429);
    gateway.answer(facts, Answer::Status(429));
    assert_eq!(refused(gateway.get().1).status, 429);
    gateway.answer(first, Answer::ClientLeaves);
    assert!(matches!(gateway.get().1, Step::Forward(_)));
}

#[test]
fn a_refusal_of_a_breaker_is_an_error_between_gateway_and_service_and_of_routing() {
    let mut gateway = Gateway::new(json!({ "breakers": { "*": { "consecutive_failures": 1 } } }));
    gateway.call(Answer::Status(500));
    let (facts, _) = gateway.get();
    let (_, record) = gateway.answer(facts, Answer::Status(503));
    for (name, expected) in [
        ("gateway_proxy_errors_total", "{target_service=\"order\",error_type=\"request_failed\"} 1"),
        ("gateway_routing_errors_total", "{reason=\"service_unavailable\"} 1"),
        ("gateway_circuit_breaker_refused_total", "{service=\"order\"} 1"),
    ] {
        assert_eq!(moved(&gateway.pipeline, &record, name), [format!("{name}{expected}")]);
    }
    assert!(moved(&gateway.pipeline, &record, "gateway_routes_total").is_empty());
}

#[test]
fn whoever_is_refused_most_is_named_and_a_flood_of_others_is_not() {
    let limits = json!({ "rules": { "all": { "key": [], "limit": 1, "window": "1d" } } });
    let mut gateway = Gateway::new(json!({ "limits": limits, "client_ip": {
        "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0"] } }));
    gateway.get();
    let mut metrics = gateway.pipeline.metrics().ok().unwrap();
    for n in 0..4000_u32 {
        let address =
            if n % 4 == 0 { "203.0.113.9".to_owned() } else { std::net::Ipv4Addr::from(n << 8).to_string() };
        let (facts, step) = gateway.ask("GET", "/orders", &[("x-forwarded-for", address.as_bytes())]);
        assert_eq!(refused(step).status, 429);
        gateway.answer(facts, Answer::Status(429)).1.count(&mut metrics, true);
    }
    let text = portcullis_metrics::exposition(metrics.registry(), portcullis_metrics::Format::Text, |_| 0);
    let named: Vec<_> =
        text.lines().filter(|line| line.starts_with("gateway_rate_limit_hits_total{")).collect();
    assert!(named.iter().any(|line| line.contains("client_ip=\"203.0.113.0\"")), "{named:?}");
    assert!(named.len() <= 1 + 40, "{} series", named.len());
}
