//! Upstreams: one scripted HTTP/1.1 service for each cluster, on a port of its own.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use portcullis_e2e::{Admin, ReservedPort};

use super::arrivals::Arrivals;
use super::client::GiveUp;
use super::reading::{Reading, Waiting};
use crate::plan::{Body, Fate, Fields, Plan, Reply, Script};
use crate::seen::Call;

/// How often a reply that is held back looks whether its time has come, or nobody waits for it any more.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// All upstreams of a scenario.
pub struct Peers {
    peers: BTreeMap<String, Peer>,
    /// Of a scenario of TCP connections: where its steps take them.
    raw: BTreeMap<String, TcpListener>,
    are_tcp: bool,
    shared: Arc<Shared>,
}

/// What all connections know.
#[derive(Default)]
struct Shared {
    /// Nanoseconds since the scenario's start.
    now: AtomicU64,
    /// Replies held back, by the instant at which they are due; `u64::MAX` for those that never come.
    held: Mutex<Vec<u64>>,
    /// Connections, and whether their upstreams wait for the rest of a request.
    waiting: Mutex<Vec<Weak<Waiting>>>,
    /// The client of the request that is under way: as long as it sends, who waits for a request's rest waits for the client.
    client: Mutex<Option<GiveUp>>,
    over: AtomicBool,
}

struct Peer {
    port: ReservedPort,
    state: Arc<State>,
    listening: Mutex<Option<Arc<AtomicBool>>>,
}

#[derive(Default)]
struct State {
    /// How many bytes Envoy has received of it; known once Envoy runs.
    arrivals: OnceLock<Arrivals>,
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
}

/// To a request whose length is no number (RFC 9112, section 6.3).
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peers {
    /// Starts them.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let mut peers = Self {
            peers: BTreeMap::new(),
            raw: BTreeMap::new(),
            are_tcp: plan.is_tcp(),
            shared: Arc::default(),
        };
        for (name, script) in &plan.upstreams {
            let peer = Peer { port: ReservedPort::new(), state: Arc::default(), listening: Mutex::default() };
            if plan.is_tcp() && !script.is_refusing() {
                let listener = TcpListener::bind(peer.port.address())?;
                listener.set_nonblocking(true)?;
                peers.raw.insert(name.clone(), listener);
            }
            peers.peers.insert(name.clone(), peer);
            if !plan.is_tcp() {
                peers.answer(name, script)?;
            }
        }
        Ok(peers)
    }

    /// Tells them which Envoy they stand behind.
    pub fn stand_behind(&self, admin: Admin) {
        for (name, peer) in &self.peers {
            let _ = peer.state.arrivals.set(Arrivals::from_upstream(admin, name));
        }
    }

    /// Whether they answer requests, so that Envoy can wait for them.
    pub fn answer_requests(&self) -> bool {
        !self.peers.is_empty() && !self.are_tcp
    }

    /// Where connections to a TCP service arrive; `None` if it refuses them.
    pub fn raw(&self, name: &str) -> Option<&TcpListener> {
        self.raw.get(name)
    }

    /// Where an upstream listens.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.peers.get(name).map_or_else(|| ([127, 0, 0, 1], 1).into(), |peer| peer.port.address())
    }

    /// Changes what an upstream answers.
    pub fn answer(&self, name: &str, script: &Script) -> io::Result<()> {
        let Some(peer) = self.peers.get(name) else { return Ok(()) };
        *lock(&peer.state.script) = script.clone();
        peer.listen(!script.is_refusing(), &self.shared)
    }

    /// How many requests each has seen.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.peers.iter().map(|(name, peer)| (name.clone(), lock(&peer.state.calls).len())).collect()
    }

    /// What each has seen beyond these; nothing of those that saw nothing.
    pub fn since(&self, counts: &BTreeMap<String, usize>) -> BTreeMap<String, Vec<Call>> {
        let calls = self.peers.iter().map(|(name, peer)| {
            let seen = lock(&peer.state.calls);
            (name.clone(), seen.iter().skip(counts.get(name).copied().unwrap_or(0)).cloned().collect())
        });
        calls.filter(|(_, calls): &(String, Vec<Call>)| !calls.is_empty()).collect()
    }

    /// Tells the time, since the start; replies that are due go out.
    pub fn set_time(&self, now: Duration) {
        self.shared.now.store(nanos(now), Ordering::SeqCst);
    }

    /// How many replies are held back, not due yet; and requests whose rest never comes.
    pub fn held(&self) -> usize {
        let now = self.shared.now.load(Ordering::SeqCst);
        let held = lock(&self.shared.held).iter().filter(|due| **due > now).count();
        let starving = |waiting: &&Weak<Waiting>| waiting.upgrade().is_some_and(|waiting| waiting.starves());
        let client_sends = lock(&self.shared.client).as_ref().is_some_and(|client| !client.has_sent());
        match client_sends {
            true => held,
            false => held + lock(&self.shared.waiting).iter().filter(starving).count(),
        }
    }

    /// Tells who sends the request that is under way.
    pub fn listen_to(&self, client: Option<GiveUp>) {
        *lock(&self.shared.client) = client;
    }

    /// When the next reply is due; `None` if none is held back, or none will ever come.
    pub fn next_due(&self) -> Option<Duration> {
        let due = lock(&self.shared.held).iter().min().copied().filter(|due| *due != u64::MAX);
        due.map(Duration::from_nanos)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.peers.values().for_each(|peer| {
            let _ = peer.listen(false, &self.shared);
        });
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Peer {
    /// Listens from now on, or refuses connections from now on.
    fn listen(&self, listen: bool, shared: &Arc<Shared>) -> io::Result<()> {
        let mut listening = lock(&self.listening);
        match (listening.take(), listen) {
            (Some(on), true) => *listening = Some(on),
            (Some(on), false) => {
                on.store(false, Ordering::SeqCst);
                // A last connection ends the accept that waits.
                drop(TcpStream::connect(self.port.address()));
            }
            (None, false) => {}
            (None, true) => {
                let (on, listener) =
                    (Arc::new(AtomicBool::new(true)), TcpListener::bind(self.port.address())?);
                let (state, shared, alive) = (self.state.clone(), shared.clone(), on.clone());
                std::thread::spawn(move || accept_all(&listener, &state, &shared, &alive));
                *listening = Some(on);
            }
        }
        Ok(())
    }
}

fn accept_all(listener: &TcpListener, state: &Arc<State>, shared: &Arc<Shared>, alive: &AtomicBool) {
    for stream in listener.incoming() {
        if !alive.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (state, shared) = (state.clone(), shared.clone());
        std::thread::spawn(move || {
            // A connection that breaks is no news: the proxy tells the client.
            let _ = serve(stream, &state, &shared);
        });
    }
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, state: &State, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let reading = Reading::of(&stream)?;
    let waiting = reading.waiting();
    lock(&shared.waiting).push(Arc::downgrade(&waiting));
    let mut reader = BufReader::new(reading);
    while let Some(read) = read_request(&mut reader, &waiting)? {
        waiting.inside(false);
        let Some(call) = read else { return (&stream).write_all(BAD_REQUEST) };
        let reply = lock(&state.script).answer(&call.method, &call.path);
        lock(&state.calls).push(call);
        if !hold(&stream, &reply, shared) {
            break;
        }
        write_reply(&mut Writer::new(&stream, state, shared), &reply)?;
        if [Fate::Reset, Fate::ResetAfterBody].contains(&reply.fate) {
            return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
    Ok(())
}

/// Waits until the reply is due; false if it never goes out.
fn hold(stream: &TcpStream, reply: &Reply, shared: &Shared) -> bool {
    if reply.fate != Fate::Never && reply.delay.is_zero() {
        return true;
    }
    let now = shared.now.load(Ordering::SeqCst);
    let due = if reply.fate == Fate::Never { u64::MAX } else { now.saturating_add(nanos(reply.delay)) };
    lock(&shared.held).push(due);
    let mut goes_out = false;
    while !shared.over.load(Ordering::SeqCst) && !has_left(stream) {
        goes_out = shared.now.load(Ordering::SeqCst) >= due && due != u64::MAX;
        if goes_out {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let mut held = lock(&shared.held);
    if let Some(own) = held.iter().position(|other| *other == due) {
        held.swap_remove(own);
    }
    goes_out
}

fn has_left(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    match peeked {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// `None` if the connection has been closed between requests, or what comes is none; a request without a readable length is no
/// call.
fn read_request(reader: &mut impl BufRead, waiting: &Waiting) -> io::Result<Option<Option<Call>>> {
    let Some(line) = read_line(reader)?.filter(|line| line.windows(8).any(|word| word == b" HTTP/1.")) else {
        return Ok(None);
    };
    waiting.inside(true);
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let path = words.next().unwrap_or_default().to_vec();
    let mut headers = read_fields(reader)?;
    let value = |name: &str| crate::seen::values(&headers, name).first().map(|value| value.to_vec());
    let chunked = value("transfer-encoding").is_some_and(|value| value.ends_with(b"chunked"));
    let length = value("content-length").map(|value| String::from_utf8(value).ok()?.parse().ok());
    if length == Some(None) {
        return Ok(Some(None));
    }
    let authority = value("host").unwrap_or_default();
    headers.retain(|(name, _)| name != "host");
    let (mut body, mut trailers) = (Vec::new(), Fields::new());
    if chunked {
        trailers = read_chunks(reader, &mut body)?;
    } else {
        body.resize(length.flatten().unwrap_or(0), 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Some(Some(Call { method, path, authority, headers, body, trailers })))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        line.pop();
    }
    Ok(Some(line))
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::new();
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        fields.push((name, line.get(colon + 1..).unwrap_or_default().trim_ascii().to_vec()));
    }
    Ok(fields)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<Fields> {
    loop {
        let line = read_line(reader)?.unwrap_or_default();
        let size = String::from_utf8_lossy(&line).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        match size.map_err(io::Error::other)? {
            0 => return read_fields(reader),
            size => {
                let start = body.len();
                body.resize(start + size, 0);
                reader.read_exact(&mut body[start..])?;
                read_line(reader)?;
            }
        }
    }
}

/// Writes what shall arrive in pieces.
struct Writer<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
    arrivals: Option<&'a Arrivals>,
    /// As many bytes as Envoy will have received when all that was written has arrived.
    sent: u64,
}

impl<'a> Writer<'a> {
    fn new(stream: &'a TcpStream, state: &'a State, shared: &'a Shared) -> Self {
        let arrivals = state.arrivals.get();
        Self { stream, shared, arrivals, sent: 0 }
    }

    /// What was written until now does not count.
    fn begin(&mut self) {
        self.sent = self.arrivals.map_or(0, Arrivals::count);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent += bytes.len() as u64;
        self.stream.write_all(bytes)
    }

    /// Waits until everything written has arrived.
    fn arrive(&self) {
        let gone = || self.shared.over.load(Ordering::SeqCst) || has_left(self.stream);
        if let Some(arrivals) = self.arrivals {
            arrivals.wait(self.sent, &gone);
        }
    }
}

fn write_reply(writer: &mut Writer<'_>, reply: &Reply) -> io::Result<()> {
    if reply.fate == Fate::Reset {
        return Ok(());
    }
    let breaks = reply.fate == Fate::ResetAfterBody;
    let in_pieces = breaks || matches!(reply.body, Body::Chunked(..));
    if in_pieces {
        writer.begin();
    }
    let mut head = head(reply, breaks);
    if let Body::Whole(body) = &reply.body {
        head.extend(body);
    }
    writer.write(&head)?;
    if let Body::Chunked(chunks, trailers) = &reply.body {
        for chunk in chunks {
            writer.arrive();
            writer.write(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())?;
        }
        if !breaks {
            writer.arrive();
            writer.write(&end_of_chunks(trailers))?;
        }
    }
    if breaks {
        // A reset overtakes what has not been read.
        writer.arrive();
    }
    Ok(())
}

fn head(reply: &Reply, breaks: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status).into_bytes();
    head.extend(lines(&reply.headers));
    match &reply.body {
        Body::None if [204, 304].contains(&reply.status) => {}
        Body::Chunked(..) => head.extend(b"transfer-encoding: chunked\r\n"),
        body => head.extend(format!("content-length: {}\r\n", body.announced(breaks)).bytes()),
    }
    head.extend(b"\r\n");
    head
}

fn end_of_chunks(trailers: &Fields) -> Vec<u8> {
    [b"0\r\n".to_vec(), lines(trailers), b"\r\n".to_vec()].concat()
}

fn lines(fields: &Fields) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat()).collect()
}
