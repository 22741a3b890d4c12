//! The Envoy under a scenario, as far as it can be asked: whether it rests, what it counts, whether it lives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use portcullis_e2e::{Admin, Answer, Connection, Envoy, Look, Request, usage_of, wait_for};

use super::{bootstrap, logs};
use crate::seen::metric_name;

/// One callback that uses so much CPU time never comes back.
const LOST: Duration = Duration::from_secs(5);
/// Nothing happens for so long although nothing computes, either: what is wrong is not known.
const STALLED: Duration = Duration::from_secs(300);
/// How long the loops are looked at before we look whether Envoy still lives.
const LOOK: Duration = Duration::from_secs(1);

/// Why a scenario cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A callback never comes back.
    Hangs(String),
    /// Envoy has crashed, or cannot be asked.
    Failed(String),
}

/// An Envoy that runs.
pub struct Proxy {
    pub envoy: Envoy,
    admin: RefCell<Option<Connection>>,
}

impl Proxy {
    pub fn new(envoy: Envoy) -> Self {
        Self { envoy, admin: RefCell::new(None) }
    }

    pub fn admin(&self) -> Admin {
        self.envoy.admin()
    }

    /// What has gone wrong: Envoy's own words, if it has ended.
    pub fn broken(&self, error: impl fmt::Display) -> Broken {
        match wait_for(Duration::from_secs(2), || self.envoy.ended()) {
            Some(status) => {
                self.envoy.stderr().wait_for_end(Duration::from_secs(2));
                Broken::Failed(format!("Envoy ended with {status}; the end of its log:\n{}", self.tail()))
            }
            None => Broken::Failed(error.to_string()),
        }
    }

    /// What it complained of last, or wrote last if it did not complain.
    fn tail(&self) -> String {
        let lines: Vec<_> = self.envoy.stderr().all().iter().map(portcullis_e2e::Line::text).collect();
        let complaints = logs::complaints(lines.iter().map(String::as_str));
        // Frames without a name tell nothing.
        let named = |line: &&String| !(line.starts_with('#') && line.contains(": [0x"));
        let complaints: Vec<_> = complaints.iter().filter(named).cloned().collect();
        let last = |lines: &[String]| lines[lines.len().saturating_sub(40)..].join("\n");
        if complaints.is_empty() { last(&lines[lines.len().saturating_sub(5)..]) } else { last(&complaints) }
    }

    /// Waits until all event loops rest; then, how long until the next of their timers is due.
    pub fn rest(&self) -> Result<Option<Duration>, Broken> {
        let mut watch = Watch::new(&self.envoy);
        loop {
            match self.envoy.look(LOOK) {
                Ok(Look::Rest { next_timer }) => return Ok(next_timer),
                Ok(Look::Busy { turns }) => watch.look(self, turns)?,
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// What the admin interface answers, on a connection that is kept.
    fn ask(&self, request: &Request) -> Result<String, Broken> {
        let mut kept = self.admin.borrow_mut();
        for _ in 0..2 {
            let connection = match kept.take() {
                Some(connection) => Ok(connection),
                None => Connection::try_open(None, self.admin().address()),
            };
            let mut connection = connection.map_err(|error| self.broken(error))?.within(STALLED);
            // One that was closed meanwhile is opened anew, once.
            if let Ok(answer) = connection.try_send(request) {
                *kept = Some(connection);
                return Ok(String::from_utf8_lossy(&answer.body).into_owned());
            }
        }
        Err(self.broken("Envoy's admin interface does not answer"))
    }

    /// What a listener of our own answers.
    pub fn ask_listener(&self, name: &str, request: &Request) -> Result<Answer, Broken> {
        let connection = Connection::try_open(None, self.envoy.listener(name));
        let mut connection = connection.map_err(|error| self.broken(error))?.within(STALLED);
        connection.try_send(request).map_err(|error| self.broken(error))
    }

    /// The numbers of all counters and gauges that fit the expression.
    fn stats(&self, filter: &str) -> Result<Vec<(String, i64)>, Broken> {
        let text = self.ask(&Request::get(format!("/stats?filter={filter}")))?;
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse::<u64>().ok()?.cast_signed()))
        };
        Ok(text.lines().filter_map(number).collect())
    }

    fn sum(&self, filter: &str) -> Result<u64, Broken> {
        Ok(self.stats(filter)?.iter().map(|(_, value)| value.unsigned_abs()).sum())
    }

    /// Requests of Envoy's own that are not answered yet.
    pub fn open_requests(&self) -> Result<usize, Broken> {
        let open = self.sum("upstream_rq_(active|pending_active)$")?;
        Ok(usize::try_from(open).unwrap_or(usize::MAX))
    }

    /// Names that are looked up and not answered yet.
    pub fn open_questions(&self) -> Result<u64, Broken> {
        self.sum("^dns\\.cares\\.pending_resolutions$")
    }

    /// Requests of clients that are not answered yet.
    pub fn active_streams(&self) -> Result<u64, Broken> {
        self.sum(&format!("^http\\.{}\\.downstream_rq_active$", bootstrap::MAIN))
    }

    /// Requests of clients up to now.
    pub fn streams(&self) -> Result<u64, Broken> {
        self.sum(&format!("^http\\.{}\\.downstream_rq_total$", bootstrap::MAIN))
    }

    /// How many bytes were sent to clients up to now.
    pub fn sent_to_clients(&self) -> Result<u64, Broken> {
        self.sum(&format!("^http\\.{}\\.downstream_cx_tx_bytes_total$", bootstrap::MAIN))
    }

    /// How often a new listener was taken, and refused.
    pub fn updates(&self) -> Result<(u64, u64), Broken> {
        let of = |name: &str| self.sum(&format!("^listener_manager\\.lds\\.{name}$"));
        Ok((of("update_success")?, of("update_rejected")?))
    }

    /// Counters and gauges of plugins, by their name as people write it.
    pub fn metrics(&self) -> Result<BTreeMap<String, i64>, Broken> {
        let stats = self.stats("^wasmcustom\\.")?.into_iter();
        let own =
            stats.filter_map(|(name, value)| Some((metric_name(name.strip_prefix("wasmcustom.")?), value)));
        Ok(own.collect())
    }

    /// Lets Envoy write what it has kept back of its access log.
    pub fn flush(&self) -> Result<(), Broken> {
        self.ask(&Request::post("/reopen_logs")).map(drop)
    }
}

/// Tells a loop that computes from one that is lost. What counts is the CPU time that Envoy has used, which does not depend on
/// what else the machine does.
pub struct Watch {
    turns: u64,
    cpu: Duration,
    since: Instant,
    lost: Duration,
}

impl Watch {
    pub fn new(envoy: &Envoy) -> Self {
        Self { turns: 0, cpu: cpu(envoy), since: Instant::now(), lost: LOST }
    }

    /// For what may compute for long: the start of a large module.
    pub fn patient(envoy: &Envoy) -> Self {
        Self { lost: STALLED, ..Self::new(envoy) }
    }

    /// Looks again.
    pub fn look(&mut self, proxy: &Proxy, turns: u64) -> Result<(), Broken> {
        if proxy.envoy.ended().is_some() {
            return Err(proxy.broken(""));
        }
        if turns != self.turns {
            *self = Self { turns, lost: self.lost, ..Self::new(&proxy.envoy) };
            return Ok(());
        }
        let used = cpu(&proxy.envoy).saturating_sub(self.cpu);
        if used > self.lost {
            return Err(Broken::Hangs(format!(
                "Envoy has computed for {used:?} on end: a callback does not come back"
            )));
        }
        if self.since.elapsed() > STALLED {
            return Err(Broken::Failed(format!(
                "Envoy does nothing any more; the end of its log:\n{}",
                proxy.tail()
            )));
        }
        Ok(())
    }
}

fn cpu(envoy: &Envoy) -> Duration {
    usage_of(envoy.pid()).map(|usage| usage.cpu).unwrap_or_default()
}
