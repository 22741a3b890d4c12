//! Answers that Envoy gives before any filter sees the request: garbage, oversized headers, a path it rejects.
//!
//! They get the same error body and browser headers as everybody's; the filter's own answers are told by their details and left
//! alone. Errors that the filter does see (a service that is down) it words itself.

use super::headers;
use portcullis_edge_core::Reason;
use portcullis_policy::Policy;
use serde_json::{Value, json};

pub(super) fn local_replies(policy: &Policy) -> Value {
    let mappers = [
        ("GE", 500, Reason::SERVICE_UNAVAILABLE),
        ("EQ", 431, Reason::TOO_LARGE),
        ("EQ", 413, Reason::TOO_LARGE),
        ("GE", 400, Reason::MALFORMED_REQUEST),
    ];
    let mappers: Vec<_> =
        mappers.into_iter().map(|(op, status, reason)| mapper(policy, op, status, reason)).collect();
    json!({ "local_reply_config": { "mappers": mappers } })
}

fn mapper(policy: &Policy, op: &str, status: u32, reason: Reason) -> Value {
    let answer = reason.answer();
    let mut mapper = json!({
        // The status first: it is cheap, and answers that are no errors end there.
        "filter": { "and_filter": { "filters": [status_is(op, status), not_ours()] } },
        "body_format_override": { "content_type": "application/json", "json_format": {
            "error": answer.code,
            "message": reason.message,
            "code": answer.code,
            "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "request_id": "%REQ(X-REQUEST-ID)%",
        } },
    });
    if let Some(added) = headers::browser(policy.browser.rules().iter()).remove("response_headers_to_add") {
        mapper["headers_to_add"] = added;
    }
    mapper
}

fn status_is(op: &str, status: u32) -> Value {
    json!({ "status_code_filter": { "comparison": {
        "op": op,
        "value": { "default_value": status, "runtime_key": format!("portcullis.local_reply_{status}") },
    } } })
}

fn not_ours() -> Value {
    json!({ "extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": "!response.code_details.startsWith('portcullis')",
        },
    } })
}
