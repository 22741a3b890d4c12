use super::{
    Options, access_log, bodies, downstream, local_replies, plugin, routes, socket_address, tracing,
};
use portcullis_metrics::METRICS_ROUTE;
use portcullis_policy::{Policy, Upgrade};
use serde_json::{Value, json};

pub(super) const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// What a connection may hold of a body or an answer before its other side is made to wait.
pub(super) const BUFFER_BYTES: u32 = 32_768;

/// The gateway's listener, and those beside it.
pub(super) fn listeners(document: &Value, policy: &Policy, options: &Options) -> Vec<Value> {
    let metrics = options.metrics_listener.then(|| metrics_listener(document, policy, options));
    let beside = downstream::redirect_listener(policy, options);
    std::iter::once(listener(document, policy, options)).chain(metrics).chain(beside).collect()
}

fn listener(document: &Value, policy: &Policy, options: &Options) -> Value {
    let address = options.listen.as_ref().unwrap_or(&policy.gateway.listen);
    let mut own = json!({ "http_filters": filters(document, policy, options) });
    match &options.dynamic {
        None => own["route_config"] = routes::route_config(policy, options),
        Some(folder) => {
            let source = super::dynamic::source(folder, "routes");
            own["rds"] = json!({ "route_config_name": policy.gateway.name, "config_source": source });
        }
    }
    let mut listener = listening(&policy.gateway.name, address, connection_manager(policy, options, own));
    if let Some(tls) = &policy.gateway.tls {
        listener["filter_chains"][0]["transport_socket"] = downstream::transport_socket(tls, options);
        // Which certificate is shown follows from the name that the client asks for.
        listener["listener_filters"] = json!([{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            },
        }]);
    }
    listener
}

/// A listener that answers with the metrics and the health page. The filter knows it by the name of its route, which no client can
/// write.
fn metrics_listener(document: &Value, policy: &Policy, options: &Options) -> Value {
    let address = options.metrics.as_ref().unwrap_or(&policy.metrics.listen);
    let name = format!("{}_metrics", policy.gateway.name);
    let page = json!({
        "name": METRICS_ROUTE,
        "match": { "path": policy.metrics.path },
        "direct_response": { "status": 404 },
    });
    let own = json!({
        "stat_prefix": name,
        "http_filters": [compressor(), plugin::plugin(document, policy, options), router()],
        "route_config": { "name": name, "virtual_hosts": [{ "name": name, "domains": ["*"], "routes": [page] }] },
    });
    listening(&name, address, connection_manager(policy, options, own))
}

/// A page of ten thousand series is a megabyte, and a tenth of it compressed. Envoy's own compressor takes a quarter of the time that
/// one inside the VM would.
fn compressor() -> Value {
    json!({
        "name": "envoy.filters.http.compressor",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
            "response_direction_config": { "common_config": {
                "min_content_length": 1_024,
                "content_type_matcher": [{ "prefix": "text/plain" }, { "prefix": "application/openmetrics-text" }],
            } },
            "compressor_library": {
                "name": "gzip",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
                    "compression_level": "BEST_SPEED",
                    "memory_level": 9,
                    "window_bits": 15,
                    "chunk_size": 65_536,
                },
            },
        },
    })
}

fn listening(name: &str, address: &str, manager: Value) -> Value {
    json!({
        "name": name,
        "address": socket_address(address),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

/// The parts that all listeners have alike, and what is one's `own`.
fn connection_manager(policy: &Policy, options: &Options, own: Value) -> Value {
    let mut manager = json!({
        "@type": HCM,
        "stat_prefix": policy.gateway.name,
        "access_log": access_log::access_log(policy, options),
    });
    let replies = if options.offload { local_replies::local_replies(policy) } else { json!({}) };
    for part in [
        identity(policy, options),
        paths(policy),
        limits(policy),
        upgrades(policy),
        tracing::parts(policy),
        replies,
        own,
    ] {
        if let (Some(fields), Value::Object(part)) = (manager.as_object_mut(), part) {
            fields.extend(part);
        }
    }
    manager
}

/// Who the client is, and the request's id: made here, or taken over from a trusted proxy in front.
fn identity(policy: &Policy, options: &Options) -> Value {
    let hops = policy.client_ip.least_hops();
    json!({
        // Never left out: without it Envoy takes the connection's address from what the client wrote into X-Forwarded-For,
        // and no filter can find out the true one.
        "use_remote_address": true,
        "xff_num_trusted_hops": hops,
        "generate_request_id": options.offload,
        "preserve_external_request_id": options.offload && hops > 0,
        // No banner of Envoy's; the services' is removed by the policy.
        "server_header_transformation": "PASS_THROUGH",
    })
}

/// One normal form of every path, the same as the filter's.
fn paths(policy: &Policy) -> Value {
    // Where a route takes escaped slashes, the filter refuses them on all others.
    let keeps = policy.table.keeps_escaped_slashes();
    let mut paths = json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": if keeps { "KEEP_UNCHANGED" } else { "REJECT_REQUEST" },
        "http_protocol_options": http_protocol_options(),
    });
    if policy.table.looks_at_hosts() {
        paths["strip_trailing_host_dot"] = true.into();
    }
    paths
}

/// Old balancers' checks speak HTTP/1.0, and need name no host.
pub(super) fn http_protocol_options() -> Value {
    json!({ "accept_http_10": true, "default_host_for_http_10": "localhost" })
}

/// Upgrades are off, save on the routes that allow them.
fn upgrades(policy: &Policy) -> Value {
    if policy.routes.iter().all(|route| route.upgrades.is_empty()) {
        return json!({});
    }
    json!({
        "upgrade_configs": [routes::upgrade_config(Upgrade::WebSocket, false)],
        // RFC 8441: browsers open WebSockets on the HTTP/2 connection that they have, if they may.
        "http2_protocol_options": http2_protocol_options(true),
    })
}

/// What an edge proxy should bound.
fn limits(policy: &Policy) -> Value {
    json!({
        "request_headers_timeout": "10s",
        // Ends with the last byte of the request, or with the first of the answer: a stream that is answered may go on.
        "request_timeout": routes::seconds(policy.gateway.request_timeout),
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": { "idle_timeout": "900s" },
        "http2_protocol_options": http2_protocol_options(false),
    })
}

fn http2_protocol_options(allow_connect: bool) -> Value {
    let mut options = json!({
        "max_concurrent_streams": 100,
        "initial_stream_window_size": 65_536,
        "initial_connection_window_size": 1_048_576,
        // A malformed request ends its own stream, not all others on the connection of a balancer in front.
        "override_stream_error_on_invalid_http_message": true,
    });
    if allow_connect {
        options["allow_connect"] = true.into();
    }
    options
}

fn filters(document: &Value, policy: &Policy, options: &Options) -> Vec<Value> {
    let mut filters = Vec::new();
    if policy.gateway.grpc_web {
        // In front, so that all others see gRPC, and the gateway's own denials come back in gRPC-Web.
        filters.push(json!({
            "name": "envoy.filters.http.grpc_web",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb" },
        }));
    }
    filters.push(plugin::plugin(document, policy, options));
    filters.extend(bodies::filter(policy));
    if policy.cors.is_some() {
        filters.push(json!({
            "name": "envoy.filters.http.cors",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors" },
        }));
    }
    filters.push(router());
    filters
}

pub(super) fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    })
}
