//! Properties of both ends, of their connections, and of what Envoy's configuration says of them.

use super::Value;
use crate::stream::Stream;
use crate::stream::info::StreamInfo;
use crate::{Metadata, Tls};

pub(super) fn address(address: &str, name: &[u8]) -> Option<Value> {
    match name {
        b"address" => Some(Value::text(address)),
        b"port" => address.rsplit_once(':')?.1.parse().ok().map(Value::Integer),
        _ => None,
    }
}

pub(super) fn connection(info: &StreamInfo, name: &[u8]) -> Option<Value> {
    match name {
        b"id" => Some(Value::Integer(info.connection_id as i64)),
        b"mtls" => Some(Value::Bool(info.tls.as_ref().is_some_and(|tls| tls.client.is_some()))),
        b"requested_server_name" => {
            Some(Value::text(info.tls.as_ref().map_or("", |tls| tls.server_name.as_str())))
        }
        name => handshake(info.tls.as_deref()?, name),
    }
}

/// What a TLS handshake has shown. Of several names the first is told.
fn handshake(tls: &Tls, name: &[u8]) -> Option<Value> {
    let client = tls.client.as_ref();
    let first = |names: &[String]| names.first().map(|name| Value::text(name));
    match name {
        b"tls_version" => Some(Value::text(&tls.version)),
        b"subject_local_certificate" => Some(Value::text(&tls.own.subject)),
        b"subject_peer_certificate" => Some(Value::text(client.map_or("", |client| client.subject.as_str()))),
        b"dns_san_local_certificate" => first(&tls.own.dns),
        b"dns_san_peer_certificate" => first(&client?.dns),
        b"uri_san_local_certificate" => first(&tls.own.uris),
        b"uri_san_peer_certificate" => first(&client?.uris),
        b"sha256_peer_certificate_digest" => client.map(|client| Value::text(&client.sha256)),
        _ => None,
    }
}

pub(super) fn upstream(stream: &Stream, name: &[u8]) -> Option<Value> {
    let host = stream.info.upstream_address.as_deref();
    match name {
        b"request_attempt_count" => Some(Value::Integer(host.is_some().into())),
        b"transport_failure_reason" => host.map(|_| Value::text("")),
        b"cx_pool_ready_duration" => host.map(|_| Value::Integer(0)),
        b"local_address" => host.map(|_| Value::text("127.0.0.1:50001")),
        name => address(host?, name),
    }
}

pub(super) fn xds(info: &StreamInfo, name: &[u8]) -> Option<Value> {
    match name {
        b"cluster_name" => info.cluster.as_deref().map(Value::text),
        b"cluster_metadata" => info.cluster_metadata.clone().map(Value::Metadata),
        b"route_name" => info.route_name().map(Value::text),
        b"route_metadata" => info.route.as_ref().map(|route| Value::Metadata(route.metadata.clone())),
        b"virtual_host_name" => info.virtual_host.as_deref().map(Value::text),
        b"virtual_host_metadata" => info.virtual_host.as_ref().map(|_| Value::Metadata(Metadata::default())),
        b"listener_direction" => Some(Value::Integer(0)),
        b"listener_metadata" => Some(Value::Metadata(Metadata::default())),
        b"filter_chain_name" => Some(Value::text("")),
        _ => None,
    }
}
