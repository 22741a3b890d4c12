//! What lines say of how a request ended, and which are left out.

use crate::tests::{at, head};
use crate::{Facts, Pipeline, Record, Stream, Worker};
use portcullis_edge_core::{Headers, MemoryHost};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn policy(more: Value) -> Value {
    let mut policy = json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/orders", "methods": ["GET"], "service": "order" }],
    });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

struct Gateway {
    pipeline: Pipeline,
    worker: Worker,
    host: MemoryHost,
}

/// An end with these flags (`CoreResponseFlag`).
struct End(u64);

const CLIENT_LEFT: u64 = 1 << 14;
const SERVICE_CUT: u64 = 1 << 6;

impl Stream for End {
    fn response_headers(&mut self) -> Headers {
        Headers::default()
    }

    fn code_details(&mut self) -> Vec<u8> {
        b"via_upstream".to_vec()
    }

    fn response_flags(&mut self) -> u64 {
        self.0
    }

    fn response_code(&mut self) -> Option<u16> {
        None
    }

    fn client_tls(&mut self) -> bool {
        false
    }

    fn upstream_nanos(&mut self) -> Option<u64> {
        Some(12_034_567)
    }

    fn upstream_host(&mut self) -> Vec<u8> {
        b"127.0.0.1:8002".to_vec()
    }

    fn request_bytes(&mut self) -> Option<u64> {
        Some(3)
    }

    fn response_bytes(&mut self) -> Option<u64> {
        Some(70_000)
    }

    fn duration_nanos(&mut self) -> u64 {
        0
    }
}

impl Gateway {
    fn new(more: Value) -> Self {
        let json = policy(more).to_string();
        let pipeline = Pipeline::compile(json.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        let worker = pipeline.worker(1);
        Self { pipeline, worker, host: MemoryHost::at(at(1)) }
    }

    fn ask(&mut self, method: &str, more: &[(&str, &[u8])]) -> Facts {
        self.pipeline.on_request(head(method, "/orders", more), &self.host, &mut self.worker).0
    }

    fn done(&mut self, facts: &mut Facts, flags: u64) -> Record {
        self.pipeline.on_done(facts, &self.host, &mut self.worker, &mut End(flags))
    }

    /// The line of a request with an answer of this status, which comes to its end or does not.
    fn line(&mut self, more: &[(&str, &[u8])], status: u16, is_whole: bool, flags: u64) -> Value {
        let mut facts = self.ask("GET", more);
        self.pipeline.on_response(&mut facts, status, !is_whole, &self.host, &mut End(flags));
        serde_json::from_slice(&self.done(&mut facts, flags).lines).unwrap()
    }
}

fn said(line: &Value) -> (Value, Value) {
    (line["extra"]["stream"].clone(), line["extra"]["ended_by"].clone())
}

#[test]
fn a_stream_says_what_it_was_and_who_ended_it() {
    let mut gateway = Gateway::new(json!({}));
    let upgrade: &[(&str, &[u8])] = &[("upgrade", b"websocket"), ("connection", b"upgrade")];
    let events: &[(&str, &[u8])] = &[("accept", b"text/event-stream")];
    let call: &[(&str, &[u8])] = &[("content-type", b"application/grpc+proto")];
    for (more, status, is_whole, flags, expected) in [
        (&[][..], 200, true, 0, (Value::Null, Value::Null)),
        (&[], 200, false, CLIENT_LEFT, (Value::Null, json!("client"))),
        (&[], 200, false, SERVICE_CUT, (Value::Null, json!("service"))),
        (events, 200, false, CLIENT_LEFT, (json!("event_stream"), json!("client"))),
        (events, 200, true, 0, (json!("event_stream"), Value::Null)),
        (events, 404, true, 0, (Value::Null, Value::Null)),
        (call, 200, true, 0, (json!("grpc"), Value::Null)),
        (upgrade, 101, false, CLIENT_LEFT, (json!("websocket"), json!("client"))),
        (upgrade, 101, false, SERVICE_CUT, (json!("websocket"), json!("service"))),
        (upgrade, 101, true, 0, (json!("websocket"), Value::Null)),
        // The client asked for an upgrade and got none.
        (upgrade, 200, true, 0, (Value::Null, Value::Null)),
    ] {
        assert_eq!(said(&gateway.line(more, status, is_whole, flags)), expected, "{more:?} {status} {flags}");
    }
}

#[test]
fn a_client_that_leaves_before_its_answer_has_a_line_that_says_so() {
    let mut gateway = Gateway::new(json!({}));
    let mut facts = gateway.ask("GET", &[]);
    let line: Value = serde_json::from_slice(&gateway.done(&mut facts, CLIENT_LEFT).lines).unwrap();
    assert_eq!((&line["extra"]["status"], &line["level"]), (&json!(499), &json!("WARN")));
    assert_eq!(line["extra"]["ended_by"], "client");
}

#[test]
fn the_policys_fields_say_what_the_proxy_knows() {
    let mut gateway = Gateway::new(json!({ "logs": { "fields": {
        "host": { "from": "upstream_host" }, "ms": { "from": "upstream_ms" }, "sent": { "from": "request_bytes" },
        "got": { "from": "response_bytes" }, "flags": { "from": "flags" }, "none": { "from": "header:x-none" },
    } } }));
    let line = gateway.line(&[], 200, false, SERVICE_CUT | 1 << 2);
    for (name, value) in [
        ("host", json!("127.0.0.1:8002")),
        ("ms", json!(12.034)),
        ("sent", json!(3)),
        ("got", json!(70_000)),
        ("flags", json!("UT,UC")),
        ("none", Value::Null),
    ] {
        assert_eq!(line["extra"][name], value, "{name}");
    }
}

#[test]
fn a_good_request_may_be_left_out_and_one_that_ended_badly_never() {
    let mut gateway = Gateway::new(json!({ "logs": { "sampling": { "good": 0 } } }));
    for (status, is_whole, flags, is_written) in [
        (200, true, 0, false),
        (304, true, 0, false),
        (200, false, CLIENT_LEFT, true),
        (404, true, 0, true),
        (500, true, 0, true),
    ] {
        let mut facts = gateway.ask("GET", &[]);
        gateway.pipeline.on_response(&mut facts, status, !is_whole, &gateway.host, &mut End(flags));
        let record = gateway.done(&mut facts, flags);
        let counts = (record.line_counts.request, record.line_counts.sampled);
        assert_eq!(
            (!record.lines.is_empty(), counts),
            (is_written, (is_written.into(), (!is_written).into()))
        );
    }
}

#[test]
fn the_next_line_of_an_action_says_how_many_were_left_out() {
    let blocked = json!({ "abuse": { "blocked": { "networks": ["203.0.113.0/24"] } },
        "logs": { "sampling": { "security": { "suspicious_activity": 20 } } } });
    let mut gateway = Gateway::new(blocked);
    let (mut left_out, mut told, mut written) = (0, 0, 0);
    for number in 0..400_u32 {
        gateway.host = MemoryHost::at(at(u64::from(number)));
        let id = format!("request-{number}");
        let mut facts = gateway.ask("GET", &[]);
        facts.request_id = crate::request_id::RequestId::Ours(id);
        let record = gateway.done(&mut facts, 0);
        left_out += record.line_counts.sampled;
        written += record.line_counts.security;
        let text = String::from_utf8(record.lines).unwrap();
        assert_eq!(
            text.lines().count() as u64,
            record.line_counts.security + 1,
            "its own line is always written"
        );
        let event = text.lines().next().filter(|_| record.line_counts.security > 0);
        let event = event.map(|line| serde_json::from_str::<Value>(line).unwrap());
        told += event.and_then(|event| event["extra"]["left_out"].as_u64()).unwrap_or(0);
    }
    assert_eq!(left_out + written, 400);
    assert!((40..120).contains(&written), "a fifth: {written}");
    assert!(told > 0 && told <= left_out && left_out - told < 60, "{told} of {left_out}");
}

#[test]
fn a_trace_goes_on_unless_the_policy_begins_all_anew() {
    const GIVEN: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let given: &[(&str, &[u8])] = &[("traceparent", GIVEN)];
    let twice: &[(&str, &[u8])] = &[("traceparent", GIVEN), ("traceparent", GIVEN)];
    for (section, more, goes_on) in [
        (json!({}), given, true),
        (json!({}), twice, false),
        (json!({ "continues": false }), given, false),
        (json!({}), &[], false),
    ] {
        let mut gateway = Gateway::new(json!({ "tracing": section }));
        let (facts, step) =
            gateway.pipeline.on_request(head("GET", "/orders", more), &gateway.host, &mut gateway.worker);
        let crate::Step::Forward(ops) = step else { panic!("{step:?}") };
        let sent = ops.set.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.clone());
        assert_eq!(sent.is_none(), goes_on, "{section} {more:?}");
        let shown = facts.context.unwrap().header();
        assert_eq!(shown.as_bytes() == GIVEN, goes_on);
        assert!(sent.is_none_or(|sent| sent == shown.into_bytes()));
    }
}
