use super::{Options, access_log, local_replies, plugin, routes, socket_address};
use portcullis_policy::Policy;
use serde_json::{Value, json};

pub(super) const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

pub(super) fn listener(document: &Value, policy: &Policy, options: &Options) -> Value {
    let address = options.listen.as_ref().unwrap_or(&policy.gateway.listen);
    json!({
        "name": policy.gateway.name,
        "address": socket_address(address),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(document, policy, options),
        }] }],
    })
}

fn connection_manager(document: &Value, policy: &Policy, options: &Options) -> Value {
    let mut manager = json!({ "@type": HCM, "stat_prefix": policy.gateway.name });
    let replies = if options.offload { local_replies::local_replies(policy) } else { json!({}) };
    let parts = [identity(policy, options), paths(), limits(), replies, filters(document, policy, options)];
    for part in parts {
        if let (Some(fields), Value::Object(part)) = (manager.as_object_mut(), part) {
            fields.extend(part);
        }
    }
    manager
}

/// Who the client is, and the request's id: made here, or taken over from a trusted proxy in front.
fn identity(policy: &Policy, options: &Options) -> Value {
    let hops = policy.client_ip.trusted_hops();
    json!({
        // Never left out: without it Envoy takes the connection's address from what the client wrote into X-Forwarded-For,
        // and no filter can find out the true one.
        "use_remote_address": true,
        "xff_num_trusted_hops": hops,
        "generate_request_id": options.offload,
        "preserve_external_request_id": options.offload && hops > 0,
        "always_set_request_id_in_response": options.offload,
        // No banner of Envoy's; the services' is removed by the policy.
        "server_header_transformation": "PASS_THROUGH",
    })
}

/// One normal form of every path, the same as the filter's.
fn paths() -> Value {
    json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    })
}

/// What an edge proxy should bound.
fn limits() -> Value {
    json!({
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": { "idle_timeout": "900s" },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
    })
}

fn filters(document: &Value, policy: &Policy, options: &Options) -> Value {
    let mut filters = vec![plugin::plugin(document, policy, options)];
    if policy.cors.is_some() {
        filters.push(json!({
            "name": "envoy.filters.http.cors",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors" },
        }));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    }));
    json!({
        "access_log": access_log::access_log(policy, options),
        "http_filters": filters,
        "route_config": routes::route_config(policy, options),
    })
}
