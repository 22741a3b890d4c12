//! An HTTP/2 client over cleartext TCP with prior knowledge.

use crate::connection::connect;
use crate::h2_fields::WithFields;
use crate::{Answer, ClientError, Headers, PATIENCE, Request};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;

/// The runtime of all HTTP/2 connections. Tests block on channels, so they may run inside a runtime of their own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("the system has threads")
});

/// One HTTP/2 connection, for any number of streams at a time.
pub struct H2Connection {
    requests: SendRequest<Bytes>,
}

impl H2Connection {
    /// Connects.
    ///
    /// # Panics
    /// If that fails; [`H2Connection::try_open`] does not.
    #[track_caller]
    pub fn open(to: SocketAddr) -> Self {
        Self::open_from(None, to)
    }

    /// Connects from the address `source`, which may be any of 127.0.0.0/8.
    ///
    /// # Panics
    /// If that fails; [`H2Connection::try_open`] does not.
    #[track_caller]
    pub fn open_from(source: Option<IpAddr>, to: SocketAddr) -> Self {
        Self::try_open(source, to).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// Connects, from `source` if that is given.
    ///
    /// # Errors
    /// If that fails, or the peer does not speak HTTP/2.
    pub fn try_open(source: Option<IpAddr>, to: SocketAddr) -> Result<Self, ClientError> {
        let stream = connect(source, to).map_err(ClientError::Connect)?;
        let requests = run(handshake(stream)).answer()?;
        Ok(Self { requests })
    }

    /// Connects, and sends `head` before everything else: what a proxy in front says of the client (the PROXY protocol).
    ///
    /// # Errors
    /// As [`H2Connection::try_open`].
    pub fn try_open_behind(head: &[u8], to: SocketAddr) -> Result<Self, ClientError> {
        let mut stream = connect(None, to).map_err(ClientError::Connect)?;
        stream.write_all(head)?;
        let requests = run(handshake(stream)).answer()?;
        Ok(Self { requests })
    }

    /// Connects. The first request has these fields in the place of its own, whatever rule they break; `head` goes before everything.
    ///
    /// # Errors
    /// As [`H2Connection::try_open`].
    pub fn try_open_with_fields(
        source: Option<IpAddr>,
        head: &[u8],
        fields: Vec<(Vec<u8>, Vec<u8>)>,
        to: SocketAddr,
    ) -> Result<Self, ClientError> {
        let mut stream = connect(source, to).map_err(ClientError::Connect)?;
        stream.write_all(head)?;
        let work = async move { begin(WithFields::new(in_runtime(stream)?, fields)).await };
        Ok(Self { requests: run(work).answer()? })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// If there is no answer; [`H2Connection::try_send`] does not.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        let target = String::from_utf8_lossy(&request.target);
        self.try_send(request).unwrap_or_else(|error| panic!("{} {target:?}: {error}", request.method))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub fn try_send(&self, request: &Request) -> Result<Answer, ClientError> {
        self.start(request)?.answer()
    }

    /// Sends a request whose body is `pieces`, a DATA frame each; before each piece and behind the last, `before` is called
    /// with its place. Whatever comes of it can be looked at while it comes.
    ///
    /// # Errors
    /// [`ClientError::Unsendable`] if the request cannot be expressed in HTTP/2.
    pub fn start_in_pieces(
        &self,
        request: &Request,
        pieces: Vec<Vec<u8>>,
        before: impl FnMut(usize) + Send + 'static,
    ) -> Result<InPieces, ClientError> {
        let (head, trailers) = (head_of(request)?, header_map(&request.trailers)?);
        let so_far: Arc<Mutex<Option<Answer>>> = Arc::default();
        let work = in_pieces(self.requests.clone(), head, pieces, trailers, Box::new(before), so_far.clone());
        Ok(InPieces { pending: run(work), so_far })
    }

    /// Sends a request, whose answer can be waited for later; other streams may start meanwhile.
    ///
    /// # Errors
    /// [`ClientError::Unsendable`] if the request cannot be expressed in HTTP/2.
    pub fn start(&self, request: &Request) -> Result<Pending<Answer>, ClientError> {
        let (head, trailers) = (head_of(request)?, header_map(&request.trailers)?);
        let body = Bytes::from(request.body.clone());
        Ok(run(exchange(self.requests.clone(), head, body, trailers)))
    }
}

/// A stream whose answer is still to come. Dropping it resets the stream, as a client that left does.
pub struct Pending<T> {
    outcome: Receiver<Result<T, ClientError>>,
    task: tokio::task::JoinHandle<()>,
}

/// A stream whose answer can be looked at while it comes. Dropping it resets the stream.
pub struct InPieces {
    pending: Pending<()>,
    so_far: Arc<Mutex<Option<Answer>>>,
}

impl InPieces {
    /// Waits so long at most: how the stream ended, once it has.
    pub fn wait(&self, time: Duration) -> Option<Result<(), ClientError>> {
        match self.pending.outcome.recv_timeout(time) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(ClientError::Malformed("the client failed".into())))
            }
        }
    }

    /// The answer, as far as it has come.
    pub fn so_far(&self) -> Option<Answer> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Pending<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub fn answer(self) -> Result<T, ClientError> {
        match self.outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(ClientError::Timeout(PATIENCE)),
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Malformed("the client failed".into())),
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run<T: Send + 'static>(work: impl Future<Output = Result<T, ClientError>> + Send + 'static) -> Pending<T> {
    let (report, outcome) = channel();
    let task = RUNTIME.spawn(async move {
        let _ = report.send(work.await);
    });
    Pending { outcome, task }
}

async fn handshake(stream: TcpStream) -> Result<SendRequest<Bytes>, ClientError> {
    begin(in_runtime(stream)?).await
}

fn in_runtime(stream: TcpStream) -> Result<tokio::net::TcpStream, ClientError> {
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Bytes>, ClientError> {
    let (requests, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(requests)
}

async fn exchange(
    requests: SendRequest<Bytes>,
    head: http::Request<()>,
    body: Bytes,
    trailers: HeaderMap,
) -> Result<Answer, ClientError> {
    let mut requests = requests.ready().await.map_err(failed)?;
    let ends_here = body.is_empty() && trailers.is_empty();
    let (answer, mut stream) = requests.send_request(head, ends_here).map_err(failed)?;
    if !ends_here {
        // A server may answer before it has read the body, and refuse the rest: the answer says what happened.
        let _ = send_body(&mut stream, body, trailers);
    }
    receive(answer).await
}

fn send_body(stream: &mut h2::SendStream<Bytes>, body: Bytes, trailers: HeaderMap) -> Result<(), h2::Error> {
    stream.send_data(body, trailers.is_empty())?;
    if trailers.is_empty() { Ok(()) } else { stream.send_trailers(trailers) }
}

/// Called before each piece.
type Before = Box<dyn FnMut(usize) + Send>;

async fn in_pieces(
    requests: SendRequest<Bytes>,
    head: http::Request<()>,
    pieces: Vec<Vec<u8>>,
    trailers: HeaderMap,
    before: Before,
    so_far: Arc<Mutex<Option<Answer>>>,
) -> Result<(), ClientError> {
    let mut requests = requests.ready().await.map_err(failed)?;
    let ends_here = pieces.is_empty() && trailers.is_empty();
    let (answer, stream) = requests.send_request(head, ends_here).map_err(failed)?;
    if ends_here {
        return receive_into(answer, &so_far).await;
    }
    // A server may answer before it has read the body, and refuse the rest: the answer says what happened.
    // Whoever drops this stops sending, too.
    let mut sending = tokio::task::JoinSet::new();
    sending.spawn(send_pieces(stream, pieces, trailers, before));
    receive_into(answer, &so_far).await
}

async fn send_pieces(
    mut stream: h2::SendStream<Bytes>,
    pieces: Vec<Vec<u8>>,
    trailers: HeaderMap,
    mut before: Before,
) -> Result<(), h2::Error> {
    let last = pieces.len();
    for (place, piece) in pieces.into_iter().enumerate() {
        before = called(before, place).await;
        stream.send_data(Bytes::from(piece), trailers.is_empty() && place + 1 == last)?;
    }
    drop(called(before, last).await);
    if trailers.is_empty() { Ok(()) } else { stream.send_trailers(trailers) }
}

/// What waits must not keep the connection from sending.
async fn called(mut before: Before, place: usize) -> Before {
    let done = tokio::task::spawn_blocking(move || {
        before(place);
        before
    });
    done.await.unwrap_or_else(|_| Box::new(|_| {}))
}

async fn receive_into(answer: ResponseFuture, so_far: &Mutex<Option<Answer>>) -> Result<(), ClientError> {
    let so_far = || so_far.lock().unwrap_or_else(PoisonError::into_inner);
    let (head, mut stream) = answer.await.map_err(failed)?.into_parts();
    let (status, headers) = (head.status.as_u16(), headers_of(&head.headers));
    *so_far() = Some(Answer { status, headers, ..Answer::default() });
    while let Some(data) = stream.data().await {
        let data = data.map_err(failed)?;
        stream.flow_control().release_capacity(data.len()).map_err(failed)?;
        so_far().iter_mut().for_each(|answer| answer.body.extend_from_slice(&data));
    }
    let trailers = stream.trailers().await.map_err(failed)?.unwrap_or_default();
    so_far().iter_mut().for_each(|answer| answer.trailers = headers_of(&trailers));
    Ok(())
}

async fn receive(answer: ResponseFuture) -> Result<Answer, ClientError> {
    let (head, mut stream) = answer.await.map_err(failed)?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(failed)?;
        stream.flow_control().release_capacity(data.len()).map_err(failed)?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.map_err(failed)?.unwrap_or_default();
    let (status, headers) = (head.status.as_u16(), headers_of(&head.headers));
    Ok(Answer { status, headers, body, trailers: headers_of(&trailers) })
}

fn failed(error: h2::Error) -> ClientError {
    match error.reason() {
        Some(reason) if error.is_reset() => ClientError::StreamReset(reason.into()),
        _ => ClientError::Malformed(error.to_string()),
    }
}

fn head_of(request: &Request) -> Result<http::Request<()>, ClientError> {
    let mut head = http::Request::builder().method(request.method.as_str()).version(http::Version::HTTP_2);
    head = head.uri(uri_of(request)?);
    if let Some(headers) = head.headers_mut() {
        *headers = header_map(&request.headers)?;
    }
    head.body(()).map_err(unsendable)
}

/// The pseudo-header fields as the library wants them. CONNECT has an authority alone (RFC 9113, section 8.5).
fn uri_of(request: &Request) -> Result<http::Uri, ClientError> {
    let (uri, target) = (http::Uri::builder(), request.target.as_slice());
    let uri = match &request.host {
        _ if request.method == "CONNECT" => uri.authority(target),
        Some(host) => uri.scheme("http").authority(host.as_slice()).path_and_query(target),
        None => return Err(unsendable("the library does not omit :authority")),
    };
    uri.build().map_err(unsendable)
}

fn header_map(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<HeaderMap, ClientError> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(unsendable)?;
        map.append(name, HeaderValue::from_bytes(value).map_err(unsendable)?);
    }
    Ok(map)
}

fn unsendable(error: impl std::fmt::Display) -> ClientError {
    ClientError::Unsendable(error.to_string())
}

fn headers_of(map: &HeaderMap) -> Headers {
    let mut headers = Headers::default();
    map.iter().for_each(|(name, value)| headers.push(name.as_str(), value.as_bytes()));
    headers
}

#[cfg(test)]
#[path = "h2_connection_tests.rs"]
mod tests;
