//! What the proxy does before it runs out of memory or of connections.
//!
//! In this order as the heap fills: connections are not kept alive, streams that hold most are reset, nobody new is taken (503). A
//! proxy that is killed instead takes everybody with it.

use portcullis_policy::Policy;
use serde_json::{Value, json};

const MONITORS: &str = "type.googleapis.com/envoy.extensions.resource_monitors";
/// What an edge proxy should take before it refuses further connections.
const MOST_CONNECTIONS: u32 = 50_000;
/// Streams that hold less than 2^20 bytes are not worth a reset.
const SMALLEST_HOLDER: u32 = 20;

pub(super) fn manager(policy: &Policy) -> Value {
    json!({
        "refresh_interval": "0.25s",
        "buffer_factory_config": { "minimum_account_to_track_power_of_two": SMALLEST_HOLDER },
        "resource_monitors": [heap(policy), connections()],
        "actions": [
            action("shrink_heap", threshold(0.80)),
            action("disable_http_keepalive", threshold(0.90)),
            action("reset_high_memory_stream", json!({ "scaled": { "scaling_threshold": 0.90, "saturation_threshold": 0.97 } })),
            action("stop_accepting_requests", threshold(0.95)),
            action("stop_accepting_connections", threshold(0.98)),
        ],
    })
}

fn heap(policy: &Policy) -> Value {
    json!({
        "name": HEAP,
        "typed_config": {
            "@type": format!("{MONITORS}.fixed_heap.v3.FixedHeapConfig"),
            "max_heap_size_bytes": policy.gateway.max_heap_bytes,
        },
    })
}

fn connections() -> Value {
    json!({
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": format!("{MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig"),
            "max_active_downstream_connections": MOST_CONNECTIONS,
        },
    })
}

const HEAP: &str = "envoy.resource_monitors.fixed_heap";

fn action(name: &str, trigger: Value) -> Value {
    let mut trigger = trigger;
    trigger["name"] = HEAP.into();
    json!({ "name": format!("envoy.overload_actions.{name}"), "triggers": [trigger] })
}

fn threshold(value: f64) -> Value {
    json!({ "threshold": { "value": value } })
}
