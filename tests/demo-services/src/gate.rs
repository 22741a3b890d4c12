//! What every request of a service passes first: capture, faults, echo; then the service itself.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::{Body as _, Frame, Incoming};
use serde_json::json;
use tokio::{sync::watch, time::Sleep};
use tower::ServiceExt;

use crate::{
    Service,
    capture::{CaptureLog, Captured},
    fault::{Effect, Faults, Reset},
    reply::Failure,
    wire::{Field, RawHead, Wire},
};

/// Where every service tells what it saw.
const ECHO: &str = "/__echo";
/// The longest body that a service reads; beyond it, 413.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// What a reset in mid-body promises and what it sends.
const PROMISED_BYTES: usize = 1024;
const SENT_BYTES: usize = 64;

/// One service behind its gate.
pub(crate) struct Gate {
    pub(crate) service: Service,
    pub(crate) log: CaptureLog,
    /// Requests whose head arrived and that have no answer yet.
    pub(crate) in_flight: watch::Sender<usize>,
    router: Router,
    faults: Arc<Faults>,
}

/// Counts a request for as long as it lives, also when its client leaves and the handler is dropped.
struct InFlight<'g>(&'g watch::Sender<usize>);

impl<'g> InFlight<'g> {
    fn new(count: &'g watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Gate {
    pub(crate) fn new(service: Service, router: Router, faults: Arc<Faults>, capture_limit: usize) -> Self {
        let (log, in_flight) = (CaptureLog::new(capture_limit), watch::Sender::new(0));
        Self { service, log, in_flight, router, faults }
    }

    /// Answers one request of a connection.
    pub(crate) async fn answer(&self, wire: &Arc<Wire>, request: Request<Incoming>) -> Response<Body> {
        let _in_flight = InFlight::new(&self.in_flight);
        let (parts, body) = request.into_parts();
        let captured = match read(&parts, body, wire).await {
            Ok(captured) => self.log.push(captured),
            Err(failure) => return failure.into_response(),
        };
        let effect = self.faults.take(self.service, &parts.method, &parts.uri);
        let mut response = match &effect {
            Some(effect) => self.suffer(effect, wire, parts, captured).await,
            None => self.serve(parts, captured).await,
        };
        // As the real services do: a gateway that hides server banners has something to hide.
        response.headers_mut().entry(header::SERVER).or_insert(HeaderValue::from_static("uvicorn"));
        response
    }

    async fn suffer(
        &self,
        effect: &Effect,
        wire: &Arc<Wire>,
        parts: Parts,
        captured: Captured,
    ) -> Response<Body> {
        if effect.reset == Some(Reset::MidBody) {
            return cut_off(effect, wire);
        }
        tokio::time::sleep(effect.delay).await;
        if effect.reset == Some(Reset::BeforeResponse) {
            wire.reset();
            std::future::pending::<Infallible>().await;
        }
        let mut response = match effect.status {
            Some(status) => forced(status, effect.body.clone()),
            None => self.serve(parts, captured).await,
        };
        response.headers_mut().extend(effect.headers.iter().cloned());
        response
    }

    async fn serve(&self, parts: Parts, captured: Captured) -> Response<Body> {
        if parts.uri.path().starts_with(ECHO) {
            let saw = captured.to_json();
            return Json(json!({ "service": self.service, "request": saw })).into_response();
        }
        let request = Request::from_parts(parts, Body::from(captured.body));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Reads a request to its end.
async fn read(parts: &Parts, body: Incoming, wire: &Wire) -> Result<Captured, Failure> {
    let in_step =
        |head: &RawHead| head.method == parts.method.as_str() && head.headers.len() == parts.headers.len();
    let head = wire.take_head().filter(in_step);
    let collected = collect(body).await;
    wire.resume();
    let collected = collected?;
    let trailers = collected.trailers().map(fields).unwrap_or_default();
    let (target, headers) = match head {
        Some(head) => (head.target, head.headers),
        None => (parts.uri.to_string(), fields(&parts.headers)),
    };
    let (method, peer) = (parts.method.to_string(), wire.peer);
    Ok(Captured { number: 0, method, target, headers, body: collected.to_bytes(), trailers, peer })
}

/// The whole body, unless it says or shows that it is too long.
async fn collect(body: Incoming) -> Result<Collected<Bytes>, Failure> {
    let refuse = || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long or broke off");
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(refuse());
    }
    Limited::new(body, MAX_BODY).collect().await.map_err(|_| refuse())
}

fn fields(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn forced(status: StatusCode, body: Option<String>) -> Response<Body> {
    match body {
        Some(body) => (status, body).into_response(),
        None => Failure::new(status, "forced by a fault").into_response(),
    }
}

/// A response that promises more than it sends before it resets the connection.
fn cut_off(effect: &Effect, wire: &Arc<Wire>) -> Response<Body> {
    let body = CutOff { wire: Arc::clone(wire), sent: false, hold: effect.delay, timer: None };
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = effect.status.unwrap_or(StatusCode::OK);
    response.headers_mut().extend(effect.headers.iter().cloned());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(PROMISED_BYTES));
    response
}

/// Sends a part, holds, resets.
struct CutOff {
    wire: Arc<Wire>,
    sent: bool,
    hold: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for CutOff {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.sent {
            self.sent = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; SENT_BYTES])))));
        }
        let hold = self.hold;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(hold)));
        if timer.as_mut().poll(cx).is_ready() {
            self.wire.reset();
        }
        Poll::Pending
    }
}
