//! What `render istio --sidecar` patches into a backend's sidecar, on a stock Envoy with a listener as Istio makes it for one: without
//! the peer's address, and traced. On Istio itself it is shown by `make test-deploy`; nothing is traced there.

use portcullis_cli::render::istio::{self, Options, Target};
use portcullis_cli::render::kubernetes::Image;
use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Envoy, EnvoyConfig, Gateway, Request, module};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const SECRET: &str = "a-secret-that-gateway-and-backends-share";
const EXEMPT: &str = "192.0.2.7";
const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

fn policy() -> Value {
    json!({
        "version": 1,
        "gateway": { "name": "order" },
        "client_ip": { "trusted_proxies": ["127.0.0.0/8"] },
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/orders", "methods": ["GET"], "service": "order", "trailing_slash": "either" }],
        "source": { "require": { "signature": { "secrets": [SECRET] }, "exempt_networks": [EXEMPT] } },
    })
}

/// The objects that are rendered.
fn objects() -> Vec<Value> {
    let (document, image) = (policy(), format!("r.example/portcullis@sha256:{}", "0".repeat(64)));
    let policy = Policy::from_value(&document).unwrap_or_else(|errors| panic!("{errors:?}"));
    let image: Image = image.parse().expect("an image");
    let mut options = Options::new(&policy, image, "shop", None).expect("a name");
    options.target = Target::Sidecar(BTreeMap::from([("app".to_owned(), "order".to_owned())]));
    let files = istio::render(&document, &policy, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
    files.into_iter().flat_map(|file| file.objects).collect()
}

/// A listener's connection manager as Istio makes it for a backend's port.
fn manager() -> Value {
    let request_ids = "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";
    let tracer = json!({
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "order", "grpc_service": { "envoy_grpc": { "cluster_name": "application" } },
    });
    json!({
        "@type": HCM,
        "stat_prefix": "inbound_0.0.0.0_8002;",
        "use_remote_address": false,
        "normalize_path": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "request_id_extension": { "typed_config": { "@type": request_ids } },
        "tracing": { "provider": { "name": "envoy.tracers.opentelemetry", "typed_config": tracer } },
        "http_filters": [
            { "name": "envoy.filters.http.cors",
              "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors" } },
            { "name": "envoy.filters.http.router",
              "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
        ],
        "route_config": { "name": "inbound|8002||", "virtual_hosts": [{
            "name": "inbound|http|8002", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "application", "timeout": "0s" } }],
        }] },
    })
}

/// What Istio makes of a patch.
fn patch(manager: &mut Value, patch: &Value) {
    let value = &patch["patch"]["value"];
    match patch["applyTo"].as_str() {
        Some("NETWORK_FILTER") => merge(manager, &value["typed_config"]),
        Some("HTTP_ROUTE") => merge(&mut manager["route_config"]["virtual_hosts"][0]["routes"][0], value),
        Some("HTTP_FILTER") => {
            manager["http_filters"].as_array_mut().expect("a list").insert(0, value.clone())
        }
        other => panic!("{other:?}"),
    }
}

/// Messages are merged, but for those of any type, which are replaced, and lists, which are joined.
fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().expect("a message") {
        let known = &mut into[name.as_str()];
        match (known, value) {
            (Value::Array(known), Value::Array(more)) => known.extend(more.iter().cloned()),
            (known @ Value::Object(_), Value::Object(fields)) if !fields.contains_key("@type") => {
                merge(known, value)
            }
            (known, _) => *known = value.clone(),
        }
    }
}

fn plugin(objects: &[Value]) -> Value {
    let plugin = objects.iter().find(|object| object["kind"] == "WasmPlugin").expect("a plugin");
    json!({ "name": "portcullis", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "root_id": plugin["spec"]["pluginName"],
            "vm_config": { "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": module() } } },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": plugin["spec"]["pluginConfig"].to_string(),
            },
        },
    } })
}

fn bootstrap(manager: &Value, listener: &str) -> Value {
    let filter = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
    json!({ "static_resources": {
        "listeners": [{
            "name": listener,
            "address": { "socket_address": { "address": "0.0.0.0", "port_value": 8002 } },
            "filter_chains": [{ "filters": [filter] }],
        }],
        "clusters": [{ "name": "application", "type": "STATIC", "load_assignment": {
            "cluster_name": "application",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": { "address": "127.0.0.1", "port_value": 1 } } } }] }],
        } }],
    } })
}

/// The application: it answers everybody.
fn application() -> Envoy {
    let mut manager = manager();
    manager.as_object_mut().expect("a message").remove("tracing");
    manager["route_config"]["virtual_hosts"][0]["routes"][0] =
        json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 } });
    Envoy::start(EnvoyConfig::json(bootstrap(&manager, "application")))
}

/// The sidecar before it, patched or as Istio makes it.
fn sidecar(application: SocketAddr, is_patched: bool) -> Envoy {
    let objects = objects();
    let mut manager = manager();
    let filters = objects.iter().filter(|object| is_patched && object["kind"] == "EnvoyFilter");
    let patches = filters.flat_map(|object| object["spec"]["configPatches"].as_array().expect("a list"));
    patches.for_each(|one| patch(&mut manager, one));
    manager["http_filters"].as_array_mut().expect("a list").insert(0, plugin(&objects));
    Envoy::start(EnvoyConfig::json(bootstrap(&manager, "sidecar")).cluster_at("application", application))
}

/// The status of what the gateway has signed, and of what names itself an exempt client.
fn seen(is_patched: bool) -> (u16, u16) {
    let application = application();
    let sidecar = sidecar(application.address(), is_patched);
    let sign = |policy: &mut Value| policy["source"] = json!({ "sign": { "secret": SECRET } });
    let gateway = Gateway::shipped().policy(sign).service_at("order", sidecar.address()).start();
    let token = gateway.log_in(&CUSTOMER);
    let signed = gateway.send(&Request::get("/api/v1/orders").bearer(&token));
    let named = Request::get("/orders").header("x-forwarded-for", EXEMPT);
    (signed.status, sidecar.send(&named).status)
}

#[test]
fn a_patched_sidecar_takes_what_the_gateway_signed_and_believes_no_address_that_a_client_writes() {
    assert_eq!(seen(true), (200, 403));
}

/// What the patches are for: a traced request has another id than was signed, and an address is whatever its client says.
#[test]
fn a_sidecar_as_istio_makes_it_refuses_what_is_signed_and_believes_addresses() {
    assert_eq!(seen(false), (403, 200));
}
