//! The OpenTelemetry Collector that ships log lines.

use super::LABELS;
use serde_json::{Value, json};

/// Reads the lines of a file, parses them and sends them to the log store over OTLP. Where it stands in the file is kept on disk, so a
/// restart neither loses nor repeats a line; what the store does not take is tried again for as long as it takes. It counts no lines: how
/// many arrived, only the store can say ([`super::stored`]).
///
/// Settings come from the environment: `PORTCULLIS_LOG_FILES` (a glob), `PORTCULLIS_LOG_STORE` (an OTLP address over HTTP) and
/// `PORTCULLIS_COLLECTOR_STATE` (a folder).
#[must_use]
pub fn config() -> Value {
    json!({
        "extensions": { "file_storage": { "directory": "${env:PORTCULLIS_COLLECTOR_STATE}" } },
        "receivers": { "filelog": receiver() },
        "processors": {
            "groupbyattrs": { "keys": LABELS },
            "batch": { "timeout": "1s" },
        },
        "exporters": {
            "otlphttp": {
                "logs_endpoint": "${env:PORTCULLIS_LOG_STORE}",
                "retry_on_failure": { "enabled": true, "max_elapsed_time": "0s" },
                "sending_queue": { "enabled": true, "storage": "file_storage", "queue_size": 10_000 },
            },
        },
        "service": {
            "extensions": ["file_storage"],
            "pipelines": {
                "logs": { "receivers": ["filelog"], "processors": ["groupbyattrs", "batch"], "exporters": ["otlphttp"] },
            },
            "telemetry": {
                "metrics": { "readers": [{ "pull": { "exporter": { "prometheus": { "host": "127.0.0.1", "port": 8888 } } } }] },
            },
        },
    })
}

fn receiver() -> Value {
    json!({
        "include": ["${env:PORTCULLIS_LOG_FILES}"],
        "start_at": "beginning",
        "storage": "file_storage",
        "max_log_size": "64KiB",
        "include_file_name": false,
        "operators": [
            // What is no JSON is shipped as it is: it says less, but it is not lost.
            {
                "type": "json_parser", "parse_to": "attributes", "on_error": "send_quiet",
                "timestamp": { "parse_from": "attributes.timestamp", "layout_type": "gotime", "layout": "2006-01-02T15:04:05.000Z" },
                "severity": { "parse_from": "attributes.level" },
            },
            { "type": "move", "from": "attributes.message", "to": "body", "if": "attributes.message != nil" },
            { "type": "flatten", "field": "attributes.extra", "if": "attributes.extra != nil" },
            { "type": "remove", "field": "attributes.timestamp", "if": "attributes.timestamp != nil" },
        ],
    })
}
