//! Clients of Envoy: one, or several whose requests overlap. Time passes only if everybody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::bootstrap;
use super::client::{self, GiveUp};
use super::pace::Pace;
use super::peer::Peers;
use super::proxy::{Broken, Proxy};
use crate::plan::Request;
use crate::seen::{Answer, End};

/// How long a client may be silent before we look whether anybody waits for time to pass.
const QUIET: Duration = Duration::from_millis(2);
/// An answer is on its way for so long at most, once Envoy has done with it; then the client is taken to wait for more.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// A client that is told to give up does so at once; one that takes longer has failed.
const GIVES_UP: Duration = Duration::from_secs(60);

/// Each client sends when those before it wait for an answer; all are followed to their ends.
pub fn ask(
    proxy: &Proxy,
    pace: &mut Pace<'_>,
    peers: &Peers,
    requests: &[Request],
) -> Result<Vec<Answer>, Broken> {
    let to = proxy.envoy.listener(bootstrap::MAIN);
    let arrivals = Arrivals::from_clients(proxy.admin(), bootstrap::MAIN);
    let (report, outcomes) = channel();
    let mut asking = Asking { proxy, pace, peers, outcomes, clients: Vec::new(), told: None };
    std::thread::scope(|scope| {
        let mut all = || {
            for (place, request) in requests.iter().enumerate() {
                let give_up = asking.begin(request);
                let (report, arrivals) = (report.clone(), arrivals.clone());
                scope.spawn(move || {
                    let answer = client::send(request, to, &arrivals, &give_up);
                    give_up.sent();
                    report.send((place, answer))
                });
                asking.rest()?;
            }
            asking.finish()
        };
        let done = all();
        asking.clients.iter().for_each(|client| client.give_up.now());
        peers.listen_to(Vec::new());
        done
    })?;
    Ok(asking.clients.into_iter().filter_map(|client| client.answer).collect())
}

struct Asking<'a, 'p> {
    proxy: &'a Proxy,
    pace: &'a mut Pace<'p>,
    peers: &'a Peers,
    outcomes: Receiver<(usize, Result<Answer, String>)>,
    clients: Vec<Client>,
    /// The bytes for clients of which the answer has been waited for already.
    told: Option<u64>,
}

struct Client {
    give_up: GiveUp,
    /// When it gives up, by Envoy's clock.
    until: Duration,
    leaves: bool,
    answer: Option<Answer>,
}

impl Asking<'_, '_> {
    fn begin(&mut self, request: &Request) -> GiveUp {
        let now = self.pace.now();
        let until = request.leaves.map_or_else(|| Pace::limit(now), |leaves| now.saturating_add(leaves));
        let give_up = GiveUp::default();
        let client =
            Client { give_up: give_up.clone(), until, leaves: request.leaves.is_some(), answer: None };
        self.clients.push(client);
        self.peers.listen_to(self.clients.iter().map(|client| client.give_up.clone()).collect());
        give_up
    }

    fn open(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.answer.is_none())
    }

    /// Takes an answer, if one comes in this time.
    fn take(&mut self, patience: Duration) -> Result<bool, Broken> {
        let (place, answer) = match self.outcomes.recv_timeout(patience) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(self.proxy.broken("the client failed")),
        };
        let mut answer = answer.map_err(|error| self.proxy.broken(error))?;
        if let Some(client) = self.clients.get_mut(place) {
            if answer.end == End::Never && client.leaves {
                answer.end = End::Left;
            }
            client.answer = Some(answer);
        }
        Ok(true)
    }

    /// Until all clients have their answers, or nothing will happen before time passes.
    fn rest(&mut self) -> Result<(), Broken> {
        while self.open().next().is_some() {
            if self.take(QUIET)? {
                continue;
            }
            let open = self.open().count() as u64;
            if self.pace.everybody_waits(open)? {
                return Ok(());
            }
            // Envoy has done with it, as far as it knows: either the answer is on its way, or it never ends.
            let sent = self.proxy.sent_to_clients()?;
            let patience = if self.told.replace(sent) == Some(sent) { QUIET } else { ON_ITS_WAY };
            if !self.take(patience)? && !self.pace.is_still_at_it()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets time pass until every client has its answer, or has given up.
    fn finish(&mut self) -> Result<(), Broken> {
        loop {
            self.rest()?;
            let Some(until) = self.open().map(|client| client.until).min() else { return Ok(()) };
            if self.pace.now() >= until {
                self.give_up(until)?;
            } else {
                self.pace.advance_to_next(until)?;
            }
        }
    }

    /// Lets the clients go whose time has come, and waits until Envoy knows of it.
    fn give_up(&mut self, until: Duration) -> Result<(), Broken> {
        let due: Vec<_> =
            self.open().filter(|client| client.until <= until).map(|client| client.give_up.clone()).collect();
        let open = self.open().count() - due.len();
        due.iter().for_each(GiveUp::now);
        while self.open().count() > open {
            if !self.take(GIVES_UP)? {
                return Err(self.proxy.broken("a client does not give up"));
            }
        }
        let began = Instant::now();
        while self.proxy.active_streams()? > open as u64 && began.elapsed() < ON_ITS_WAY {
            std::thread::sleep(QUIET);
        }
        Ok(())
    }
}
