//! Spans: the rendered tracing configuration sends them to a real OpenTelemetry Collector, with the trace id that the log line has.

use crate::receivers::{Inbox, slack};
use portcullis_e2e::{Gateway, Request, ReservedPort};
use portcullis_monitoring_tests::stack::Process;
use portcullis_monitoring_tests::tool;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector that takes OTLP over gRPC and sends what it has to `port` as JSON.
fn collector(folder: &Path, otlp: &ReservedPort, health: &ReservedPort, port: u16) -> Process {
    let config = json!({
        "receivers": { "otlp": { "protocols": { "grpc": { "endpoint": otlp.address().to_string() } } } },
        "exporters": { "otlphttp": {
            "traces_endpoint": format!("http://127.0.0.1:{port}/v1/traces"), "encoding": "json", "compression": "none",
        } },
        "service": {
            "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["otlphttp"] } },
            "telemetry": { "metrics": { "readers": [
                { "pull": { "exporter": { "prometheus": { "host": "127.0.0.1", "port": health.port() } } } },
            ] } },
        },
    });
    std::fs::write(folder.join("collector.yaml"), config.to_string()).expect("it can be written");
    let mut command = Command::new(tool("otelcol"));
    command.arg(format!("--config={}", folder.join("collector.yaml").display()));
    Process::start(command, &format!("http://{}/metrics", health.address()), &folder.join("collector.log"))
}

/// All spans of a message, with the name of their service.
fn spans(message: &str) -> Vec<(String, Value)> {
    let message: Value = serde_json::from_str(message).expect("JSON");
    let mut all = Vec::new();
    for resource in message["resourceSpans"].as_array().into_iter().flatten() {
        let names = resource["resource"]["attributes"].as_array().into_iter().flatten();
        let name = names
            .filter(|name| name["key"] == "service.name")
            .map(|name| name["value"]["stringValue"].clone());
        let name = name.filter_map(|name| name.as_str().map(str::to_owned)).next().unwrap_or_default();
        let scopes = resource["scopeSpans"].as_array().into_iter().flatten();
        all.extend(
            scopes
                .flat_map(|scope| scope["spans"].as_array().into_iter().flatten())
                .map(|span| (name.clone(), span.clone())),
        );
    }
    all
}

#[test]
fn a_collector_gets_a_span_of_the_trace_that_the_log_line_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (otlp, health, inbox) = (ReservedPort::new(), ReservedPort::new(), Inbox::default());
    let _collector = collector(folder.path(), &otlp, &health, slack(&inbox));
    let address = otlp.address().to_string();
    let gateway = Gateway::setup()
        .policy(|policy| {
            policy["clusters"] = json!({ "collector": { "address": address } });
            policy["tracing"] = json!({ "collector": "collector", "timeout": "10s" });
        })
        .start();
    let assets = || Request::get("/api/v1/inventory/assets");
    let continued = assets().header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    let mut traces = Vec::new();
    for (request, parent) in [(continued, "b7ad6b7169203331"), (assets(), "")] {
        let answer = gateway.send(&request);
        assert_eq!(answer.status, 200);
        let line = gateway.log_line_of(&answer);
        let trace =
            line["extra"]["trace_id"].as_str().unwrap_or_else(|| panic!("no trace id in {line}")).to_owned();
        let found = spans(&inbox.wait_for(&trace)).into_iter().find(|(_, span)| span["traceId"] == *trace);
        let (service, span) = found.expect("a span of this trace");
        assert_eq!((service.as_str(), &span["kind"]), ("gateway", &json!(2)), "a span of a server: {span}");
        if !parent.is_empty() {
            assert_eq!((&*trace, &span["parentSpanId"]), (TRACE, &json!(parent)), "{span}");
        }
        traces.push(trace);
    }
    assert_ne!(traces[0], traces[1], "a request without a trace begins one");
    println!("spans of {traces:?} arrived");
}
