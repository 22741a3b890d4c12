//! Answers that Envoy gives before any filter sees the request: garbage, oversized headers, a path it rejects.
//!
//! They get the same error body and browser headers as everybody's; the filter's own answers are told by their details and left
//! alone. Errors that the filter does see (a service that is down) it words itself.
//!
//! Their request id is one of Envoy's, made for the answer: the request may be refused before Envoy has replaced what the client wrote.

use super::headers;
use portcullis_edge_core::Reason;
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// The first that fits is taken: what is more exact stands before what is less.
const ERRORS: [(&str, u32, Reason); 6] = [
    ("EQ", 504, Reason::SERVICE_TIMEOUT),
    ("GE", 500, Reason::SERVICE_UNAVAILABLE),
    ("EQ", 431, Reason::TOO_LARGE),
    ("EQ", 413, Reason::TOO_LARGE),
    ("EQ", 404, Reason::NO_ROUTE),
    ("GE", 400, Reason::MALFORMED_REQUEST),
];

/// Where one of the policy's headers is for TLS alone: came the client so, or does a proxy in front say it did?
const OVER_TLS: &str = "connection.tls_version != '' || ('x-forwarded-proto' in request.headers && \
    request.headers['x-forwarded-proto'] in ['https', 'HTTPS'])";
const GRPC: &str =
    "'content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc')";

pub(super) fn local_replies(policy: &Policy) -> Value {
    let mappers: Vec<_> = ERRORS.iter().flat_map(|error| mappers(policy, error)).collect();
    json!({ "local_reply_config": { "mappers": mappers } })
}

/// The mappers of one error: for gRPC, for clients over TLS where that matters, for all others.
fn mappers(policy: &Policy, (op, status, reason): &(&str, u32, Reason)) -> Vec<Value> {
    let base = [status_is(op, *status), expression("!response.code_details.startsWith('portcullis')")];
    let only = |text: &str| base.iter().cloned().chain([expression(text)]).collect::<Vec<_>>();
    let mut mappers = vec![mapper(policy, only(GRPC), sentence(reason), false)];
    if policy.browser.rules().iter().any(|rule| rule.tls_only) {
        mappers.push(mapper(policy, only(OVER_TLS), error_body(reason), true));
    }
    mappers.push(mapper(policy, base.to_vec(), error_body(reason), false));
    mappers
}

/// The status stands first in `filters`: it is cheap, and answers that are no errors end there.
fn mapper(policy: &Policy, filters: Vec<Value>, body: Value, over_tls: bool) -> Value {
    let rules = policy.browser.rules().iter();
    let mut added = headers::to_add(rules, over_tls);
    added.push(headers::set("x-request-id", "%UNIQUE_ID%"));
    added.push(headers::set("cache-control", "no-store"));
    json!({
        "filter": { "and_filter": { "filters": filters } },
        "headers_to_add": added,
        "body_format_override": body,
    })
}

fn error_body(reason: &Reason) -> Value {
    let code = reason.answer().code;
    json!({ "content_type": "application/json", "json_format": {
        "error": code,
        "message": reason.message,
        "code": code,
        "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "request_id": "%RESP(X-REQUEST-ID)%",
    } })
}

/// Envoy makes `grpc-message` of it.
fn sentence(reason: &Reason) -> Value {
    json!({ "text_format_source": { "inline_string": reason.message } })
}

fn status_is(op: &str, status: u32) -> Value {
    json!({ "status_code_filter": { "comparison": {
        "op": op,
        "value": { "default_value": status, "runtime_key": format!("portcullis.local_reply_{status}") },
    } } })
}

fn expression(text: &str) -> Value {
    json!({ "extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": text,
        },
    } })
}
