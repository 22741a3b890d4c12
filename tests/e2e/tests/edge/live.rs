//! What stays open: WebSockets, server-sent events, long polls, gRPC; with clients of other projects.

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_demo_services::{Live, PROTOCOL};
use portcullis_e2e::{Connection, Gateway, Request, eventually};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("the system has threads")
});

fn wait<T>(what: impl Future<Output = T>) -> T {
    RUNTIME.block_on(what)
}

pub fn live() -> Live {
    let any = || "127.0.0.1:0".parse().expect("an address");
    wait(Live::start(any(), any())).expect("the loopback has free ports")
}

/// A gateway in front of what is live. Everything but `/open` needs a token.
pub fn gateway(live: &Live) -> Gateway {
    let (http, grpc) = (live.http().to_string(), live.grpc().to_string());
    let stays_open = json!({ "timeout": "0s", "idle_timeout": "0s", "buffer_body": false });
    let route = |path: &str, service: &str, more: Value| {
        let method = if service == "grpc" { "POST" } else { "GET" };
        let mut route = json!({ "path": path, "service": service, "methods": [method], "auth": {} });
        for more in [&stays_open, &more] {
            route.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        }
        route
    };
    let socket = |auth: Value| json!({ "upgrades": ["websocket"], "upstream_path": "/ws", "auth": auth });
    let policy = json!({
        "version": 1,
        "gateway": { "grpc_web": true },
        "services": { "live": { "address": http }, "grpc": { "address": grpc, "protocol": "http2" } },
        "jwt": {
            "providers": { "main": { "secrets": [{ "alg": "HS256", "value": "${ENV:JWT_SECRET}" }], "user_claim": "sub" } },
            "sources": [
                { "header": "Authorization" },
                { "cookie": "session", "strip": true, "origins": ["https://app.example"] },
                { "query": "access_token", "strip": true },
                { "websocket_protocol": "bearer" },
            ],
        },
        "routes": [
            route("/ws", "live", socket(json!({}))),
            route("/until-expiry", "live", socket(json!({ "end_at_expiry": true }))),
            route("/closed", "live", json!({ "upstream_path": "/ws" })),
            route("/events", "live", json!({})),
            route("/poll", "live", json!({})),
            route("/grpc.health.v1.Health/Check", "grpc", json!({})),
            route("/grpc.health.v1.Health/Watch", "grpc", json!({})),
        ],
        "cors": { "origins": ["https://app.example"], "expose_headers": ["grpc-status", "grpc-message"] },
        "metrics": { "networks": ["127.0.0.0/8"], "flush_interval": "1s" },
    });
    Gateway::setup()
        .policy(|example| *example = policy)
        .variable("JWT_SECRET", portcullis_token_lab::SECRET)
        .start()
}

pub fn token(lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    portcullis_token_lab::mint("HS256", &json!({ "sub": "ann", "exp": now + lifetime.as_secs() }))
}

pub const HOUR: Duration = Duration::from_secs(3600);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub fn open(
    gateway: &Gateway,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(Socket, Response), tungstenite::Error> {
    let mut request = format!("ws://{}{target}", gateway.address()).into_client_request()?;
    for (name, value) in headers {
        let name: tungstenite::http::HeaderName = name.parse().expect("a name");
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    wait(connect_async(request))
}

/// The next message; nothing once the connection has ended.
fn next(socket: &mut Socket) -> Option<Message> {
    wait(socket.next())?.ok()
}

fn text(socket: &mut Socket) -> String {
    let message = next(socket).expect("a message");
    message.into_text().expect("a text").to_string()
}

/// What the service saw of the handshake, and that the connection carries messages both ways.
#[track_caller]
fn works(socket: &mut Socket) -> Value {
    let seen = serde_json::from_str(&text(socket)).expect("JSON");
    for message in
        [Message::text("both ways"), Message::binary(vec![0, 255]), Message::text("x".repeat(100_000))]
    {
        wait(socket.send(message.clone())).expect("it is open");
        assert_eq!(next(socket), Some(message));
    }
    seen
}

/// The one line of a connection that has ended.
fn line(gateway: &Gateway, path: &str) -> Value {
    let endpoint = format!("\"endpoint\":\"{path}\"");
    let lines = || {
        let all = gateway.envoy.stdout().all();
        let own = |line: &String| line.contains("\"action\":\"request\"") && line.contains(&endpoint);
        all.into_iter().map(|line| line.text()).filter(own).collect::<Vec<_>>()
    };
    eventually("it has a line", || !lines().is_empty());
    let lines = lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    serde_json::from_str(&lines[0]).expect("a line is JSON")
}

#[test]
fn a_web_socket_takes_its_token_from_each_place_and_its_service_sees_none() {
    let live = live();
    let token = token(HOUR);
    let bearer = format!("Bearer {token}");
    let cookie = format!("theme=dark; session={token}");
    let target = format!("/ws?room=7&access_token={token}");
    for (target, header, value, seen) in [
        ("/ws?room=7", "authorization", bearer.clone(), json!({ "authorization": bearer })),
        ("/ws?room=7", "cookie", cookie, json!({ "cookie": "theme=dark" })),
        (&target, "x-none", String::new(), json!({})),
        (
            "/ws?room=7",
            "sec-websocket-protocol",
            format!("{PROTOCOL}, bearer, {token}"),
            json!({ "protocols": PROTOCOL }),
        ),
        (
            "/ws?room=7",
            "sec-websocket-protocol",
            format!("bearer.{token}, {PROTOCOL}"),
            json!({ "protocols": PROTOCOL }),
        ),
    ] {
        let gateway = gateway(&live);
        let headers = [(header, value.as_str()), ("origin", "https://app.example")];
        let (mut socket, answer) = open(&gateway, target, &headers).expect("it is opened");
        let mut expected = json!({ "authorization": null, "cookie": null, "protocols": null, "query": "room=7", "user": "ann" });
        expected.as_object_mut().expect("an object").extend(seen.as_object().expect("an object").clone());
        assert_eq!(works(&mut socket), expected, "{header}");
        let chosen = answer.headers().get("sec-websocket-protocol").map(|value| value.as_bytes());
        assert_eq!(chosen, (header == "sec-websocket-protocol").then_some(PROTOCOL.as_bytes()));
        wait(socket.close(None)).expect("it is open");
        let line = line(&gateway, "/ws");
        assert_eq!((&line["extra"]["status"], &line["user"]), (&json!(101), &json!("ann")));
        assert_eq!(gateway.settled("live_requests_total", &[("status_code", "101")], 1.0), 1.0);
        assert!(!gateway.envoy.stdout().all().iter().any(|line| line.contains(&token)), "a token in the log");
    }
}

/// Browsers end a connection whose server takes none of the subprotocols that they offered.
#[test]
fn where_a_browser_offers_nothing_but_its_token_the_gateway_takes_the_marker() {
    let live = live();
    let gateway = gateway(&live);
    let offer = format!("bearer, {}", token(HOUR));
    let (mut socket, answer) =
        open(&gateway, "/ws", &[("sec-websocket-protocol", &offer)]).expect("it is opened");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "bearer");
    assert_eq!(works(&mut socket)["protocols"], json!(null));
}

type H2 = h2::client::SendRequest<bytes::Bytes>;

/// An HTTP/2 connection whose server takes extended CONNECT (RFC 8441).
async fn http2(address: std::net::SocketAddr) -> H2 {
    let stream = TcpStream::connect(address).await.expect("the gateway listens");
    let (requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let requests = requests.ready().await.expect("it is open");
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    requests
}

/// Opens a WebSocket on the connection, sends `hi`, and reads until it comes back.
async fn hi_over(mut requests: H2, token: &str) -> (http::StatusCode, http::HeaderMap, Vec<u8>) {
    let mut request = http::Request::connect("http://gateway.example/ws")
        .header("sec-websocket-version", "13")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request");
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (answer, mut sends) = requests.send_request(request, false).expect("it is sent");
    let answer = answer.await.expect("an answer");
    // A text (RFC 6455 section 5.2), masked with zeros.
    sends.send_data([&[0x81, 0x82, 0, 0, 0, 0][..], b"hi"].concat().into(), false).expect("it is sent");
    let (head, mut body) = answer.into_parts();
    let mut read = Vec::new();
    while !read.ends_with(b"\x81\x02hi") {
        let part = body.data().await.expect("more").expect("it is open");
        body.flow_control().release_capacity(part.len()).expect("what was read");
        read.extend_from_slice(&part);
    }
    (head.status, head.headers, read)
}

#[test]
fn web_sockets_are_opened_on_an_http_2_connection() {
    let live = live();
    let gateway = gateway(&live);
    let requests = wait(http2(gateway.address()));
    for count in [1.0, 2.0, 3.0] {
        let (status, headers, read) = wait(hi_over(requests.clone(), &token(HOUR)));
        assert_eq!(status, 200);
        assert!(!headers.contains_key("sec-websocket-accept"), "an answer to a key that nobody sent");
        assert!(String::from_utf8_lossy(&read).contains("\"user\":\"ann\""));
        assert_eq!(gateway.settled("live_requests_total", &[("status_code", "101")], count), count);
    }
}

#[test]
fn a_connection_ends_with_its_token_where_its_route_says_so() {
    let live = live();
    let gateway = gateway(&live);
    let bearer = format!("Bearer {}", token(Duration::from_secs(300)));
    let headers = [("authorization", bearer.as_str())];
    let (mut ends, _) = open(&gateway, "/until-expiry", &headers).expect("it is opened");
    let (mut stays, _) = open(&gateway, "/ws", &headers).expect("it is opened");
    works(&mut ends);
    works(&mut stays);
    gateway.envoy.travel(Duration::from_secs(200));
    wait(ends.send(Message::text("still"))).expect("it is open");
    assert_eq!(text(&mut ends), "still");
    gateway.envoy.travel(Duration::from_secs(200));
    assert_eq!(next(&mut ends), None, "it is ended");
    wait(stays.send(Message::text("still"))).expect("it is open");
    assert_eq!(text(&mut stays), "still");
    assert_eq!(line(&gateway, "/until-expiry")["extra"]["status"], 101);
}

#[test]
fn events_are_handed_on_one_by_one_without_a_time_out_and_are_one_record() {
    let live = live();
    let gateway = gateway(&live);
    let token = token(HOUR);
    let mut client = Connection::open(gateway.address());
    client.write(&Request::get("/events").bearer(&token).to_bytes()).expect("the gateway listens");
    client.read_until(b"data: hello").expect("the first event comes at once");
    eventually("it listens", || live.publish("one") == 1);
    client.read_until(b"data: one").expect("as soon as it is sent");
    gateway.envoy.travel(Duration::from_secs(3000));
    live.publish("two");
    client.read_until(b"data: two").expect("however long that took");
    drop(client);
    assert_eq!(line(&gateway, "/events")["extra"]["status"], 200);
    assert_eq!(gateway.settled("gateway_requests_total", &[("endpoint", "/events")], 1.0), 1.0);
}

#[test]
fn a_long_poll_waits_for_as_long_as_it_takes() {
    let live = live();
    let gateway = gateway(&live);
    let mut client = Connection::open(gateway.address());
    client.write(&Request::get("/poll").bearer(&token(HOUR)).to_bytes()).expect("the gateway listens");
    eventually("it is there", || gateway.envoy.admin().stat("cluster.live.upstream_rq_active") == Some(1));
    gateway.envoy.travel(Duration::from_secs(1800));
    eventually("it is heard", || live.publish("at last") > 0);
    let answer = client.read_answer("GET").expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({ "message": "at last" })));
}

fn health(gateway: &Gateway) -> HealthClient<tonic::transport::Channel> {
    let address = format!("http://{}", gateway.address());
    wait(async { tonic::transport::Endpoint::from_shared(address).expect("an address").connect().await })
        .map(HealthClient::new)
        .expect("the gateway speaks HTTP/2")
}

fn about(service: &str, token: Option<&str>) -> tonic::Request<HealthCheckRequest> {
    let mut request = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    }
    request
}

#[test]
fn grpc_calls_and_streams_go_through_and_errors_are_grpcs_own() {
    let live = live();
    wait(live.set_serving("orders", true));
    let gateway = gateway(&live);
    let mut client = health(&gateway);
    let token = token(HOUR);
    let answer = wait(client.check(about("orders", Some(&token)))).expect("an answer");
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    let unknown = wait(client.check(about("nobody", Some(&token)))).expect_err("no such service");
    assert_eq!(unknown.code(), tonic::Code::NotFound, "the service's own word");
    let refused = wait(client.check(about("orders", None))).expect_err("no token");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);

    let mut stream = wait(client.watch(about("orders", Some(&token)))).expect("a stream").into_inner();
    let mut status = || wait(stream.message()).expect("it is open").expect("a message").status();
    assert_eq!(status(), ServingStatus::Serving);
    gateway.envoy.travel(Duration::from_secs(3000));
    wait(live.set_serving("orders", false));
    assert_eq!(status(), ServingStatus::NotServing, "an hour later");
    drop(stream);
    let watched = [("endpoint", "/grpc.health.v1.Health/Watch")];
    assert_eq!(gateway.settled("gateway_requests_total", &watched, 1.0), 1.0);
}

/// A message in the frame of gRPC and gRPC-Web: a flag, its length, and itself.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

#[test]
fn grpc_web_is_translated_and_so_are_denials() {
    let live = live();
    wait(live.set_serving("a", true));
    let gateway = gateway(&live);
    // HealthCheckRequest { service: "a" }.
    let body = framed(b"\x0a\x01a");
    let ask = Request::post("/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc-web+proto")
        .header("origin", "https://app.example")
        .body(body);
    let answer = gateway.send(&ask.clone().bearer(&token(HOUR)));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/grpc-web+proto".to_owned()))
    );
    let said = answer.body.clone();
    // HealthCheckResponse { status: SERVING }, and the trailers as a message with the flag 0x80.
    assert!(said.starts_with(&framed(b"\x08\x01")), "{said:?}");
    assert!(said.windows(13).any(|part| part == b"grpc-status:0"), "{:?}", String::from_utf8_lossy(&said));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example".to_owned()));

    let refused = gateway.send(&ask);
    // With an HTTP status, which clients of gRPC-Web read too.
    assert_eq!((refused.status, refused.header("grpc-status")), (401, Some("16".to_owned())), "{refused:?}");
}
