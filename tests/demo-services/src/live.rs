//! Services that a gateway must not hold up: a WebSocket, server-sent events, a long poll, and gRPC.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{RawQuery, State, WebSocketUpgrade, ws::Message, ws::WebSocket},
    http::HeaderMap,
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::AbortHandle};
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream, wrappers::TcpListenerStream};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The subprotocol that the WebSocket takes where a client offers it.
pub const PROTOCOL: &str = "echo.v1";

/// How many messages a slow reader may be behind.
const BACKLOG: usize = 64;

/// The services, until this is dropped.
#[derive(Debug)]
pub struct Live {
    http: SocketAddr,
    grpc: SocketAddr,
    health: HealthReporter,
    messages: Arc<broadcast::Sender<String>>,
    tasks: Vec<AbortHandle>,
}

impl Live {
    /// Listens on two addresses: HTTP/1.1 and gRPC. Needs a Tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be had.
    pub async fn start(http: SocketAddr, grpc: SocketAddr) -> io::Result<Self> {
        let (http, grpc) = (TcpListener::bind(http).await?, TcpListener::bind(grpc).await?);
        let (addresses, messages) =
            ((http.local_addr()?, grpc.local_addr()?), Arc::new(broadcast::channel(BACKLOG).0));
        let (health, service) = tonic_health::server::health_reporter();
        let router = router(Arc::clone(&messages));
        let served = tonic::transport::Server::builder().add_service(service);
        let tasks = [
            tokio::spawn(async move { drop(axum::serve(http, router).await) }),
            tokio::spawn(async move { drop(served.serve_with_incoming(TcpListenerStream::new(grpc)).await) }),
        ];
        let tasks = tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect();
        Ok(Self { http: addresses.0, grpc: addresses.1, health, messages, tasks })
    }

    /// Where the WebSocket (`/ws`), the events (`/events`) and the long poll (`/poll`) are.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where gRPC's health service is.
    #[must_use]
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Sends `text` to whoever listens to the events, or polls; returns to how many.
    pub fn publish(&self, text: &str) -> usize {
        self.messages.send(text.to_owned()).unwrap_or(0)
    }

    /// Says over gRPC how the service `name` does; its watchers hear of it.
    pub async fn set_serving(&self, name: &str, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.health.set_service_status(name, status).await;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

type Messages = Arc<broadcast::Sender<String>>;

fn router(messages: Messages) -> Router {
    Router::new()
        .route("/ws", any(web_socket))
        .route("/events", get(events))
        .route("/poll", get(poll))
        .route("/publish", post(publish))
        .with_state(messages)
}

/// Tells the client what its handshake looked like here, then sends back whatever it gets.
async fn web_socket(RawQuery(query): RawQuery, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let seen = handshake(&headers, query.as_deref());
    upgrade.protocols([PROTOCOL]).on_upgrade(|socket| echo(socket, seen))
}

fn handshake(headers: &HeaderMap, query: Option<&str>) -> Value {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    json!({
        "protocols": text("sec-websocket-protocol"),
        "authorization": text("authorization"),
        "cookie": text("cookie"),
        "user": text("x-user-id"),
        "query": query,
    })
}

async fn echo(mut socket: WebSocket, seen: Value) {
    if socket.send(Message::text(seen.to_string())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        let is_sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await.is_ok(),
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) => true,
            Message::Close(_) => return,
        };
        if !is_sent {
            return;
        }
    }
}

/// `hello` at once, then every message, without an end.
async fn events(State(messages): State<Messages>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = tokio_stream::once("hello".to_owned());
    let rest = BroadcastStream::new(messages.subscribe()).filter_map(Result::ok);
    let keep_alive = axum::response::sse::KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(first.chain(rest).map(|text| Ok(Event::default().data(text)))).keep_alive(keep_alive)
}

/// The next message, however long that takes.
async fn poll(State(messages): State<Messages>) -> Response {
    match messages.subscribe().recv().await {
        Ok(text) => Json(json!({ "message": text })).into_response(),
        Err(_) => pending().await,
    }
}

async fn publish(State(messages): State<Messages>, text: String) -> Json<Value> {
    Json(json!({ "heard_by": messages.send(text).unwrap_or(0) }))
}
