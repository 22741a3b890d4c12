//! The pipeline on the example policy's shape, without a host.

use crate::ProxyError;
use crate::facts::Target;
use crate::observation::RoutingError;
use crate::{Facts, HeaderOps, Pipeline, Step, Stream};
use portcullis_edge_core::{Headers, MemoryHost, Mono, Now, RequestHead, Wall};
use portcullis_metrics::Endpoint;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const OUR_ID: &str = "00000000-0000-4000-8000-000000000001";

fn pipeline_with(proxy: bool) -> Pipeline {
    let policy = json!({
        "version": 1,
        "path_prefix": "/api/v1",
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [
            { "path": "/orders/{id}", "methods": ["GET"], "service": "order" },
            { "path": "/page", "methods": ["GET"], "service": "order",
              "browser_headers": [{ "name": "X-Frame-Options", "remove": true }] }
        ],
        "cors": { "origins": ["https://shop.example"] },
        "trust_headers": { "set": { "X-Source": "gateway" }, "reserve": ["X-User-Role"] },
        "browser_headers": [
            { "name": "X-Frame-Options", "set": "DENY" },
            { "name": "Strict-Transport-Security", "set": "max-age=1" }
        ],
        "metrics": { "networks": ["203.0.113.0/24"] },
        "proxy": {
            "appends_peer": proxy, "assigns_request_id": proxy, "sets_trust_headers": proxy, "sets_browser_headers": proxy
        }
    });
    Pipeline::compile(policy.to_string().as_bytes()).ok().unwrap()
}

fn alone() -> Pipeline {
    pipeline_with(false)
}

pub(crate) fn head(method: &str, path: &str, more: &[(&str, &[u8])]) -> RequestHead {
    let pseudo = [(":method", method.as_bytes()), (":path", path.as_bytes()), (":authority", b"gw")];
    let headers = Headers::from_pairs(pseudo.into_iter().chain(more.iter().copied()));
    RequestHead { headers, peer: b"203.0.113.9:5555".to_vec() }
}

pub(crate) fn at(seconds: u64) -> Now {
    Now { wall: Wall(seconds * 1_000_000_000), mono: Mono(seconds * 1_000_000_000) }
}

fn judge(pipeline: &Pipeline, mut head: RequestHead) -> (Facts, Step) {
    if !pipeline.needs_peer() {
        head.peer.clear();
    }
    pipeline.on_request(head, &host(1), &mut pipeline.worker(0))
}

fn forwarded(step: Step) -> HeaderOps {
    match step {
        Step::Forward(ops) => ops,
        other => panic!("not forwarded: {other:?}"),
    }
}

fn refused(step: Step) -> (u16, Value) {
    match step {
        Step::Reply(reply) => (reply.status, serde_json::from_slice(&reply.body).unwrap()),
        other => panic!("not refused: {other:?}"),
    }
}

/// A host at so many seconds.
pub(crate) fn host(seconds: u64) -> MemoryHost {
    MemoryHost::at(at(seconds))
}

#[derive(Default)]
pub(crate) struct Fake {
    headers: Vec<(&'static str, &'static [u8])>,
    details: &'static str,
    flags: u64,
    code: Option<u16>,
    tls: bool,
    asked: u32,
}

impl Stream for Fake {
    fn response_headers(&mut self) -> Headers {
        self.asked += 1;
        Headers::from_pairs(self.headers.iter().copied())
    }

    fn code_details(&mut self) -> Vec<u8> {
        self.asked += 1;
        self.details.into()
    }

    fn response_flags(&mut self) -> u64 {
        self.asked += 1;
        self.flags
    }

    fn response_code(&mut self) -> Option<u16> {
        self.asked += 1;
        self.code
    }

    fn client_tls(&mut self) -> bool {
        self.asked += 1;
        self.tls
    }

    fn duration_nanos(&mut self) -> u64 {
        250_000_000
    }
}

fn line(pipeline: &Pipeline, facts: &mut Facts, stream: &mut Fake) -> Value {
    serde_json::from_slice(&pipeline.on_done(facts, &host(2), &mut pipeline.worker(0), stream).lines).unwrap()
}

#[test]
fn on_its_own_the_filter_replaces_what_a_client_claims_by_what_it_knows() {
    let claims: &[(&str, &[u8])] = &[
        ("x-source", b"me"),
        ("x_user_role", b"admin"),
        ("x-request-id", b"theirs"),
        ("x_request-id", b"x"),
    ];
    let (facts, step) = judge(&alone(), head("GET", "/api/v1/orders/7", claims));
    let ops = forwarded(step);
    assert_eq!(ops.remove, [b"x-source".to_vec(), b"x_user_role".to_vec(), b"x_request-id".to_vec()]);
    let set = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(ops.set, [set("x-request-id", OUR_ID), set("x-source", "gateway")]);
    assert_eq!(facts.request_id(), OUR_ID);
}

#[test]
fn behind_a_configured_proxy_an_honest_request_is_changed_in_nothing() {
    let honest: &[(&str, &[u8])] = &[("x-request-id", b"abc"), ("x-forwarded-for", b"203.0.113.9")];
    let (facts, step) = judge(&pipeline_with(true), head("GET", "/api/v1/orders/7", honest));
    assert!(forwarded(step).is_empty());
    assert_eq!((facts.request_id(), facts.client.masked().as_str()), ("abc", "203.0.113.0"));
}

#[test]
fn forged_headers_are_removed_even_where_the_proxy_sets_ours() {
    let forged: &[(&str, &[u8])] = &[("x-request-id", b"abc"), ("x-user-role", b"admin")];
    let (_, step) = judge(&pipeline_with(true), head("GET", "/api/v1/orders/7", forged));
    assert_eq!(forwarded(step).remove, [b"x-user-role".to_vec()]);
}

#[test]
fn the_upstream_gets_the_path_that_was_judged() {
    let (facts, step) = judge(&alone(), head("GET", "/api//v1/./orders/%37?a=//", &[]));
    assert_eq!(facts.target, Target::Route(0));
    assert!(forwarded(step).set.contains(&(":path".to_owned(), b"/api/v1/orders/7?a=//".to_vec())));
}

#[test]
fn what_cannot_be_read_one_way_is_400_and_what_is_unknown_is_404() {
    for (path, expected) in [
        ("/api/v1/orders/..%2fx", 400),
        ("/api/v1/orders/7;x", 400),
        ("*", 400),
        ("", 400),
        ("/api/v1/none", 404),
    ] {
        let (_, step) = judge(&alone(), head("GET", path, &[]));
        let (status, body) = refused(step);
        assert_eq!(status, expected, "{path}");
        assert_eq!(body["request_id"], OUR_ID);
        assert_eq!(body["error"], body["code"]);
    }
    assert_eq!(refused(judge(&alone(), RequestHead::default()).1).0, 400);
}

#[test]
fn a_refusal_carries_browser_headers_the_id_and_the_marks_of_cors() {
    let pipeline = alone();
    let (mut facts, step) = judge(&pipeline, head("GET", "/none", &[("origin", b"https://shop.example")]));
    let Step::Reply(reply) = step else { panic!("forwarded") };
    let changes = pipeline.on_response(&mut facts, 404, true, &host(1), &mut Fake::default());
    let names: Vec<_> = reply.headers.iter().chain(&changes.ops.set).map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "content-type",
            "access-control-allow-origin",
            "vary",
            "cache-control",
            "x-frame-options",
            "x-request-id"
        ]
    );
    assert_eq!(changes.body, None);
}

#[test]
fn a_grpc_client_is_refused_with_a_grpc_status_and_counted_as_what_it_is() {
    let pipeline = alone();
    let (mut facts, step) = judge(&pipeline, head("POST", "/none", &[("content-type", b"application/grpc")]));
    let Step::Reply(reply) = step else { panic!("forwarded") };
    assert_eq!((reply.grpc_status, reply.body.as_slice()), (Some(12), &b"No such route"[..]));
    pipeline.on_response(&mut facts, 200, false, &host(1), &mut Fake::default());
    assert_eq!(
        pipeline
            .on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut Fake::default())
            .observation
            .unwrap()
            .status,
        404
    );
}

#[test]
fn a_grpc_call_that_the_proxy_failed_is_no_success() {
    let pipeline = alone();
    let (mut facts, _) =
        judge(&pipeline, head("GET", "/api/v1/orders/7", &[("content-type", b"application/grpc")]));
    let mut failed =
        Fake { headers: vec![("grpc-status", b"14")], details: "no_healthy_upstream", ..Fake::default() };
    assert_eq!(pipeline.on_response(&mut facts, 200, false, &host(1), &mut failed).body, None);
    let seen =
        pipeline.on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut failed).observation.unwrap();
    assert_eq!(
        (seen.status, seen.proxy_error.map(|(_, error)| error)),
        (503, Some(ProxyError::RequestFailed))
    );

    let mut own = Fake { headers: vec![("grpc-status", b"14")], details: "via_upstream", ..Fake::default() };
    let (mut facts, _) =
        judge(&pipeline, head("GET", "/api/v1/orders/7", &[("content-type", b"application/grpc")]));
    pipeline.on_response(&mut facts, 200, false, &host(1), &mut own);
    let seen = pipeline.on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut own).observation.unwrap();
    assert_eq!((seen.status, seen.proxy_error), (200, None));
}

#[test]
fn a_preflight_is_answered_here_with_the_methods_of_its_path_and_counted_under_its_route() {
    let pipeline = alone();
    let asks: &[(&str, &[u8])] =
        &[("origin", b"https://shop.example"), ("access-control-request-method", b"GET")];
    let (mut facts, step) = judge(&pipeline, head("OPTIONS", "/api/v1/orders/7", asks));
    let Step::Reply(reply) = step else { panic!("not answered: {step:?}") };
    let told = |name: &str| reply.headers.iter().find(|(n, _)| n == name).map(|(_, value)| &value[..]);
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(told("access-control-allow-origin"), Some(&b"https://shop.example"[..]));
    assert_eq!(told("access-control-allow-methods"), Some(&b"GET"[..]));
    assert_eq!(told("access-control-max-age"), Some(&b"600"[..]));
    pipeline.on_response(&mut facts, 200, false, &host(1), &mut Fake::default());
    let record = pipeline.on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut Fake::default());
    let seen = record.observation.unwrap();
    assert_eq!((seen.endpoint, seen.service, seen.status), (Endpoint(0), None, 200));
}

/// Envoy's CORS filter lets such requests pass to their service; taken for preflights, they would pass without a token.
#[test]
fn what_is_no_preflight_to_the_letter_is_judged_like_any_request() {
    for (origin, method) in [(&b""[..], &b"GET"[..]), (b"https://shop.example", b"")] {
        let asks = [("origin", origin), ("access-control-request-method", method)];
        let (facts, step) = judge(&alone(), head("OPTIONS", "/api/v1/orders/7", &asks));
        assert_eq!((refused(step).0, facts.target), (404, Target::Unmatched));
    }
}

#[test]
fn a_preflight_for_a_strangers_page_is_refused_here() {
    let asks: &[(&str, &[u8])] =
        &[("origin", b"https://evil.example"), ("access-control-request-method", b"GET")];
    let (facts, step) = judge(&alone(), head("OPTIONS", "/api/v1/orders/7", asks));
    assert_eq!((refused(step).0, facts.target), (403, Target::Preflight(0)));
}

#[test]
fn the_health_page_and_the_metrics_are_answered_here_and_not_counted() {
    let pipeline = alone();
    let (mut facts, step) = judge(&pipeline, head("GET", "/health", &[]));
    assert_eq!(refused(step).1["status"], "healthy");
    assert!(
        pipeline
            .on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut Fake::default())
            .observation
            .is_none()
    );
    assert_eq!(judge(&pipeline, head("GET", "/metrics", &[])).1, Step::ServeMetrics);
    let (mut facts, _) = judge(&pipeline, head("GET", "/internal/metrics", &[]));
    assert!(
        pipeline
            .on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut Fake::default())
            .observation
            .is_none()
    );
    let (mut facts, _) = judge(&pipeline, head("POST", "/nothing", &[]));
    assert!(
        pipeline
            .on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut Fake::default())
            .observation
            .is_some()
    );
}

#[test]
fn a_success_behind_a_configured_proxy_asks_the_host_nothing() {
    let pipeline = pipeline_with(true);
    let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7", &[("x-request-id", b"abc")]));
    let mut stream = Fake::default();
    let step = pipeline.on_response(&mut facts, 200, true, &host(1), &mut stream);
    facts.complete = true;
    pipeline.on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut stream);
    assert_eq!((step.ops.is_empty(), stream.asked), (true, 0));
}

#[test]
fn hsts_is_added_over_tls_even_where_the_proxy_dresses_answers() {
    let pipeline = pipeline_with(true);
    let tls: &[(&str, &[u8])] = &[("x-request-id", b"abc"), ("x-forwarded-proto", b"https")];
    let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7", tls));
    let step = pipeline.on_response(&mut facts, 200, true, &host(1), &mut Fake::default());
    assert_eq!(step.ops.set, [("strict-transport-security".to_owned(), b"max-age=1".to_vec())]);
}

#[test]
fn a_client_that_says_it_came_over_tls_is_believed_by_its_connection_alone() {
    let hsts = |tls| {
        let pipeline = alone();
        let claim: &[(&str, &[u8])] = &[("x-forwarded-proto", b"https")];
        let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7", claim));
        let step =
            pipeline.on_response(&mut facts, 200, true, &host(1), &mut Fake { tls, ..Fake::default() });
        step.ops.set.iter().any(|(name, _)| name == "strict-transport-security")
    };
    assert!(hsts(true) && !hsts(false));
}

#[test]
fn an_error_of_the_proxys_gets_our_body_and_all_browser_headers_and_a_services_own_is_left_alone() {
    let pipeline = pipeline_with(true);
    let request = || head("GET", "/api/v1/orders/7", &[("x-request-id", b"abc")]);
    let (mut facts, _) = judge(&pipeline, request());
    let mut timed_out = Fake { details: "response_timeout", ..Fake::default() };
    let step = pipeline.on_response(&mut facts, 504, true, &host(1), &mut timed_out);
    let body: Value = serde_json::from_slice(&step.body.unwrap()).unwrap();
    assert_eq!((body["code"].as_str(), body["request_id"].as_str()), (Some("SVC_001"), Some("abc")));
    assert!(step.ops.set.iter().any(|(name, _)| name == "x-frame-options"));

    let (mut facts, _) = judge(&pipeline, request());
    let step = pipeline.on_response(
        &mut facts,
        504,
        true,
        &host(1),
        &mut Fake { details: "via_upstream", ..Fake::default() },
    );
    assert_eq!(step.body, None);
    assert!(step.ops.is_empty());
}

#[test]
fn a_failure_is_told_as_the_transports_or_the_services_own() {
    let failure = |status, details, flags, complete| {
        let pipeline = alone();
        let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7", &[]));
        let mut stream = Fake { details, flags, ..Fake::default() };
        pipeline.on_response(&mut facts, status, true, &host(1), &mut stream);
        facts.complete = complete;
        pipeline
            .on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut stream)
            .observation
            .unwrap()
            .proxy_error
            .map(|(_, error)| error)
    };
    let failed = Some(ProxyError::RequestFailed);
    assert_eq!(failure(503, "upstream_reset_before_response_started", UC, true), failed);
    assert_eq!(failure(503, "via_upstream", 0, true), Some(ProxyError::Status(503)));
    assert_eq!(failure(404, "via_upstream", 0, true), None);
    for flags in [UC, UT, SI] {
        assert_eq!(failure(200, "via_upstream", flags, false), failed, "cut: {flags:x}");
        assert_eq!(failure(101, "via_upstream", flags, false), None, "an upgrade has no end: {flags:x}");
    }
    assert_eq!(failure(200, "via_upstream", DC, false), None);
    assert_eq!(failure(408, "stream_idle_timeout", SI, true), None, "the client's request has no end");
}

/// Bits of Envoy's response flags.
const UT: u64 = 1 << 2;
const UC: u64 = 1 << 6;
const DC: u64 = 1 << 14;
const SI: u64 = 1 << 16;

#[test]
fn a_path_that_the_proxy_refused_belongs_to_no_route_whatever_is_left_of_it() {
    let pipeline = alone();
    let mut stream = Fake { code: Some(400), details: "path_normalization_failed", ..Fake::default() };
    let record = pipeline.on_unseen(head("GET", "/api/v1/orders/7", &[]), &host(5), &mut stream);
    let seen = record.observation.unwrap();
    assert_eq!(seen.endpoint, pipeline.policy.catalogue.unmatched);
    assert_eq!(seen.routing_error, Some(RoutingError::InvalidPath), "whoever refused it");
}

#[test]
fn a_log_line_names_route_target_and_reason_and_no_query() {
    let pipeline = alone();
    let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7?token=secret", &[]));
    let mut refused =
        Fake { details: "upstream_reset_before_response_started{connection_timeout}", ..Fake::default() };
    pipeline.on_response(&mut facts, 503, true, &host(1), &mut refused);
    let line = line(&pipeline, &mut facts, &mut refused);
    assert_eq!(line["message"], "GET /api/v1/orders/7 -> order");
    assert_eq!(line["extra"]["endpoint"], "/api/v1/orders/{id}");
    assert_eq!(line["extra"]["details"], "upstream_reset_before_response_started{connection_timeout}");
    assert_eq!((line["level"].as_str(), line["extra"]["ip"].as_str()), (Some("ERROR"), Some("203.0.113.0")));
}

#[test]
fn trailers_do_not_smuggle_trust() {
    let trailers = Headers::from_pairs([("x-user-role", &b"admin"[..]), ("grpc-status", b"0")]);
    assert_eq!(alone().on_request_trailers(&trailers), [b"x-user-role".to_vec()]);
}

#[test]
fn a_client_that_left_before_the_answer_is_499_and_nobodys_fault() {
    let pipeline = alone();
    let (mut facts, _) = judge(&pipeline, head("GET", "/api/v1/orders/7", &[]));
    let mut stream = Fake { details: "downstream_remote_disconnect", ..Fake::default() };
    let seen =
        pipeline.on_done(&mut facts, &host(2), &mut pipeline.worker(0), &mut stream).observation.unwrap();
    assert_eq!((seen.status, seen.proxy_error, seen.micros), (499, None, 1_000_000));
}

#[test]
fn a_request_answered_before_it_reached_the_filter_is_counted_and_logged_all_the_same() {
    let pipeline = alone();
    let mut stream = Fake { code: Some(431), ..Fake::default() };
    let told: &[(&str, &[u8])] = &[("x-forwarded-for", b"203.0.113.9")];
    let record = pipeline.on_unseen(head("GET", "/api/v1/orders/7", told), &host(5), &mut stream);
    let seen = record.observation.unwrap();
    assert_eq!((seen.status, seen.endpoint, seen.service, seen.micros), (431, Endpoint(0), None, 250_000));
    let line: Value = serde_json::from_slice(&record.lines).unwrap();
    assert_eq!(
        (line["timestamp"].as_str(), line["extra"]["status"].as_u64()),
        (Some("1970-01-01T00:00:05.000Z"), Some(431))
    );
}
