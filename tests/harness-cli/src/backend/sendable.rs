//! A scenario's request, routes and node, as the harness takes them.

use std::net::SocketAddr;

use portcullis_harness::{Certificate, Node, Route, Tls};

use crate::model;
use crate::plan::{self, Body, Target};

/// The pseudo-headers in the order in which Envoy makes them of an HTTP/1.1 request.
const HTTP1_ORDER: [&str; 4] = [":authority", ":path", ":method", ":scheme"];
/// The order in which most HTTP/2 clients send them.
const HTTP2_ORDER: [&str; 4] = [":method", ":scheme", ":authority", ":path"];

/// The request, with its pseudo-headers in the order of its version of HTTP.
pub(super) fn sendable(request: &plan::Request) -> portcullis_harness::Request {
    let sent = match (&request.wire, &request.fields) {
        (Some(wire), _) => portcullis_harness::Request::wire(wire),
        (None, Some(fields)) => bare(fields, request),
        (None, None) => plain(request),
    };
    let sent = sent.from(&SocketAddr::new(request.from, 50000).to_string());
    match &request.tls {
        Some(shown) => sent.tls(tls(shown)),
        None => sent,
    }
}

/// What the handshake shows.
fn tls(shown: &plan::Shown) -> Tls {
    let told = |certificate: &plan::Certificate| Certificate {
        subject: certificate.told.subject.clone(),
        dns: certificate.told.dns.clone(),
        uris: certificate.told.uris.clone(),
        sha256: certificate.sha256.clone(),
    };
    Tls {
        version: shown.version.name().to_owned(),
        server_name: shown.server_name.clone(),
        own: told(&shown.own),
        client: shown.certificate.as_deref().map(told),
    }
}

fn plain(request: &plan::Request) -> portcullis_harness::Request {
    let pseudo = |sent: portcullis_harness::Request, name: &str| match name {
        ":authority" => sent.header(name, &request.authority),
        ":path" => sent.header(name, &request.path),
        ":method" => sent.header(name, &request.method),
        _ => sent.header(name, if request.tls.is_some() { "https" } else { "http" }),
    };
    let order = if request.http2 { HTTP2_ORDER } else { HTTP1_ORDER };
    let sent = order.into_iter().fold(portcullis_harness::Request::raw(), pseudo);
    let sent = request.headers.iter().fold(sent, |sent, (name, value)| sent.header(name, value));
    let sent = match &request.body {
        Body::None => sent,
        Body::Whole(body) => sent.body(body),
        Body::Chunked(chunks, trailers) => {
            let sent = chunks.iter().fold(sent, |sent, chunk| sent.chunk(chunk));
            trailers.iter().fold(sent, |sent, (name, value)| sent.trailer(name, value))
        }
    };
    let sent = if request.unfinished { sent.unfinished() } else { sent };
    if request.http2 { sent.http2() } else { sent }
}

/// Nothing but these fields.
fn bare(fields: &plan::Fields, request: &plan::Request) -> portcullis_harness::Request {
    let sent = portcullis_harness::Request::raw().http2();
    let sent = fields.iter().fold(sent, |sent, (name, value)| sent.field(name, value));
    let sent = match &request.body {
        Body::None => sent,
        Body::Whole(body) => sent.chunk(body),
        Body::Chunked(chunks, trailers) => {
            let sent = chunks.iter().fold(sent, |sent, chunk| sent.chunk(chunk));
            trailers.iter().fold(sent, |sent, (name, value)| sent.trailer(name, value))
        }
    };
    if request.unfinished { sent.unfinished() } else { sent }
}

/// The route.
pub(super) fn route(route: &plan::Route) -> Route {
    let made = match &route.target {
        Target::Upstream(name) => Route::to(name),
        Target::Direct { status, body } => Route::respond(*status, body),
    };
    let made = made.prefix(&route.prefix).name(&route.name);
    let made = route.host.iter().fold(made, |made, host| made.host(host));
    let made = route.headers.iter().fold(made, |made, (name, value)| made.header(name, value));
    let made = route.timeout.iter().fold(made, |made, timeout| made.timeout(*timeout));
    route.metadata.iter().fold(made, |made, (namespace, value)| made.metadata(namespace, value.clone()))
}

/// The node.
pub(super) fn node(node: &model::Node) -> Node {
    let place = &node.locality;
    Node {
        id: node.id().to_owned(),
        cluster: node.cluster().to_owned(),
        locality: [place.region.clone(), place.zone.clone(), place.sub_zone.clone()],
        metadata: node.metadata.clone().unwrap_or_default(),
    }
}
