//! A scripted gRPC service: HTTP/2, and an answer once it has the whole request.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::{future, io};

use bytes::Bytes;
use h2::server::{SendResponse, handshake};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::peer::{LOOK_EVERY, Shared, State, lock};
use super::reading::{Starving, is_empty};
use crate::plan::{Body, Fate, Fields, Reply};
use crate::seen::Call;

/// A message in front of which stand a flag and its length.
const FRAME_HEAD: usize = 5;

/// One connection, as others see it.
struct Streams {
    stream: TcpStream,
    /// The thread of this connection has nothing to do.
    parked: AtomicBool,
    /// Requests that have begun and not ended.
    reading: AtomicUsize,
}

impl Starving for Streams {
    fn starving(&self) -> usize {
        let rests = self.parked.load(Ordering::SeqCst) && is_empty(&self.stream);
        if rests { self.reading.load(Ordering::SeqCst) } else { 0 }
    }
}

/// Answers the requests of one connection.
pub fn serve(stream: TcpStream, state: Arc<State>, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let parked = AtomicBool::new(false);
    let streams = Arc::new(Streams { stream: stream.try_clone()?, parked, reading: AtomicUsize::new(0) });
    let (parks, unparks) = (streams.clone(), streams.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parks.parked.store(true, Ordering::SeqCst))
        .on_thread_unpark(move || unparks.parked.store(false, Ordering::SeqCst))
        .build()?;
    let weak: Weak<dyn Starving> = Arc::<Streams>::downgrade(&streams);
    shared.watch(weak);
    let all = async move {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut connection = handshake(stream).await.map_err(io::Error::other)?;
        while let Some(request) = connection.accept().await {
            let (request, respond) = request.map_err(io::Error::other)?;
            streams.reading.fetch_add(1, Ordering::SeqCst);
            let (streams, state, shared) = (streams.clone(), state.clone(), shared.clone());
            tokio::spawn(async move { exchange(request, respond, &streams, &state, &shared).await });
        }
        Ok(())
    };
    runtime.block_on(all)
}

/// A stream that breaks is no news: the proxy tells its client.
async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    streams: &Streams,
    state: &State,
    shared: &Shared,
) {
    let read = read(request).await;
    streams.reading.fetch_sub(1, Ordering::SeqCst);
    let Ok(call) = read else { return };
    let reply = lock(&state.script).answer(&call.method, &call.path);
    lock(&state.calls).push(call);
    let due = shared.hold(&reply);
    let is_due = async {
        while !shared.is_over() && !shared.is_due(due) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = is_due => shared.release(due),
        _ = future::poll_fn(|cx| respond.poll_reset(cx)) => return shared.release(due),
    }
    match reply.fate {
        Fate::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
        Fate::Never | Fate::Refused => {}
        Fate::Answer | Fate::ResetAfterBody => {
            let _ = answer(&reply, respond).await;
        }
    }
}

async fn read(request: Request<RecvStream>) -> Result<Call, h2::Error> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(Call {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(Vec::new, |path| path.as_str().as_bytes().to_vec()),
        authority: head.uri.authority().map_or_else(Vec::new, |host| host.as_str().as_bytes().to_vec()),
        headers: fields(&head.headers),
        body: messages(&bytes),
        trailers: fields(&trailers),
    })
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The messages without their frames, one behind the other.
fn messages(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEAD>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let (message, rest) = rest.split_at(rest.len().min(length as usize));
        all.extend_from_slice(message);
        bytes = rest;
    }
    all
}

fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    Bytes::from([&[0], &length[..], message].concat())
}

async fn answer(reply: &Reply, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
    *head.headers_mut() = map(&reply.headers);
    let breaks = reply.fate == Fate::ResetAfterBody;
    let Body::Chunked(messages, trailers) = &reply.body else {
        let sent = respond.send_response(head, !breaks)?;
        reset(sent, breaks).await;
        return Ok(());
    };
    let mut sent = respond.send_response(head, false)?;
    for message in messages {
        sent.send_data(frame(message), false)?;
    }
    if !breaks {
        sent.send_trailers(map(trailers))?;
    }
    reset(sent, breaks).await;
    Ok(())
}

/// A reset takes with it what has not been written yet: the connection comes first.
async fn reset(mut stream: SendStream<Bytes>, breaks: bool) {
    if breaks {
        tokio::time::sleep(LOOK_EVERY).await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// What is no header is left out.
fn map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}
