//! What the gateway does, in Envoy's own words.

use crate::bootstrap::MUTATIONS;
use serde_json::{Map, Value, json};

/// The filter `header_mutation` with the mutations of a route configuration.
pub fn header_mutation(mutations: &Map<String, Value>) -> Value {
    let [remove, add, response_add, response_remove] = MUTATIONS.map(|name| list(mutations, name));
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {
                "request_mutations": both(remove, add),
                "response_mutations": both(response_remove, response_add),
            },
        },
    })
}

fn list<'a>(mutations: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    mutations.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn both(remove: &[Value], append: &[Value]) -> Vec<Value> {
    let remove = remove.iter().map(|name| json!({ "remove": name }));
    remove.chain(append.iter().map(|header| json!({ "append": header }))).collect()
}

/// The same line as the gateway's, as far as Envoy can: it knows no level, and no name of a route's template.
pub fn access_log() -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "json_format": line() },
        },
    })
}

fn line() -> Value {
    json!({
        "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "level": "INFO",
        "service": "gateway",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "action": "request",
        "message": "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% -> %UPSTREAM_CLUSTER%",
        "duration_ms": "%DURATION%",
        "extra": {
            "method": "%REQ(:METHOD)%",
            "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            "endpoint": "%ROUTE_NAME%",
            "status": "%RESPONSE_CODE%",
            "ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%",
            "target_service": "%UPSTREAM_CLUSTER%",
            "auth_flow": "none",
            "security_headers": true,
        },
    })
}
