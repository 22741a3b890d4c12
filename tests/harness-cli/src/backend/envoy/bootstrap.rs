//! The configuration of an Envoy that does what a scenario says, and nothing else.

use serde_json::{Value, json};

use super::peer::Peers;
use super::shared;
use crate::model::{Clients, FailurePolicy, Node};
use crate::plan::{Listening, Plan, Plugin, Route, Target};

/// The file that the listener is read from, where a step changes it.
pub const DISCOVERY: &str = "listener.json";
/// The listener with the plugins.
pub const MAIN: &str = "main";
/// Ends what a request leaves in the access log, which may be several lines.
pub const END: &str = "-- end of request --";

const HTTP_FILTER: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const NETWORK_FILTER: &str = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";
const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The bootstrap, and what is in the listener's file if that is to be changed later.
pub fn bootstrap(plan: &Plan, peers: &Peers, listener: &Value, reloads: bool) -> (Value, Option<String>) {
    let clusters: Vec<_> = plan.upstreams.keys().map(|name| cluster(name, plan, peers)).collect();
    let mut listeners = shared::listeners(plan);
    if !reloads {
        listeners.push(listener.clone());
    }
    // Envoy's own timers fire seldom: each of them costs a look at all loops while time passes.
    let seldom = json!({ "miss_timeout": "86400s", "megamiss_timeout": "86400s" });
    let mut bootstrap = json!({
        "node": node(&plan.node),
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

fn node(node: &Node) -> Value {
    let place = &node.locality;
    let mut out = json!({ "id": node.id(), "cluster": node.cluster() });
    if [&place.region, &place.zone, &place.sub_zone].iter().any(|part| !part.is_empty()) {
        out["locality"] = json!({ "region": place.region, "zone": place.zone, "sub_zone": place.sub_zone });
    }
    if let Some(metadata) = &node.metadata {
        out["metadata"] = metadata.clone();
    }
    out
}

fn cluster(name: &str, plan: &Plan, peers: &Peers) -> Value {
    let address = peers.address(name);
    let protocol = match plan.is_grpc(name) {
        true => json!({ "http2_protocol_options": {} }),
        false => json!({ "http_protocol_options": { "enable_trailers": true } }),
    };
    let endpoint = json!({ "endpoint": { "address": socket(&address.ip().to_string(), address.port()) } });
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            },
        },
    });
    if let Some(values) = plan.cluster_metadata.get(name) {
        cluster["metadata"] = json!({ "filter_metadata": values });
    }
    cluster
}

fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// The listener with the plugins, each configured so.
pub fn listener(plan: &Plan, configurations: &[Vec<u8>]) -> Value {
    let plugins = plan.plugins.iter().zip(configurations);
    let kind = if plan.is_tcp() { NETWORK_FILTER } else { HTTP_FILTER };
    let mut filters: Vec<_> = plugins.map(|(plugin, config)| filter(kind, plugin, config)).collect();
    if plan.is_tcp() {
        filters.push(tcp_proxy(plan.tcp_upstream().unwrap_or_default()));
        return listening(MAIN, filters);
    }
    filters.push(router());
    let format = plan.access_log.as_ref().map(|format| format!("{format}\n")).unwrap_or_default();
    let mut manager = manager(MAIN, hosts(plan), filters);
    manager["access_log"] = json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "text_format_source": { "inline_string": format!("{format}{END}\n") } },
        },
    }]);
    let mut listener = listening(
        MAIN,
        vec![json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager })],
    );
    let mut before = Vec::new();
    if plan.has_distant_clients() {
        before.push(json!({
            "name": "envoy.filters.listener.proxy_protocol",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                "allow_requests_without_proxy_protocol": true,
            },
        }));
    }
    if let Some(tls) = &plan.tls {
        before.push(json!({
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            },
        }));
        listener["filter_chains"][0]["transport_socket"] = transport_socket(tls);
    }
    listener["listener_filters"] = before.into();
    listener
}

fn transport_socket(tls: &Listening) -> Value {
    let inline = |text: &str| json!({ "inline_string": text });
    let mut common = json!({
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_2" },
        "tls_certificates": [{
            "certificate_chain": inline(&tls.own.pem), "private_key": inline(&tls.own.key_pem),
        }],
    });
    if tls.clients != Clients::None {
        common["validation_context"] = json!({ "trusted_ca": inline(&tls.authority) });
    }
    let config = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": tls.clients == Clients::Required,
        "common_tls_context": common,
    });
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": config })
}

/// The TCP proxy, behind network filters.
fn tcp_proxy(cluster: &str) -> Value {
    let config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": MAIN,
        "cluster": cluster,
    });
    json!({ "name": "envoy.filters.network.tcp_proxy", "typed_config": config })
}

fn listening(name: &str, filters: Vec<Value>) -> Value {
    json!({
        "name": name,
        "address": socket("127.0.0.1", 0),
        "filter_chains": [{ "filters": filters }],
    })
}

/// A listener beside that of the plugins, whose only filter answers all requests.
pub fn beside(name: &str, plugin: &Value) -> Value {
    let filter = json!({
        "name": "wasm",
        "typed_config": { "@type": HTTP_FILTER, "config": plugin },
    });
    let manager = manager(name, Vec::new(), vec![filter, router()]);
    listening(
        name,
        vec![json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager })],
    )
}

fn manager(name: &str, hosts: Vec<Value>, filters: Vec<Value>) -> Value {
    json!({
        "@type": HCM,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": true,
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": { "enable_trailers": true },
        // A stream that breaks is closed at once: no time passes by itself.
        "delayed_close_timeout": "0s",
        "route_config": { "virtual_hosts": hosts },
        "http_filters": filters,
    })
}

fn router() -> Value {
    let config = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    json!({ "name": "envoy.filters.http.router", "typed_config": config })
}

/// One virtual host for each host that routes name, and one for all others.
fn hosts(plan: &Plan) -> Vec<Value> {
    let mut hosts: Vec<Option<&String>> = vec![None];
    for route in &plan.routes {
        if !hosts.contains(&route.host.as_ref()) {
            hosts.push(route.host.as_ref());
        }
    }
    let host = |host: Option<&String>| {
        let own =
            plan.routes.iter().filter(|route| route.host.as_ref() == host).map(route).collect::<Vec<_>>();
        let (name, domain) = host.map_or(("all", "*"), |host| (host.as_str(), host.as_str()));
        json!({ "name": name, "domains": [domain], "routes": own })
    };
    hosts.into_iter().map(host).collect()
}

fn route(route: &Route) -> Value {
    let header =
        |(name, value): (&String, &String)| json!({ "name": name, "string_match": { "exact": value } });
    let headers: Vec<_> = route.headers.iter().map(header).collect();
    let mut entry = json!({ "name": route.name, "match": { "prefix": route.prefix, "headers": headers } });
    if !route.metadata.is_empty() {
        entry["metadata"] = json!({ "filter_metadata": route.metadata });
    }
    match &route.target {
        Target::Upstream(name) => {
            entry["route"] = json!({ "cluster": name });
            if let Some(timeout) = route.timeout {
                entry["route"]["timeout"] = format!("{}s", timeout.as_secs_f64()).into();
            }
        }
        Target::Direct { status, body } => {
            let mut direct = json!({ "status": status });
            if !body.is_empty() {
                direct["body"] = json!({ "inline_string": body });
            }
            entry["direct_response"] = direct;
        }
    }
    entry
}

fn filter(kind: &str, plugin: &Plugin, config: &[u8]) -> Value {
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
            "@type": kind,
            "config": wasm,
        },
    })
}
