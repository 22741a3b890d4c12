//! Upstreams: one scripted service for each cluster, on a port of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use portcullis_e2e::{Admin, ReservedPort};

use super::arrivals::Arrivals;
use super::client::GiveUp;
use super::grpc;
use super::http1;
use super::names::NameServer;
use super::reading::Starving;
use crate::plan::{Fate, Plan, Reply, Script};
use crate::seen::Call;

/// How often a reply that is held back looks whether its time has come, or nobody waits for it any more.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(1);

/// All upstreams of a scenario.
pub struct Peers {
    peers: BTreeMap<String, Peer>,
    /// Of a scenario of TCP connections: where its steps take them.
    raw: BTreeMap<String, TcpListener>,
    are_tcp: bool,
    names: NameServer,
    has_names: bool,
    shared: Arc<Shared>,
}

/// What all connections know.
#[derive(Default)]
pub(super) struct Shared {
    /// Nanoseconds since the scenario's start.
    now: AtomicU64,
    /// Replies held back, by the instant at which they are due; `u64::MAX` for those that never come.
    held: Mutex<Vec<u64>>,
    /// Connections, and whether their upstreams wait for the rest of a request.
    waiting: Mutex<Vec<Weak<dyn Starving>>>,
    /// The clients of the requests that are under way: as long as one sends, who waits for a request's rest waits for it.
    clients: Mutex<Vec<GiveUp>>,
    over: AtomicBool,
}

struct Peer {
    port: ReservedPort,
    state: Arc<State>,
    listening: Mutex<Option<Arc<AtomicBool>>>,
    is_grpc: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// How many bytes Envoy has received of it; known once Envoy runs.
    pub(super) arrivals: OnceLock<Arrivals>,
    pub(super) script: Mutex<Script>,
    pub(super) calls: Mutex<Vec<Call>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peers {
    /// Starts them.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let mut peers = Self {
            peers: BTreeMap::new(),
            raw: BTreeMap::new(),
            are_tcp: plan.is_tcp(),
            names: NameServer::start(plan.names.clone())?,
            has_names: !plan.names.is_empty(),
            shared: Arc::default(),
        };
        for (name, script) in &plan.upstreams {
            let peer = Peer {
                port: ReservedPort::new(),
                state: Arc::default(),
                listening: Mutex::default(),
                is_grpc: plan.is_grpc(name),
            };
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

    /// Who is asked for the addresses of names.
    pub fn name_server(&self) -> SocketAddr {
        self.names.address()
    }

    /// Whether somebody may ask for names that the scenario has.
    pub fn answer_questions(&self) -> bool {
        self.has_names
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
        let starving =
            |waiting: &Weak<dyn Starving>| waiting.upgrade().map_or(0, |waiting| waiting.starving());
        let client_sends = lock(&self.shared.clients).iter().any(|client| !client.has_sent());
        match client_sends {
            true => held,
            false => held + lock(&self.shared.waiting).iter().map(starving).sum::<usize>(),
        }
    }

    /// Tells who sends the requests that are under way.
    pub fn listen_to(&self, clients: Vec<GiveUp>) {
        *lock(&self.shared.clients) = clients;
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
                let is_grpc = self.is_grpc;
                std::thread::spawn(move || accept_all(&listener, &state, &shared, &alive, is_grpc));
                *listening = Some(on);
            }
        }
        Ok(())
    }
}

fn accept_all(
    listener: &TcpListener,
    state: &Arc<State>,
    shared: &Arc<Shared>,
    alive: &AtomicBool,
    is_grpc: bool,
) {
    for stream in listener.incoming() {
        if !alive.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (state, shared) = (state.clone(), shared.clone());
        std::thread::spawn(move || {
            // A connection that breaks is no news: the proxy tells the client.
            let _ = if is_grpc {
                grpc::serve(stream, state, shared)
            } else {
                http1::serve(stream, &state, &shared)
            };
        });
    }
}

impl Shared {
    /// Someone else whose requests may wait for their rest.
    pub(super) fn watch(&self, waiting: Weak<dyn Starving>) {
        lock(&self.waiting).push(waiting);
    }

    /// Notes that a reply is held back; when it is due.
    pub(super) fn hold(&self, reply: &Reply) -> u64 {
        let now = self.now.load(Ordering::SeqCst);
        let due = if reply.fate == Fate::Never { u64::MAX } else { now.saturating_add(nanos(reply.delay)) };
        lock(&self.held).push(due);
        due
    }

    /// Whether its time has come.
    pub(super) fn is_due(&self, due: u64) -> bool {
        due != u64::MAX && self.now.load(Ordering::SeqCst) >= due
    }

    /// It is held back no longer.
    pub(super) fn release(&self, due: u64) {
        let mut held = lock(&self.held);
        if let Some(own) = held.iter().position(|other| *other == due) {
            held.swap_remove(own);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}
