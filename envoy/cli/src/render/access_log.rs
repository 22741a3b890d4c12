//! Log lines. The filter prepares a request's line; Envoy writes it.
//!
//! Streams that the filter never sees the end of (their headers cannot be read; its VM has just died) have no such line, and
//! get one of Envoy's, with less in it. Asking whether a line is there costs more than all the rest, so it is asked only
//! where a stream ended in no status (499 in the line), or in the one that Envoy answers with while there is no VM.

use super::Options;
use portcullis_edge_core::Namespace;
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// Envoy's answer while a VM is being restarted.
pub(super) const NO_VM: u32 = 503;
const MADE_UP_ID: &str = "%UNIQUE_ID%";

/// Where the filter leaves a request's line, as Envoy names it.
pub(super) fn line_of(policy: &Policy) -> String {
    format!("wasm.{}", Namespace::new(&policy.gateway.instance).log_line())
}

pub(super) fn access_log(policy: &Policy, options: &Options) -> Value {
    let usual = json!({ "and_filter": { "filters": [status("NE", 0), status("NE", NO_VM)] } });
    let left = line_of(policy);
    let is_there = expression(&format!("'{left}' in filter_state"));
    // Where lines are left out, a request without one may have any status.
    let prepared = match policy.logs.sampling.is_on() {
        true => is_there,
        false => json!({ "or_filter": { "filters": [usual, is_there] } }),
    };
    let prepared = json!({ "and_filter": { "filters": [at_the_end(), prepared] } });
    let line =
        json!({ "text_format_source": { "inline_string": format!("%FILTER_STATE({left}:PLAIN)%\n") } });
    // Where Envoy gives answers an id, the client has this one.
    let id = if options.offload { "%RESP(X-REQUEST-ID)%" } else { MADE_UP_ID };
    let name = &policy.gateway.name;
    json!([
        stdout(&prepared, &line),
        unseen(&left, 0, &line_of_envoys(name, "WARN", 499, MADE_UP_ID)),
        unseen(&left, NO_VM, &line_of_envoys(name, "ERROR", NO_VM, id)),
    ])
}

/// The lines of streams that ended in no status, and of those that ended while there was no VM, where the filter assigns the ids.
pub(super) fn unseen_lines(policy: &Policy) -> [Value; 2] {
    let name = &policy.gateway.name;
    [line_of_envoys(name, "WARN", 499, MADE_UP_ID), line_of_envoys(name, "ERROR", NO_VM, MADE_UP_ID)]
}

/// Writes `line` for streams that ended in `code` and have no line of the filter's, which it would have left as `left`.
fn unseen(left: &str, code: u32, line: &Value) -> Value {
    let no_line = expression(&format!("!('{left}' in filter_state)"));
    let filter = json!({ "and_filter": { "filters": [at_the_end(), status("EQ", code), no_line] } });
    stdout(&filter, &json!({ "json_format": line }))
}

/// Envoy can be made to log a request at its beginning too, and now and then: there is no line of it yet, and its end may be good.
fn at_the_end() -> Value {
    json!({ "log_type_filter": { "types": ["DownstreamEnd"] } })
}

fn stdout(filter: &Value, format: &Value) -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "filter": filter,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": format,
        },
    })
}

/// The fields of every line. Neither path nor address: Envoy can strike nothing out of them.
fn line_of_envoys(name: &str, level: &str, status: u32, id: &str) -> Value {
    json!({
        "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "level": level,
        "service": name,
        "request_id": id,
        "action": "request",
        "message": format!("- - -> {name}"),
        "duration_ms": "%DURATION%",
        "extra": {
            "method": "-",
            "path": "-",
            "endpoint": "unmatched",
            "status": status,
            "ip": "unknown",
            "target_service": name,
            "auth_flow": "none",
            "security_headers": false,
            "details": "%RESPONSE_CODE_DETAILS%",
        },
    })
}

fn status(op: &str, value: u32) -> Value {
    let value = json!({ "default_value": value, "runtime_key": format!("portcullis.log.status_{value}") });
    json!({ "status_code_filter": { "comparison": { "op": op, "value": value } } })
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
