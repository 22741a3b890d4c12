//! What a hostile client must not be able to do, without a host.

use crate::tests::{at, head};
use crate::{Facts, HeaderOps, Pipeline, Step};
use portcullis_edge_core::{Host, MemoryHost, Reason, RequestHead, StreamFact};
use serde_json::{Value, json};

/// A policy whose one proxy connects from 10.0.0.1.
fn behind_a_proxy(more: Value) -> Pipeline {
    let mut policy = json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order" }],
        "client_ip": { "trusted_proxies": ["10.0.0.1"] },
        "proxy": { "appends_peer": true, "assigns_request_id": true },
    });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Pipeline::compile(policy.to_string().as_bytes()).map_err(|errors| format!("{errors:?}")).unwrap()
}

fn judge(pipeline: &Pipeline, head: RequestHead, host: &dyn Host) -> (Facts, Step) {
    pipeline.on_request(head, host, &mut pipeline.worker(0))
}

fn host() -> MemoryHost {
    MemoryHost::at(at(1))
}

/// A request whose last hop connected from `peer`.
fn from(peer: &str, path: &str, more: &[(&str, &[u8])]) -> RequestHead {
    let with_peer: Vec<_> = more.iter().copied().chain([("x-forwarded-for", peer.as_bytes())]).collect();
    RequestHead { peer: Vec::new(), ..head("GET", path, &with_peer) }
}

fn forwarded(step: Step) -> HeaderOps {
    match step {
        Step::Forward(ops) => ops,
        other => panic!("not forwarded: {other:?}"),
    }
}

fn set<'o>(ops: &'o HeaderOps, name: &str) -> Option<&'o [u8]> {
    ops.set.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice())
}

#[test]
fn the_header_by_which_routes_choose_a_service_is_never_a_clients() {
    let pipeline = behind_a_proxy(json!({ "proxy": { "service_header": "X-Portcullis-Service" } }));
    let claims: [(&str, &[u8]); 2] = [("x-portcullis-service", b"other"), ("x_portcullis_service", b"other")];
    let ops = forwarded(judge(&pipeline, from("10.0.0.1", "/a", &claims), &host()).1);
    assert_eq!(set(&ops, "x-portcullis-service"), Some(&b"order"[..]));
    assert_eq!(ops.remove, [b"x-portcullis-service".to_vec(), b"x_portcullis_service".to_vec()]);
    let without = behind_a_proxy(json!({}));
    let ops = forwarded(judge(&without, from("10.0.0.1", "/a", &[]), &host()).1);
    assert_eq!(set(&ops, "x-portcullis-service"), None, "a proxy that does not go by it is not told");
}

const CLAIMS: [(&str, &[u8]); 3] =
    [("x-request-id", b"chosen"), ("x-forwarded-proto", b"https"), ("x-forwarded-for", b"192.0.2.1")];

#[test]
fn what_only_a_proxy_of_ours_may_say_is_believed_of_it_alone() {
    let pipeline = behind_a_proxy(json!({}));
    let (facts, step) = judge(&pipeline, from("10.0.0.1", "/a", &CLAIMS), &host());
    assert_eq!(
        (facts.request_id(), facts.over_tls, facts.client.masked().as_str()),
        ("chosen", true, "192.0.2.0")
    );
    assert_eq!(forwarded(step), HeaderOps::default());

    let (facts, step) = judge(&pipeline, from("198.51.100.7", "/a", &CLAIMS), &host());
    assert_ne!(facts.request_id(), "chosen");
    let ops = forwarded(step);
    assert!(!facts.over_tls);
    assert_eq!(set(&ops, "x-forwarded-proto"), Some(&b"http"[..]));
    assert_eq!(set(&ops, "x-forwarded-for"), Some(&b"198.51.100.7"[..]));
    assert_eq!(set(&ops, "x-request-id"), Some(facts.request_id().as_bytes()));
}

#[test]
fn of_a_client_that_no_proxy_sent_the_connection_says_whether_it_is_over_tls() {
    let pipeline = behind_a_proxy(json!({}));
    let tls = host().with_stream(StreamFact::TlsVersion, b"TLSv1.3");
    let (facts, step) = judge(&pipeline, from("198.51.100.7", "/a", &[("x-forwarded-proto", b"http")]), &tls);
    assert_eq!(set(&forwarded(step), "x-forwarded-proto"), Some(&b"https"[..]));
    assert!(facts.over_tls);
}

#[test]
fn metrics_are_for_the_networks_of_the_policy_and_for_their_own_listener() {
    let serves = |pipeline: &Pipeline, peer: &str, host: MemoryHost| {
        matches!(judge(pipeline, from(peer, "/metrics", &[]), &host).1, Step::ServeMetrics)
    };
    let closed = behind_a_proxy(json!({}));
    assert!(!serves(&closed, "127.0.0.1", host().with_stream(StreamFact::Peer, b"127.0.0.1:5")));
    assert!(serves(&closed, "127.0.0.1", host().with_stream(StreamFact::RouteName, b"portcullis_metrics")));
    assert!(!serves(&closed, "127.0.0.1", host().with_stream(StreamFact::RouteName, b"portcullis_metricsx")));

    let networks = json!({"metrics": {"networks": ["127.0.0.0/8", "192.168.0.0/16"]}, "client_ip": {}});
    let open = behind_a_proxy(networks);
    assert!(serves(&open, "192.168.1.1", host()) && !serves(&open, "203.0.113.1", host()));
    // The proxy writes this machine's own address for a peer on it.
    assert!(serves(&open, "203.0.113.1", host().with_stream(StreamFact::Peer, b"127.0.0.1:5")));
    assert!(!serves(&open, "203.0.113.1", host().with_stream(StreamFact::Peer, b"203.0.113.1:5")));
}

/// Behind a balancer that is not in the policy every client has the balancer's private address.
#[test]
fn metrics_are_not_for_who_comes_by_a_proxy_that_nobody_named() {
    let networks = json!({"metrics": {"networks": ["10.0.0.0/8"]}, "client_ip": {}});
    let open = behind_a_proxy(networks);
    let serves = |peer: &str, headers: &[(&str, &[u8])]| {
        matches!(judge(&open, from(peer, "/metrics", headers), &host()).1, Step::ServeMetrics)
    };
    assert!(serves("10.0.0.9", &[]));
    assert!(
        !serves("10.0.0.9", &[("forwarded", b"for=8.8.8.8")]) && !serves("10.0.0.9", &[("via", b"1.1 lb")])
    );
    let two = RequestHead {
        headers: portcullis_edge_core::Headers::from_pairs([
            (":authority", &b"gateway"[..]),
            (":method", b"GET"),
            (":path", b"/metrics"),
            ("x-forwarded-for", b"8.8.8.8,10.0.0.9"),
        ]),
        peer: Vec::new(),
    };
    assert!(!matches!(judge(&open, two, &host()).1, Step::ServeMetrics));
}

#[test]
fn who_is_exempt_in_front_of_a_backend_says_nothing_that_only_the_gateway_may() {
    let source = json!({"require": {"exempt_networks": ["192.0.2.0/24"],
        "signature": {"secrets": ["a-secret-of-thirty-two-bytes-or-more"]}}});
    let pipeline = behind_a_proxy(json!({"source": source, "client_ip": {}}));
    let claims: [(&str, &[u8]); 4] =
        [("x-user-id", b"root"), ("x_user_role", b"admin"), ("x-source", b"gateway"), ("accept", b"*/*")];
    let ops = forwarded(judge(&pipeline, from("192.0.2.1", "/a", &claims), &host()).1);
    let removed: Vec<&[u8]> = ops.remove.iter().map(Vec::as_slice).collect();
    assert_eq!(removed, [&b"x-user-id"[..], b"x_user_role", b"x-source"]);
}

#[test]
fn pages_are_not_for_grpc() {
    let pipeline = behind_a_proxy(json!({"metrics": {"networks": ["127.0.0.0/8"]}, "client_ip": {}}));
    for path in ["/metrics", "/health"] {
        let grpc = from("127.0.0.1", path, &[("content-type", b"application/grpc")]);
        let Step::Reply(reply) = judge(&pipeline, grpc, &host()).1 else { panic!("{path} is a page") };
        assert_eq!((reply.status, reply.grpc_status), (404, Some(12)));
    }
}

#[test]
fn an_authority_that_is_none_is_refused_before_anything_else() {
    let pipeline = behind_a_proxy(json!({}));
    for bad in ["", "a,b", "u@a", "a b"] {
        let mut request = from("10.0.0.1", "/a", &[]);
        let pairs = [(":method", "GET"), (":path", "/health"), (":authority", bad)];
        request.headers = portcullis_edge_core::Headers::from_pairs(pairs.map(|(n, v)| (n, v.as_bytes())));
        let Step::Reply(reply) = judge(&pipeline, request, &host()).1 else { panic!("{bad} is taken") };
        assert_eq!(reply.status, 400, "{bad}");
    }
}

#[test]
fn errors_are_not_kept_by_caches() {
    let pipeline = behind_a_proxy(json!({}));
    let Step::Reply(reply) = judge(&pipeline, from("10.0.0.1", "/no", &[]), &host()).1 else {
        panic!("a route")
    };
    assert!(reply.headers.contains(&("cache-control".to_owned(), b"no-store".to_vec())));
}

/// What the lines of one request may take of a disk.
const MOST_LOG: usize = 3072;

#[test]
fn the_lines_of_a_request_are_bounded_whatever_it_is() {
    let jwt = json!({"providers": {"main": {"secrets": [{"alg": "HS256", "value": "a-secret-of-thirty-two-bytes-or-more"}]}}});
    let routes = json!([{ "path": "/{*rest}", "methods": ["GET"], "service": "order", "auth": {} }]);
    let pipeline = behind_a_proxy(json!({"jwt": jwt, "routes": routes}));
    let long = |with: &str| format!("/{}", with.repeat(8000 / with.len()));
    for path in [long("a"), long("\""), long("%22"), long("\u{e9}"), long("a.b.c"), long("/")] {
        let request =
            from("10.0.0.1", &path, &[("x-forwarded-for", b"192.0.2.1"), ("authorization", b"Bearer x")]);
        let (mut facts, _) = judge(&pipeline, request, &host());
        let record = pipeline.on_done(
            &mut facts,
            &host(),
            &mut pipeline.worker(0),
            &mut crate::tests::Fake::default(),
        );
        assert!(
            record.lines.len() <= MOST_LOG,
            "{} bytes for {}",
            record.lines.len(),
            path.get(..20).unwrap_or_default()
        );
    }
}

#[test]
fn a_handshake_that_announces_a_body_is_malformed_on_a_route_that_is_upgraded() {
    let pipeline = behind_a_proxy(json!({ "routes": [
        { "path": "/a", "methods": ["GET"], "service": "order", "upgrades": ["websocket"] },
        { "path": "/b", "methods": ["GET"], "service": "order" },
    ] }));
    let denied = |path: &str, more: &[(&str, &[u8])]| {
        let (facts, _) = judge(&pipeline, from("10.0.0.1", path, more), &host());
        facts.denial.map(|denial| denial.reason)
    };
    let upgrade: (&str, &[u8]) = ("upgrade", b"websocket");
    let malformed = Some(Reason::MALFORMED_REQUEST);
    assert_eq!(denied("/a", &[upgrade, ("content-length", b"5")]), malformed);
    assert_eq!(denied("/a", &[upgrade, ("content-length", b"0"), ("content-length", b"5")]), malformed);
    assert_eq!(denied("/a", &[upgrade, ("transfer-encoding", b"chunked")]), malformed);
    assert_eq!(denied("/a", &[upgrade, ("content-length", b"0")]), None);
    assert_eq!(denied("/a", &[upgrade]), None);
    assert_eq!(denied("/a", &[("content-length", b"5")]), None, "a request like any other");
    assert_eq!(denied("/b", &[upgrade, ("content-length", b"5")]), None, "the proxy refuses the upgrade");
}
