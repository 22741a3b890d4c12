//! The configuration of an Envoy that does what a scenario says, and nothing else.

use serde_json::{Value, json};

use super::peer::Peers;
use crate::model::FailurePolicy;
use crate::plan::{Plan, Plugin, Target};

/// The file that the listener is read from, where a step changes it.
pub const DISCOVERY: &str = "listener.json";
/// The listener with the plugins.
pub const MAIN: &str = "main";
/// Ends what a request leaves in the access log, which may be several lines.
pub const END: &str = "-- end of request --";

const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The bootstrap, and what is in the listener's file if that is to be changed later.
pub fn bootstrap(plan: &Plan, peers: &Peers, listener: &Value, reloads: bool) -> (Value, Option<String>) {
    let clusters: Vec<_> = plan.upstreams.keys().map(|name| cluster(name, peers)).collect();
    let listeners = if reloads { Vec::new() } else { vec![listener.clone()] };
    // Envoy's own timers fire seldom: each of them costs a look at all loops while time passes.
    let seldom = json!({ "miss_timeout": "86400s", "megamiss_timeout": "86400s" });
    let mut bootstrap = json!({
        "node": { "id": "scenario", "cluster": "scenario" },
        "admin": {},
        "stats_flush_interval": "299s",
        "watchdogs": { "main_thread_watchdog": seldom, "worker_watchdog": seldom },
        "static_resources": { "listeners": listeners, "clusters": clusters },
    });
    if reloads {
        let source = json!({
            "path_config_source": { "path": format!("@FOLDER@/{DISCOVERY}") },
            "resource_api_version": "V3",
        });
        bootstrap["dynamic_resources"] = json!({ "lds_config": source });
    }
    (bootstrap, reloads.then(|| discovery(listener)))
}

/// The listener's file.
pub fn discovery(listener: &Value) -> String {
    let mut resource = listener.clone();
    resource["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
    json!({ "resources": [resource] }).to_string()
}

fn cluster(name: &str, peers: &Peers) -> Value {
    let address = peers.address(name);
    let endpoint = json!({ "endpoint": { "address": socket(&address.ip().to_string(), address.port()) } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
            },
        },
    })
}

fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// The listener with the plugins, each configured so.
pub fn listener(plan: &Plan, configurations: &[Vec<u8>]) -> Value {
    let plugins = plan.plugins.iter().zip(configurations);
    let mut filters: Vec<_> = plugins.map(|(plugin, config)| filter(plugin, config)).collect();
    filters.push(router());
    let format = plan.access_log.as_ref().map(|format| format!("{format}\n")).unwrap_or_default();
    let mut manager = manager(MAIN, routes(plan), filters);
    manager["access_log"] = json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "text_format_source": { "inline_string": format!("{format}{END}\n") } },
        },
    }]);
    let mut listener = listening(MAIN, manager);
    if plan.has_distant_clients() {
        listener["listener_filters"] = json!([{
            "name": "envoy.filters.listener.proxy_protocol",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                "allow_requests_without_proxy_protocol": true,
            },
        }]);
    }
    listener
}

fn listening(name: &str, manager: Value) -> Value {
    json!({
        "name": name,
        "address": socket("127.0.0.1", 0),
        "filter_chains": [{
            "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
        }],
    })
}

fn manager(name: &str, routes: Vec<Value>, filters: Vec<Value>) -> Value {
    json!({
        "@type": HCM,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": true,
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": { "enable_trailers": true },
        // A stream that breaks is closed at once: no time passes by itself.
        "delayed_close_timeout": "0s",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
        "http_filters": filters,
    })
}

fn router() -> Value {
    let config = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    json!({ "name": "envoy.filters.http.router", "typed_config": config })
}

fn routes(plan: &Plan) -> Vec<Value> {
    let each = plan.routes.iter().map(|route| {
        let mut entry = json!({ "match": { "prefix": route.prefix } });
        match &route.target {
            Target::Upstream(name) => entry["route"] = json!({ "cluster": name }),
            Target::Direct { status, body } => {
                let mut direct = json!({ "status": status });
                if !body.is_empty() {
                    direct["body"] = json!({ "inline_string": body });
                }
                entry["direct_response"] = direct;
            }
        }
        entry
    });
    each.collect()
}

fn filter(plugin: &Plugin, config: &[u8]) -> Value {
    let names: Vec<_> = plugin.env.keys().collect();
    let text = |bytes: &[u8]| {
        json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": String::from_utf8_lossy(bytes),
        })
    };
    let mut vm = json!({
        "vm_id": plugin.vm_id,
        "runtime": "envoy.wasm.runtime.v8",
        "code": { "local": { "filename": plugin.module.to_string_lossy() } },
        "environment_variables": { "host_env_keys": names },
    });
    if !plugin.vm_config.is_empty() {
        vm["configuration"] = text(plugin.vm_config.as_bytes());
    }
    let mut wasm = json!({
        "name": plugin.name,
        "root_id": plugin.root_id,
        "failure_policy": match plugin.failure_policy {
            FailurePolicy::Closed => "FAIL_CLOSED",
            FailurePolicy::Open => "FAIL_OPEN",
            FailurePolicy::Reload => "FAIL_RELOAD",
        },
        "vm_config": vm,
    });
    if !config.is_empty() {
        wasm["configuration"] = text(config);
    }
    json!({
        "name": format!("wasm.{}", plugin.name),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": wasm,
        },
    })
}
