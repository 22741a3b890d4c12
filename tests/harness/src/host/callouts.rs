//! HTTP and gRPC callouts. They belong to the root context, whoever asks, and are answered by events.

use std::time::Duration;

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::callout::{GrpcStep, settle, settle_grpc};
use crate::headers::Kind;
use crate::process::events::Event;
use crate::vm::{GrpcStream, VmData};
use crate::{HeaderMap, Received, Status, pairs, protobuf};

/// Milliseconds from which on a timeout is told in seconds.
const MOST_OF_A_TIMEOUT: u32 = 99_999_999;

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_http_call" => http_call,
            (upstream: u32, upstream_len: u32, headers: u32, headers_len: u32, body: u32, body_len: u32,
             trailers: u32, trailers_len: u32, timeout: u32, out: u32);
        "proxy_grpc_call" => grpc_call,
            (upstream: u32, upstream_len: u32, service: u32, service_len: u32, method: u32, method_len: u32,
             metadata: u32, metadata_len: u32, message: u32, message_len: u32, timeout: u32, out: u32);
        "proxy_grpc_stream" => grpc_stream,
            (upstream: u32, upstream_len: u32, service: u32, service_len: u32, method: u32, method_len: u32,
             metadata: u32, metadata_len: u32, out: u32);
        "proxy_grpc_send" => grpc_send, (id: u32, ptr: u32, len: u32, end: u32);
        "proxy_grpc_cancel" => grpc_cancel, (id: u32);
        "proxy_grpc_close" => grpc_close, (id: u32);
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // the ABI's own
fn http_call(
    guest: &mut Guest,
    upstream: u32,
    upstream_len: u32,
    headers: u32,
    headers_len: u32,
    body: u32,
    body_len: u32,
    trailers: u32,
    trailers_len: u32,
    timeout: u32,
    out: u32,
) -> HostResult {
    let cluster = String::from_utf8_lossy(guest.read(upstream, upstream_len)?).into_owned();
    let body = guest.copy(body, body_len)?;
    let headers = HeaderMap::from_pairs(pairs::parse(guest.read(headers, headers_len)?));
    let trailers = pairs::parse(guest.read(trailers, trailers_len)?);
    guest.write_u32(out, 0)?;
    let request = Received {
        headers,
        chunks: if body.is_empty() { Vec::new() } else { vec![body.len()] },
        body,
        trailers: (!trailers.is_empty()).then(|| HeaderMap::of(Kind::RequestTrailers).with(trailers)),
        worker: guest.data().worker,
        timeout: None,
        flaw: None,
    };
    let token = send_http_call(guest.data_mut(), &cluster, request, timeout)?;
    Ok(guest.write_u32(out, token)?)
}

fn send_http_call(
    data: &mut VmData,
    cluster: &str,
    mut request: Received,
    timeout: u32,
) -> Result<u32, Status> {
    let process = data.process.clone();
    let timeout =
        u64::try_from(timeout as i32).map(Duration::from_millis).map_err(|_| Status::BadArgument)?;
    let complete = [":path", ":method", ":authority"].iter().all(|name| request.headers.contains(name));
    if !process.clusters.borrow().contains(cluster) || !complete {
        return Err(Status::BadArgument);
    }
    if !request.body.is_empty() {
        request.headers.set(b"content-length", request.body.len().to_string().as_bytes());
    }
    request.timeout = (!timeout.is_zero()).then_some(timeout);
    let token = data.next_callout(0);
    let root = data.root_id();
    data.http_calls.insert(token, root);
    if data.ephemeral {
        return Ok(token);
    }
    let reply = process.clusters.borrow_mut().exchange(cluster, request);
    if let Some((delay, result)) = settle(&reply, timeout) {
        let event = Event::HttpCall { vm: data.id, root, token, result };
        process.events.borrow_mut().push(process.after(delay), data.worker, event);
    }
    Ok(token)
}

/// The upstream of a gRPC callout is a serialized `GrpcService`, or simply the name of a cluster.
fn grpc_cluster(data: &VmData, upstream: &[u8]) -> Result<String, Status> {
    if let Some(name) = protobuf::envoy_grpc_cluster(upstream) {
        return Ok(name);
    }
    let name = String::from_utf8_lossy(upstream).into_owned();
    match data.process.clusters.borrow().contains(&name) {
        true => Ok(name),
        false => Err(Status::ParseFailure),
    }
}

fn grpc_headers(service: &[u8], method: &[u8], metadata: &[u8], cluster: &str) -> HeaderMap {
    let path = [b"/", service, b"/", method].concat();
    let mut headers = HeaderMap::from_pairs([
        (&b":method"[..], &b"POST"[..]),
        (b":path", &path),
        (b":authority", cluster.as_bytes()),
        (b":scheme", b"http"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]);
    pairs::parse(metadata).iter().for_each(|(name, value)| headers.add(name, value));
    headers
}

/// A number of eight digits at most, and its unit (gRPC over HTTP/2, `Timeout`).
fn grpc_timeout(ms: u32) -> String {
    if ms < MOST_OF_A_TIMEOUT { format!("{ms}m") } else { format!("{}S", ms / 1000) }
}

#[allow(clippy::too_many_arguments)] // the ABI's own
fn grpc_call(
    guest: &mut Guest,
    upstream: u32,
    upstream_len: u32,
    service: u32,
    service_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    message: u32,
    message_len: u32,
    timeout: u32,
    out: u32,
) -> HostResult {
    let (upstream, service) = (guest.read(upstream, upstream_len)?, guest.read(service, service_len)?);
    let (method, metadata) = (guest.read(method, method_len)?, guest.read(metadata, metadata_len)?);
    let message = guest.copy(message, message_len)?;
    let cluster = grpc_cluster(guest.data(), upstream)?;
    let mut headers = grpc_headers(service, method, metadata, &cluster);
    headers.add(b"grpc-timeout", grpc_timeout(timeout).as_bytes());
    let timeout = Duration::from_millis(timeout.into());
    let request = Received {
        headers,
        chunks: vec![message.len()],
        body: message,
        worker: guest.data().worker,
        timeout: Some(timeout),
        trailers: None,
        flaw: None,
    };
    let data = guest.data_mut();
    let token = data.next_callout(1);
    let root = data.root_id();
    data.grpc_calls.insert(token, root);
    exchange_grpc(data, &cluster, request, (root, token), timeout);
    Ok(guest.write_u32(out, token)?)
}

#[allow(clippy::too_many_arguments)] // the ABI's own
fn grpc_stream(
    guest: &mut Guest,
    upstream: u32,
    upstream_len: u32,
    service: u32,
    service_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    out: u32,
) -> HostResult {
    let (upstream, service) = (guest.read(upstream, upstream_len)?, guest.read(service, service_len)?);
    let (method, metadata) = (guest.read(method, method_len)?, guest.read(metadata, metadata_len)?);
    let cluster = grpc_cluster(guest.data(), upstream)?;
    let headers = grpc_headers(service, method, metadata, &cluster);
    let data = guest.data_mut();
    let request = Received { headers, worker: data.worker, ..Received::default() };
    let token = data.next_callout(2);
    let root = data.root_id();
    data.grpc_streams.insert(token, GrpcStream { root, cluster, request, sent_end: false });
    Ok(guest.write_u32(out, token)?)
}

/// Asks the peer, and puts its steps into the event queue.
fn exchange_grpc(
    data: &VmData,
    cluster: &str,
    request: Received,
    (root, token): (u32, u32),
    timeout: Duration,
) {
    let process = &data.process;
    if data.ephemeral {
        return;
    }
    let reply = process.clusters.borrow_mut().exchange(cluster, request);
    let stream = token & 3 == 2;
    let Some((delay, steps)) = settle_grpc(&reply, timeout, stream) else { return };
    let time = process.after(delay);
    let mut events = process.events.borrow_mut();
    steps.into_iter().for_each(|step: GrpcStep| {
        events.push(time, data.worker, Event::Grpc { vm: data.id, root, token, step });
    });
}

/// The scripted peer answers once it has the whole request.
fn grpc_send(guest: &mut Guest, id: u32, ptr: u32, len: u32, end: u32) -> HostResult {
    let message = guest.copy(ptr, len)?;
    if id & 3 != 2 {
        return Err(Status::BadArgument.into());
    }
    let data = guest.data_mut();
    let stream = data.grpc_streams.get_mut(&id).ok_or(Status::NotFound)?;
    if !stream.sent_end {
        stream.request.chunks.push(message.len());
        stream.request.body.extend(message);
    }
    if end != 0 {
        end_grpc_stream(data, id)?;
    }
    Ok(())
}

fn end_grpc_stream(data: &mut VmData, id: u32) -> Result<(), Status> {
    let stream = data.grpc_streams.get_mut(&id).ok_or(Status::NotFound)?;
    if std::mem::replace(&mut stream.sent_end, true) {
        return Ok(());
    }
    let stream = stream.clone();
    exchange_grpc(data, &stream.cluster, stream.request, (stream.root, id), Duration::ZERO);
    Ok(())
}

fn grpc_cancel(guest: &mut Guest, id: u32) -> HostResult {
    let data = guest.data_mut();
    let known = match id & 3 {
        1 => data.grpc_calls.remove(&id).is_some(),
        2 => data.grpc_streams.remove(&id).is_some(),
        _ => return Err(Status::BadArgument.into()),
    };
    if !known {
        return Err(Status::NotFound.into());
    }
    Ok(())
}

/// Closing a call cancels it; closing a stream ends only our own side.
fn grpc_close(guest: &mut Guest, id: u32) -> HostResult {
    match id & 3 {
        2 => Ok(end_grpc_stream(guest.data_mut(), id)?),
        _ => grpc_cancel(guest, id),
    }
}
