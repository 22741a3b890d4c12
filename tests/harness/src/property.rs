//! Properties: what `proxy_get_property` finds under a path, and how values are serialized.

mod connection;
mod node;

use crate::driver::reply::grpc_code;
use crate::stream::Stream;
use crate::stream::info::StreamInfo;
use crate::vm::context::View;
use crate::{HeaderMap, Metadata, Status, pairs};

pub(crate) use node::of_node;

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bytes(Vec<u8>),
    /// Integers, durations and timestamps: eight bytes, little-endian.
    Integer(i64),
    Bool(bool),
    Map(Vec<(Vec<u8>, Vec<u8>)>),
    /// Part of a metadata, which has a serialized form only if nothing in it is null.
    Json(serde_json::Value),
    /// A metadata: a message whose parts are found under its namespaces.
    Metadata(Metadata),
    /// The namespaces of a metadata: nothing by themselves.
    Namespaces(Metadata),
}

impl Value {
    fn text(text: &str) -> Self {
        Value::Bytes(text.as_bytes().to_vec())
    }

    /// The bytes that the guest gets.
    pub fn serialize(&self) -> Result<Vec<u8>, Status> {
        Ok(match self {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Integer(integer) => integer.to_le_bytes().to_vec(),
            Value::Bool(flag) => vec![u8::from(*flag)],
            Value::Map(pairs) => pairs::serialize(pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice()))),
            Value::Json(value) => json(value)?,
            Value::Metadata(metadata) => metadata.message(),
            Value::Namespaces(_) => return Err(Status::SerializationFailure),
        })
    }

    /// Goes one step down a path.
    fn child(self, name: &[u8]) -> Option<Value> {
        match self {
            Value::Map(pairs) => {
                let name = name.to_ascii_lowercase();
                pairs.into_iter().find(|(n, _)| *n == name).map(|(_, value)| Value::Bytes(value))
            }
            Value::Json(serde_json::Value::Object(mut entries)) => {
                entries.remove(std::str::from_utf8(name).ok()?).map(Value::Json)
            }
            Value::Metadata(metadata) if name == b"filter_metadata" => Some(Value::Namespaces(metadata)),
            Value::Namespaces(metadata) => Value::Json(metadata.json()).child(name),
            _ => None,
        }
    }

    /// Goes down a path to its end.
    pub fn descend(self, path: &[&[u8]]) -> Result<Value, Status> {
        path.iter().try_fold(self, |value, name| value.child(name)).ok_or(Status::NotFound)
    }
}

/// Numbers are floating-point, lists are maps from their values to nothing.
fn json(value: &serde_json::Value) -> Result<Vec<u8>, Status> {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = match value {
        serde_json::Value::Null => return Err(Status::SerializationFailure),
        serde_json::Value::Bool(flag) => return Ok(vec![u8::from(*flag)]),
        serde_json::Value::Number(number) => {
            return Ok(number.as_f64().unwrap_or_default().to_le_bytes().to_vec());
        }
        serde_json::Value::String(text) => return Ok(text.clone().into_bytes()),
        serde_json::Value::Array(values) => {
            values.iter().map(|value| Ok((json(value)?, Vec::new()))).collect::<Result<_, Status>>()?
        }
        serde_json::Value::Object(entries) => {
            let pair = |(name, value): (&String, _)| Ok((name.clone().into_bytes(), json(value)?));
            entries.iter().map(pair).collect::<Result<_, Status>>()?
        }
    };
    Ok(pairs::serialize(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))))
}

/// The segments of a path. They are separated by NUL; one NUL at the end is tolerated.
pub(crate) fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut segments: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    segments
}

/// First segments that stand for objects: alone they have no serialized form.
const OBJECTS: &[&[u8]] = &[
    b"request",
    b"response",
    b"source",
    b"destination",
    b"connection",
    b"upstream",
    b"xds",
    b"filter_state",
];

/// A value with the type that CEL expressions know it by.
pub(crate) enum Typed {
    Text(Vec<u8>),
    /// Nanoseconds.
    Duration(i64),
    /// Nanoseconds since 1970.
    Timestamp(i64),
    Plain(Value),
}

/// Everything that an object of expressions (`request`, `response`, ...) has just now; `None` if there is no such object.
pub(crate) fn fields(
    stream: &Stream,
    view: View,
    now: u64,
    object: &str,
) -> Option<Vec<(&'static str, Typed)>> {
    let names: &[&str] = match object {
        "request" => &[
            "path",
            "url_path",
            "host",
            "scheme",
            "method",
            "referer",
            "useragent",
            "id",
            "protocol",
            "query",
            "headers",
            "time",
            "duration",
            "size",
            "total_size",
        ],
        "response" => &[
            "code",
            "code_details",
            "flags",
            "grpc_status",
            "headers",
            "trailers",
            "size",
            "total_size",
            "backend_latency",
        ],
        "source" | "destination" => &["address", "port"],
        "connection" => &[
            "id",
            "mtls",
            "requested_server_name",
            "tls_version",
            "subject_local_certificate",
            "subject_peer_certificate",
            "dns_san_local_certificate",
            "dns_san_peer_certificate",
            "uri_san_local_certificate",
            "uri_san_peer_certificate",
            "sha256_peer_certificate_digest",
        ],
        "upstream" => &[
            "address",
            "port",
            "local_address",
            "transport_failure_reason",
            "request_attempt_count",
            "cx_pool_ready_duration",
        ],
        "xds" => {
            &["cluster_name", "route_name", "virtual_host_name", "listener_direction", "filter_chain_name"]
        }
        _ => return None,
    };
    let find = |name: &&'static str| {
        let found = of_stream(stream, view, now, &[object.as_bytes(), name.as_bytes()]).ok()?;
        Some((*name, typed(name, found)))
    };
    Some(names.iter().filter_map(find).collect())
}

fn typed(name: &str, value: Value) -> Typed {
    match (name, value) {
        ("time", Value::Integer(nanos)) => Typed::Timestamp(nanos),
        ("duration" | "backend_latency" | "cx_pool_ready_duration", Value::Integer(nanos)) => {
            Typed::Duration(nanos)
        }
        (_, Value::Bytes(bytes)) => Typed::Text(bytes),
        (_, value) => Typed::Plain(value),
    }
}

/// Finds a property of a stream.
pub(crate) fn of_stream(stream: &Stream, view: View, now: u64, path: &[&[u8]]) -> Result<Value, Status> {
    let (first, rest) = path.split_first().ok_or(Status::NotFound)?;
    let second = rest.first().copied().unwrap_or_default();
    if rest.is_empty() && OBJECTS.contains(first) {
        return Err(Status::SerializationFailure);
    }
    let found = match *first {
        b"request" => request(stream, view, now, second),
        b"response" => response(stream, view, second),
        b"source" => connection::address(&stream.info.peer, second),
        b"destination" => connection::address(&stream.info.local, second),
        b"connection" => connection::connection(&stream.info, second),
        b"connection_id" if rest.is_empty() => return Ok(Value::Integer(stream.info.connection_id as i64)),
        b"upstream" => connection::upstream(stream, second),
        b"upstream_filter_state" if rest.is_empty() && stream.info.upstream_address.is_some() => {
            return Err(Status::SerializationFailure);
        }
        b"metadata" => return metadata(rest),
        b"xds" => connection::xds(&stream.info, second),
        b"filter_state" => filter_state(&stream.info, second),
        own => return own_state(&stream.info, own, rest),
    };
    let found = match (found, *first, second, rest) {
        (None, b"upstream", b"locality", [_, ..]) if stream.info.upstream_address.is_some() => {
            return locality(rest);
        }
        (None, b"xds", b"upstream_host_metadata", [_]) if stream.info.upstream_address.is_some() => {
            return Err(Status::SerializationFailure);
        }
        (found, ..) => found,
    };
    found.ok_or(Status::NotFound)?.descend(rest.get(1..).unwrap_or_default())
}

/// Dynamic metadata, which filters cannot write: a message without content.
fn metadata(rest: &[&[u8]]) -> Result<Value, Status> {
    match rest {
        [] => Ok(Value::Bytes(Vec::new())),
        [b"filter_metadata"] => Ok(Value::Map(Vec::new())),
        _ => Err(Status::NotFound),
    }
}

/// An upstream host without a locality has an empty one.
fn locality(rest: &[&[u8]]) -> Result<Value, Status> {
    match rest {
        [_] | [_, b"region" | b"zone" | b"sub_zone"] => Ok(Value::Bytes(Vec::new())),
        _ => Err(Status::NotFound),
    }
}

/// What `set_property` has written can be read back under its bare name.
fn own_state(info: &StreamInfo, name: &[u8], rest: &[&[u8]]) -> Result<Value, Status> {
    let key = format!("wasm.{}", String::from_utf8_lossy(name));
    let state = info.filter_state.get(&key).filter(|_| rest.is_empty()).ok_or(Status::NotFound)?;
    Ok(Value::Bytes(state.value.clone()))
}

fn filter_state(info: &StreamInfo, key: &[u8]) -> Option<Value> {
    let state = info.filter_state.get(String::from_utf8_lossy(key).as_ref())?;
    Some(Value::Bytes(state.value.clone()))
}

fn request(stream: &Stream, view: View, now: u64, name: &[u8]) -> Option<Value> {
    let info = &stream.info;
    match name {
        b"time" => return Some(Value::Integer(info.start_wall as i64)),
        b"protocol" => return Some(Value::text(&info.protocol)).filter(|_| !info.protocol.is_empty()),
        b"duration" => return info.end_mono.map(|_| Value::Integer(info.duration(now) as i64)),
        _ => {}
    }
    let seen = view.request_headers || view.access_log;
    let headers = stream.request.headers.as_ref().filter(|_| seen);
    match name {
        b"size" => {
            return Some(Value::Integer(content_length(headers).unwrap_or(info.bytes_received as i64)));
        }
        b"total_size" => return Some(Value::Integer(total_size(headers, info.bytes_received))),
        b"headers_bytes" => return Some(Value::Integer(total_size(headers, 0))),
        _ => {}
    }
    match (headers, name) {
        (None, b"headers") => Some(Value::Map(Vec::new())),
        (headers, name) => request_header(headers?, name),
    }
}

fn request_header(headers: &HeaderMap, name: &[u8]) -> Option<Value> {
    let value = |name: &str| headers.get(name).map(|value| Value::Bytes(value.to_vec()));
    let path = headers.get(":path");
    let (before, after) = path.map(split_query).unwrap_or_default();
    match name {
        b"path" => value(":path"),
        b"url_path" => Some(Value::Bytes(before.to_vec())),
        b"query" => Some(Value::Bytes(after.to_vec())),
        b"host" => value(":authority"),
        b"scheme" => value(":scheme"),
        b"method" => value(":method"),
        b"referer" => value("referer"),
        b"useragent" => value("user-agent"),
        b"id" => value("x-request-id"),
        b"headers" => Some(map_value(headers)),
        _ => None,
    }
}

fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'?') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

/// Headers as a map: one entry a name, values joined.
fn map_value(headers: &HeaderMap) -> Value {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, _) in headers.iter() {
        if pairs.iter().all(|(known, _)| known != name) {
            pairs.push((name.to_vec(), headers.joined(name).unwrap_or_default()));
        }
    }
    Value::Map(pairs)
}

fn content_length(headers: Option<&HeaderMap>) -> Option<i64> {
    headers?.text("content-length")?.parse().ok()
}

fn total_size(headers: Option<&HeaderMap>, body: u64) -> i64 {
    body as i64 + headers.map(HeaderMap::byte_size).unwrap_or(0) as i64
}

fn response(stream: &Stream, view: View, name: &[u8]) -> Option<Value> {
    let info = &stream.info;
    let headers = stream.response.headers.as_ref().filter(|_| view.response_headers || view.access_log);
    let trailers = stream.response.trailers.as_ref().filter(|_| view.response_trailers || view.access_log);
    match name {
        b"code" => info.response_code.map(|code| Value::Integer(code.into())),
        b"code_details" => info.details.as_deref().map(Value::text),
        b"flags" => Some(Value::Integer(info.flags as i64)),
        b"size" => Some(Value::Integer(info.bytes_sent as i64)),
        b"total_size" => Some(Value::Integer(total_size(headers, info.bytes_sent))),
        b"headers_bytes" => Some(Value::Integer(total_size(headers, 0))),
        // It is told when the upstream is done.
        b"backend_latency" if !stream.response.complete => None,
        b"backend_latency" => {
            let latency = info.upstream_first_byte_mono?.checked_sub(info.upstream_start_mono?)?;
            Some(Value::Integer(latency as i64))
        }
        b"grpc_status" => {
            let find = |map: Option<&HeaderMap>| map?.text("grpc-status")?.parse().ok();
            let of_code = || info.response_code.map(|code| grpc_code(code).into());
            find(trailers).or_else(|| find(headers)).or_else(of_code).map(Value::Integer)
        }
        b"headers" => Some(headers.map_or(Value::Map(Vec::new()), map_value)),
        b"trailers" => Some(trailers.map_or(Value::Map(Vec::new()), map_value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_nuls_and_not_at_dots() {
        assert_eq!(segments(b"request\0headers\0x\0"), [&b"request"[..], b"headers", b"x"]);
        assert_eq!(segments(b"request.path"), [&b"request.path"[..]]);
    }

    #[test]
    fn integers_are_eight_bytes_and_bools_one() {
        assert_eq!(Value::Integer(200).serialize().unwrap(), [200, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Value::Bool(true).serialize().unwrap(), [1]);
    }
}
