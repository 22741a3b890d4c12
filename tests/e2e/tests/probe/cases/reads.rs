//! What can be read, and when.

use super::{everywhere, full, numbered};
use crate::case::{Ask, Case};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("callbacks", "")
            .send(Ask::get("/"))
            .send(full())
            .send(Ask::get("/direct"))
            .send(Ask::get("/empty"))
            .send(Ask::post("/", "over HTTP/2").http2())
            .send(full().http2())
            .send(Ask::new("HEAD", "/"))
            .send(Ask::get("/broken"))
            .send(Ask::post("/", "one ").chunk("two ").chunk("three")),
        maps(),
        Case::new(
            "inline_headers",
            &everywhere(["dump 0", "dump 2", "get 0 accept", "get 0 x-forwarded-for", "get 2 vary"]),
        )
        .send(
            Ask::get("/")
                .header("accept", "a")
                .header("accept", "b")
                .header("x-forwarded-for", "10.0.0.1")
                .header("x-forwarded-for", "10.0.0.2")
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .header("authorization", "x")
                .header("authorization", "y")
                .header("cache-control", "a")
                .header("cache-control", "b")
                .header("X-Upper", "Case")
                .header("x-empty", "")
                .header("te", "trailers, gzip")
                .header("connection", "keep-alive")
                .bytes("x-bytes", b"\xff\xfe"),
        ),
        buffers(),
        family("request_properties", &REQUEST),
        family("response_properties", &RESPONSE),
        family("connection_properties", &CONNECTION),
        family("other_properties", &OTHER),
        Case::new("properties_of_a_direct_response", &everywhere(RESPONSE.iter().chain(&CONNECTION)))
            .send(Ask::get("/direct")),
        Case::new("properties_of_a_broken_response", &everywhere(RESPONSE.iter().chain(&CONNECTION)))
            .send(Ask::get("/broken")),
        Case::new("property_paths", &everywhere(PATHS)).send(Ask::get("/?a=b")),
    ];
    cases.push(
        Case::new("grpc_status", &everywhere(["intprop response.grpc_status", "dump 2", "dump 3"])).send(
            Ask::post("/grpc-status", "").header("content-type", "application/grpc").header("te", "trailers"),
        ),
    );
    cases
}

fn maps() -> Case {
    let reads = ["get N :path", "get N x-dup", "get N absent", "get N HOST", "dump N", "size N", "pairs N"];
    Case::new("maps_read", &everywhere(numbered(0..10, &reads))).send(full())
}

fn buffers() -> Case {
    let reads = ["body N 0 100", "body N 1 2", "body N 99 1", "body N 0 0", "body N 2 -1", "bufstatus N"];
    let mut operations = numbered(0..10, &reads);
    // The plugin's configuration is this script, which would be a long line.
    operations
        .retain(|operation| !operation.starts_with("body 7 0 100") && !operation.starts_with("body 7 2"));
    Case::new("buffers_read", &everywhere(operations)).vm_configuration("the vm").send(full())
}

/// One case a family of properties, on a request that has everything, and on one that has next to nothing.
fn family(name: &'static str, operations: &[&str]) -> Case {
    Case::new(name, &everywhere(operations)).send(full()).send(Ask::get("/empty"))
}

const REQUEST: [&str; 24] = [
    "prop request.path",
    "prop request.url_path",
    "prop request.host",
    "prop request.scheme",
    "prop request.method",
    "prop request.referer",
    "prop request.useragent",
    "prop request.protocol",
    "prop request.query",
    "prop request.id",
    "prop request.headers.x-one",
    "prop request.headers.x-dup",
    "prop request.headers.X-One",
    "prop request.headers.absent",
    "prop request.headers.x-one.more",
    "prop request.path.more",
    "prop request.nonsense",
    "mapprop request.headers",
    "shape request.time",
    "shape request.duration",
    "intprop request.size",
    "intprop request.total_size",
    "shape request",
    "shape request.size.more",
];

const RESPONSE: [&str; 15] = [
    "intprop response.code",
    "prop response.code_details",
    "intprop response.flags",
    "intprop response.grpc_status",
    "mapprop response.headers",
    "mapprop response.trailers",
    "prop response.headers.x-up",
    "prop response.headers.x-dup",
    "prop response.trailers.x-trailer",
    "intprop response.size",
    "shape response.total_size",
    "shape response.backend_latency",
    "prop response.nonsense",
    "shape response",
    "shape response.code.more",
];

const CONNECTION: [&str; 33] = [
    "prop source.address",
    "shape source.port",
    "shape source",
    "prop source.nonsense",
    "prop destination.address",
    "shape destination.port",
    "shape connection.id",
    "shape connection_id",
    "hexprop connection.mtls",
    "prop connection.requested_server_name",
    "prop connection.tls_version",
    "prop connection.subject_local_certificate",
    "prop connection.subject_peer_certificate",
    "prop connection.dns_san_peer_certificate",
    "prop connection.uri_san_peer_certificate",
    "prop connection.sha256_peer_certificate_digest",
    "prop connection.termination_details",
    "prop connection.transport_failure_reason",
    "prop connection.nonsense",
    "prop upstream.address",
    "shape upstream.port",
    "prop upstream.local_address",
    "prop upstream.tls_version",
    "prop upstream.transport_failure_reason",
    "prop upstream.nonsense",
    "shape upstream.request_attempt_count",
    "hexprop upstream.request_attempt_count",
    "shape upstream.cx_pool_ready_duration",
    "shape upstream.locality",
    "prop upstream.locality.zone",
    "prop upstream.subject_local_certificate",
    "shape upstream",
    "shape connection",
];

const OTHER: [&str; 53] = [
    "prop plugin_name",
    "prop plugin_root_id",
    "prop plugin_vm_id",
    "prop plugin_name.more",
    "prop node.id",
    "prop node.cluster",
    "prop node.metadata.team",
    "hexprop node.metadata.size",
    "hexprop node.metadata.on",
    "mapprop node.metadata",
    "prop node.locality.region",
    "prop node.locality.zone",
    "shape node",
    "prop node.nonsense",
    "prop cluster_name",
    "shape cluster_metadata",
    "prop cluster_metadata.filter_metadata.a",
    "prop route_name",
    "shape route_metadata",
    "shape upstream_host_metadata",
    "shape listener_metadata",
    "hexprop listener_direction",
    "prop xds.cluster_name",
    "shape xds.cluster_metadata",
    "prop xds.route_name",
    "shape xds.route_metadata",
    "shape xds.virtual_host_metadata",
    "shape xds.upstream_host_metadata",
    "prop xds.filter_chain_name",
    "hexprop xds.listener_direction",
    "shape xds.listener_metadata",
    "prop xds.node.id",
    "prop xds.node.cluster",
    "hexprop xds.node.metadata.size",
    "prop xds.node.metadata.team",
    "hexprop xds.node.metadata.on",
    "prop xds.node.metadata.none",
    "hexprop xds.node.locality",
    "prop xds.node.locality.sub_zone",
    "prop xds.node.user_agent_name",
    "prop xds.node.nonsense",
    "prop xds.virtual_host_name",
    "hexprop request.headers_bytes",
    "prop xds.nonsense",
    "shape xds",
    "shape metadata",
    "shape metadata.filter_metadata",
    "prop metadata.filter_metadata.space.key",
    "shape filter_state",
    "prop filter_state.absent",
    "shape upstream_filter_state",
    "prop nonsense",
    "prop nonsense.deeper",
];

const PATHS: [&str; 9] = [
    "rawprop request.path",
    "rawprop _",
    "rawprop request",
    "prop request|path",
    "prop request|path|",
    "prop request||path",
    "prop |request|path",
    "prop request|headers|:path",
    "prop .",
];
