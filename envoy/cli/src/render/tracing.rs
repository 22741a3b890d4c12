//! Traces: their contexts begin before any filter sees a request, and Envoy's OpenTelemetry tracer goes on with them.
//!
//! Envoy begins a span before the filters run and tells them nothing of it. So the context is made first, of random digits: a UUID's
//! first eight are random, and a format can cut a header's value to them. The tracer continues it as it does a client's.

use super::routes::seconds;
use portcullis_policy::{Policy, Tracing};
use serde_json::{Value, json};

/// Headers that hold random digits for a moment: four make the trace's id, two the span's.
const DIGITS: [&str; 6] = [
    "x-portcullis-1",
    "x-portcullis-2",
    "x-portcullis-3",
    "x-portcullis-4",
    "x-portcullis-5",
    "x-portcullis-6",
];

/// What the connection manager needs; nothing without a section `tracing`.
pub(super) fn parts(policy: &Policy) -> Value {
    let Some(tracing) = &policy.tracing else { return json!({}) };
    let mut parts = json!({ "early_header_mutation_extensions": [{
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": mutations(tracing),
        },
    }] });
    if let Some(collector) = &tracing.collector {
        parts["tracing"] = tracer(policy, tracing, collector);
    }
    parts
}

fn mutations(tracing: &Tracing) -> Vec<Value> {
    let digits = DIGITS.map(|name| set(name, "%UNIQUE_ID%", "OVERWRITE_IF_EXISTS_OR_ADD"));
    let [a, b, c, d, e, f] = DIGITS.map(|name| format!("%REQ({name}):8%"));
    let context = format!("00-{a}{b}{c}{d}-{e}{f}-01");
    let begins = match tracing.continues {
        true => vec![set("traceparent", &context, "ADD_IF_ABSENT")],
        // What vendors said of the client's trace says nothing of this one.
        false => vec![
            set("traceparent", &context, "OVERWRITE_IF_EXISTS_OR_ADD"),
            json!({ "remove": "tracestate" }),
        ],
    };
    let removed = DIGITS.map(|name| json!({ "remove": name }));
    digits.into_iter().chain(begins).chain(removed).collect()
}

fn set(name: &str, value: &str, action: &str) -> Value {
    json!({ "append": { "header": { "key": name, "value": value }, "append_action": action } })
}

fn tracer(policy: &Policy, tracing: &Tracing, collector: &str) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": policy.gateway.name,
        "grpc_service": { "envoy_grpc": { "cluster_name": collector }, "timeout": seconds(tracing.timeout) },
    });
    if tracing.percent < 100.0 {
        let sampler = "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig";
        let millionths = (tracing.percent * 10_000.0).round();
        config["sampler"] = json!({
            "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
            "typed_config": {
                "@type": sampler,
                "sampling_percentage": { "numerator": millionths as u64, "denominator": "MILLION" },
            },
        });
    }
    json!({
        "random_sampling": { "value": 100 },
        "spawn_upstream_span": false,
        "provider": { "name": "envoy.tracers.opentelemetry", "typed_config": config },
    })
}
