//! The client: sends a request byte for byte, and takes whatever comes.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_e2e::{
    Answer as Received, ClientError, Connection, H2Connection, Interrupter, Request as Sent,
};

use super::arrivals::Arrivals;
use super::tls::Door;
use crate::plan::{Body, Fields, Request};
use crate::seen::{Answer, End};

/// The client itself never gives up: whoever started it decides that nothing comes any more.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
/// How often a client over HTTP/2 looks whether it is to give up.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Lets a client give up, from another thread.
#[derive(Clone, Default)]
pub struct GiveUp(Arc<Inner>);

#[derive(Default)]
struct Inner {
    given_up: AtomicBool,
    has_sent: AtomicBool,
    is_gone: AtomicBool,
    connection: Mutex<Option<Interrupter>>,
}

impl GiveUp {
    /// The client waits no longer.
    pub fn now(&self) {
        self.0.given_up.store(true, Ordering::SeqCst);
        let connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.iter().for_each(Interrupter::interrupt);
    }

    /// Whether it has given up.
    pub fn is_over(&self) -> bool {
        self.0.given_up.load(Ordering::SeqCst)
    }

    /// Whether the client has sent all that it will send: from then on others may wait for it in vain.
    pub fn has_sent(&self) -> bool {
        self.0.has_sent.load(Ordering::SeqCst)
    }

    /// The client has sent all that it will send.
    pub fn sent(&self) {
        self.0.has_sent.store(true, Ordering::SeqCst);
    }

    /// Whether its connection is gone.
    pub fn is_gone(&self) -> bool {
        self.0.is_gone.load(Ordering::SeqCst)
    }

    fn gone(&self) {
        self.0.is_gone.store(true, Ordering::SeqCst);
    }

    fn waits_on(&self, connection: &Connection) -> Result<(), ClientError> {
        let interrupter = connection.interrupter()?;
        *self.0.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter);
        if self.is_over() {
            self.now();
        }
        Ok(())
    }
}

/// Sends a request and waits for its answer; the pieces of a body each arrive for themselves.
///
/// # Errors
/// Why the request could not be sent. Whatever the proxy does is an answer.
pub fn send(
    request: &Request,
    to: SocketAddr,
    arrivals: &Arrivals,
    give_up: &GiveUp,
) -> Result<Answer, String> {
    let Some(shown) = &request.tls else { return over_http(request, to, arrivals, give_up) };
    let door = Door::open(request, shown, to)?;
    let from = IpAddr::from([127, 0, 0, 1]);
    // The door is where it comes from; it names who is behind it.
    let inside = Request { from, fields: https(request), ..request.clone() };
    let sent = over_http(&inside, door.address, arrivals, give_up);
    // A connection that has not come about breaks off somehow.
    sent.or_else(|error| if shown.is_let_in { Err(error) } else { Ok(nothing(End::Broken)) })
}

fn over_http(
    request: &Request,
    to: SocketAddr,
    arrivals: &Arrivals,
    give_up: &GiveUp,
) -> Result<Answer, String> {
    let sent = if request.http2 {
        over_http2(request, to, arrivals, give_up)
    } else {
        over_http1(request, to, arrivals, give_up)
    };
    sent.map_err(|error| error.to_string())
}

/// The fields of a request over HTTP/2 and TLS, whose scheme is another.
fn https(request: &Request) -> Option<Fields> {
    if !request.http2 || request.fields.is_some() {
        return request.fields.clone();
    }
    let pseudo: [(&str, &[u8]); 4] = [
        (":method", request.method.as_bytes()),
        (":scheme", b"https"),
        (":authority", request.authority.as_bytes()),
        (":path", &request.path),
    ];
    let length = match &request.body {
        Body::Whole(body) => vec![("content-length".to_owned(), body.len().to_string().into_bytes())],
        _ => Vec::new(),
    };
    let pseudo = pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
    Some(pseudo.chain(request.headers.iter().cloned()).chain(length).collect())
}

fn over_http2(
    request: &Request,
    to: SocketAddr,
    arrivals: &Arrivals,
    give_up: &GiveUp,
) -> Result<Answer, ClientError> {
    let proxy_head = request.proxy_head();
    let connection = match &proxy_head {
        _ if request.fields.is_some() => {
            let fields = request.fields.iter().flatten();
            let fields = fields.map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect();
            let source = Some(request.from).filter(|_| proxy_head.is_none());
            H2Connection::try_open_with_fields(source, proxy_head.unwrap_or_default().as_bytes(), fields, to)?
        }
        Some(head) => H2Connection::try_open_behind(head.as_bytes(), to)?,
        None => H2Connection::try_open(Some(request.from), to)?,
    };
    let (arrivals, over) = (arrivals.clone(), give_up.clone());
    let (head, pieces) = in_pieces(request);
    let unfinished = request.unfinished;
    let last = pieces.len();
    if last == 0 {
        give_up.sent();
    }
    let sizes: Vec<usize> = pieces.iter().map(Vec::len).collect();
    let mut base = 0;
    let wait = move |place: usize| {
        if let Some(before) = place.checked_sub(1) {
            // A frame's head has nine bytes.
            arrivals.wait(base + sizes[before] as u64 + 9, &|| over.is_over());
        }
        base = arrivals.count();
        if place == last {
            over.sent();
        }
        while place == last && unfinished && !over.is_gone() {
            std::thread::sleep(LOOK_EVERY);
        }
    };
    let stream = connection.start_in_pieces(&head, pieces, wait)?;
    let end = loop {
        match stream.wait(LOOK_EVERY) {
            Some(Ok(())) => break End::Complete,
            Some(Err(error @ ClientError::Unsendable(_))) => return Err(error),
            Some(Err(_)) => break End::Broken,
            None if give_up.is_over() => break End::Never,
            None => {}
        }
    };
    let so_far = stream.so_far();
    drop((stream, connection));
    give_up.gone();
    Ok(so_far.map_or_else(|| nothing(end.clone()), |received| answer(received, end.clone())))
}

fn in_pieces(request: &Request) -> (Sent, Vec<Vec<u8>>) {
    let sent = match &request.fields {
        // Others are sent in their place; of the answer to HEAD it is known that it has no body.
        Some(fields) if fields.iter().any(|(_, value)| value == b"HEAD") => Sent::new("HEAD", "/"),
        Some(_) => Sent::get("/"),
        None => Sent::new(&request.method, &request.path).host(&request.authority),
    };
    let sent = request.headers.iter().fold(sent, |sent, (name, value)| sent.header(name, value));
    match &request.body {
        Body::None => (sent, Vec::new()),
        Body::Whole(body) => (sent.header("content-length", body.len().to_string()), vec![body.clone()]),
        // What has trailers does not end with its last piece.
        Body::Chunked(chunks, _) if request.unfinished => (sent.trailer("x-never", "sent"), chunks.clone()),
        Body::Chunked(chunks, trailers) => {
            let sent = trailers.iter().fold(sent, |sent, (name, value)| sent.trailer(name, value));
            (sent, chunks.clone())
        }
    }
}

fn over_http1(
    request: &Request,
    to: SocketAddr,
    arrivals: &Arrivals,
    give_up: &GiveUp,
) -> Result<Answer, ClientError> {
    let proxy_head = request.proxy_head();
    let from = Some(request.from).filter(|_| proxy_head.is_none());
    let mut connection = Connection::try_open(from, to)?.within(FOR_EVER);
    if let Some(head) = proxy_head {
        connection.write(head.as_bytes())?;
    }
    give_up.waits_on(&connection)?;
    // A proxy may answer before it has read everything: what cannot be written does not matter then.
    let mut sent = arrivals.count();
    let mut write = |bytes: &[u8]| {
        let written = connection.write(bytes).is_ok();
        sent += bytes.len() as u64;
        written && arrivals.wait(sent, &|| give_up.is_over() || connection_has_ended(&connection))
    };
    let goes_on = write(&head(request));
    match &request.body {
        Body::Whole(body) if goes_on => drop(write(body)),
        Body::Chunked(chunks, _) if goes_on && request.unfinished => {
            let _ = chunks.iter().all(|chunk| write(&in_chunk(chunk)));
        }
        Body::Chunked(chunks, trailers) if goes_on => {
            let chunks = chunks.iter().map(|chunk| in_chunk(chunk));
            let end = [b"0\r\n".to_vec(), lines(trailers), b"\r\n".to_vec()].concat();
            let _ = chunks.chain([end]).all(|bytes| write(&bytes));
        }
        _ => {}
    }
    give_up.sent();
    read(&mut connection, &asked(request), give_up)
}

/// An answer that is there already, or a connection that has been closed, ends the sending.
fn connection_has_ended(connection: &Connection) -> bool {
    connection.has_something_to_read()
}

fn in_chunk(chunk: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
}

/// The method, by which the client knows whether its answer has a body.
fn asked(request: &Request) -> String {
    let first = |wire: &Vec<u8>| wire.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec();
    request
        .wire
        .as_ref()
        .map_or_else(|| request.method.clone(), |wire| String::from_utf8_lossy(&first(wire)).into_owned())
}

fn head(request: &Request) -> Vec<u8> {
    if let Some(wire) = &request.wire {
        return wire.clone();
    }
    let mut head = [request.method.as_bytes(), b" ", &request.path, b" HTTP/1.1\r\n"].concat();
    head.extend(format!("host: {}\r\n", request.authority).bytes());
    head.extend(lines(&request.headers));
    match &request.body {
        Body::None => {}
        Body::Whole(body) => head.extend(format!("content-length: {}\r\n", body.len()).bytes()),
        Body::Chunked(..) => head.extend(b"transfer-encoding: chunked\r\n"),
    }
    head.extend(b"\r\n");
    head
}

fn lines(fields: &Fields) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat()).collect()
}

fn read(connection: &mut Connection, method: &str, give_up: &GiveUp) -> Result<Answer, ClientError> {
    let mut received = match connection.read_head() {
        Ok(received) => received,
        Err(error) => return ended(error, give_up).map(|(end, _)| nothing(end)),
    };
    let has_body = method != "HEAD" && ![101, 204, 304].contains(&received.status);
    let body = if has_body { connection.read_body(&mut received) } else { Ok(()) };
    match body {
        Ok(()) if give_up.is_over() => Ok(answer(received, End::Never)),
        Ok(()) => Ok(answer(received, End::Complete)),
        Err(error) => {
            let (end, rest) = ended(error, give_up)?;
            if !received.headers.has("transfer-encoding") {
                received.body = rest;
            }
            Ok(answer(received, end))
        }
    }
}

/// How an answer ended that is not complete, and what came of it last.
fn ended(error: ClientError, give_up: &GiveUp) -> Result<(End, Vec<u8>), ClientError> {
    match error {
        ClientError::Closed { received, .. } if give_up.is_over() => Ok((End::Never, received)),
        ClientError::Closed { received, .. } => Ok((End::Broken, received)),
        ClientError::Malformed(why) => Ok((End::Invalid(why), Vec::new())),
        error => Err(error),
    }
}

fn answer(received: Received, end: End) -> Answer {
    Answer {
        status: Some(received.status),
        headers: received.headers.0,
        body: received.body,
        trailers: received.trailers.0,
        end,
    }
}

fn nothing(end: End) -> Answer {
    Answer { end, ..Answer::default() }
}
