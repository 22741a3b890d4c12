//! A scenario's steps, on an Envoy that runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use portcullis_e2e::{Connection, Envoy, Mark, PATIENCE, Request as Sent, wait_for};

use super::peer::Peers;
use super::{bootstrap, client, logs};
use crate::backend::Ran;
use crate::plan::{AFTERWARDS, Action, Plan, Request, Step};
use crate::seen::{Answer, Seen, metric_name};

/// While everybody waits, time passes to multiples of this, counted from the start and from the request: whatever is due then
/// is due at the same instant as on the harness. Envoy counts a timer anew from when it has fired.
const GRID: Duration = Duration::from_millis(200);
/// In a step of so long time, the grid is so wide.
const GRIDS: [(Duration, Duration); 4] = [
    (Duration::from_secs(10), Duration::from_millis(200)),
    (Duration::from_secs(60), Duration::from_secs(1)),
    (Duration::from_secs(600), Duration::from_secs(5)),
    (Duration::from_secs(3600), Duration::from_secs(30)),
];
const WIDEST_GRID: Duration = Duration::from_secs(600);
/// No request takes longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long a client may be silent before we look whether anybody waits for time to pass.
const QUIET: Duration = Duration::from_millis(2);

/// Runs the steps.
pub fn steps(plan: &Plan, envoy: Envoy, peers: &Peers) -> Ran {
    let configurations = plan.plugins.iter().map(|plugin| plugin.config.clone()).collect();
    let echo = RefCell::new(None);
    let running =
        &mut Running { plan, envoy, peers, echo, now: Duration::ZERO, due: Duration::ZERO, configurations };
    running.afterwards();
    let mut all = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        match running.step(step) {
            Ok(seen) => all.push(seen),
            Err(error) => return Ran::Failed(format!("step {} ({}): {error}", index + 1, step.title)),
        }
    }
    Ran::Steps(all)
}

struct Running<'a> {
    plan: &'a Plan,
    envoy: Envoy,
    peers: &'a Peers,
    echo: RefCell<Option<Connection>>,
    /// Envoy's clock since the start.
    now: Duration,
    /// Where the clock would stand if no flush of the access log had been late.
    due: Duration,
    configurations: Vec<Vec<u8>>,
}

/// How much of everything there was before a step.
struct Before {
    calls: BTreeMap<String, usize>,
    metrics: BTreeMap<String, i64>,
    stdout: Mark,
    stderr: Mark,
}

impl Running<'_> {
    fn step(&mut self, step: &Step) -> Result<Seen, String> {
        let before = Before {
            calls: self.peers.counts(),
            metrics: self.numbers(),
            stdout: self.envoy.stdout().mark(),
            stderr: self.envoy.stderr().mark(),
        };
        let mut seen = Seen::default();
        match &step.action {
            Action::Request(request) => {
                seen.answer = Some(self.request(request)?);
                seen.access_log = self.access_log(before.stdout)?;
            }
            Action::Advance(by) => self.advance(*by),
            Action::Reload { plugin, config } => seen.refused = Some(!self.reload(*plugin, config)?),
            Action::Upstreams(scripts) => {
                for (name, script) in scripts {
                    self.peers.answer(name, script).map_err(|error| error.to_string())?;
                }
            }
            Action::Faults(_) => return Err("Envoy has no faults".to_owned()),
        }
        self.settle();
        Ok(self.since(&before, seen))
    }

    fn since(&self, before: &Before, seen: Seen) -> Seen {
        let mut metrics = self.numbers();
        for (name, old) in &before.metrics {
            if let Some(now) = metrics.get_mut(name) {
                *now = now.wrapping_sub(*old);
            }
        }
        metrics.retain(|_, by| *by != 0);
        let lines = self.envoy.stderr().since(before.stderr);
        let logs = lines.iter().filter_map(|line| logs::of_plugin(&line.text(), self.plan)).collect();
        Seen { upstreams: self.peers.since(&before.calls), metrics, logs, ..seen }
    }

    /// Sends a request and follows it to its end; time passes only if everybody waits for it.
    fn request(&mut self, request: &Request) -> Result<Answer, String> {
        let to = self.envoy.listener(bootstrap::MAIN);
        let (report, outcome) = channel();
        std::thread::scope(|scope| {
            let settle = {
                let admin = self.envoy.admin();
                move || drop(admin.get("/ready"))
            };
            scope.spawn(move || report.send(client::send(request, to, &settle)));
            let (since, limit) = (self.now, self.now + LONGEST);
            loop {
                match outcome.recv_timeout(QUIET) {
                    Ok(answer) => return answer,
                    Err(RecvTimeoutError::Disconnected) => return Err("the client failed".to_owned()),
                    Err(RecvTimeoutError::Timeout) if self.now > limit => {
                        return Err(format!("no answer within {LONGEST:?}"));
                    }
                    Err(RecvTimeoutError::Timeout) if self.everybody_waits() => self.pass_time(since),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    }

    /// Whether nothing will happen before time passes: Envoy has the client's request, and every request that it has open itself
    /// waits for a reply that is held back. (One that Envoy has given up is held for a moment longer than it is open.)
    fn everybody_waits(&self) -> bool {
        let waits = || {
            self.settle();
            self.active_streams() > 0 && self.peers.held() == self.open_requests()
        };
        waits() && waits()
    }

    fn active_streams(&self) -> u64 {
        let name = format!("http.{}.downstream_rq_active", bootstrap::MAIN);
        self.envoy
            .admin()
            .get(&format!("/stats?filter=^{name}$"))
            .text()
            .trim()
            .rsplit_once(": ")
            .map_or(0, |(_, count)| count.parse().unwrap_or(0))
    }

    /// Everybody waits: time passes until the next reply is due, or to the next point of a grid.
    fn pass_time(&mut self, since: Duration) {
        let grid = self.grid(since);
        let ahead = |from: Duration| to_grid(self.now.saturating_sub(from), grid);
        let wait = ahead(Duration::ZERO).min(ahead(since));
        let due = self.peers.next_due().map(|due| due.saturating_sub(self.now));
        let step = due.map_or(wait, |due| due.min(wait));
        self.due += step;
        self.travel(step);
    }

    /// Where no reply is held back, a plugin's own timer is waited for: those are short, as a rule.
    fn grid(&self, since: Duration) -> Duration {
        let waited = self.now.saturating_sub(since);
        match self.peers.held() {
            0 if waited < Duration::from_millis(20) => Duration::from_millis(1),
            0 if waited < Duration::from_millis(500) => Duration::from_millis(20),
            _ => GRID,
        }
    }

    fn advance(&mut self, by: Duration) {
        self.due += by;
        let grid = GRIDS.iter().find(|(longest, _)| by <= *longest).map_or(WIDEST_GRID, |(_, grid)| *grid);
        while self.due > self.now {
            let left = self.due.saturating_sub(self.now);
            self.travel(to_grid(self.now, grid).min(left));
        }
    }

    /// Moves Envoy's clock, lets its timers fire, then lets replies that are due go out.
    fn travel(&mut self, by: Duration) {
        self.envoy.travel(by);
        self.now += by;
        self.settle();
        self.peers.set_time(self.now);
        self.settle();
    }

    /// Waits until nothing moves any more: every worker has looked at its clock, and every request that is still open waits for
    /// a reply that is held back.
    fn settle(&self) {
        self.hear_echo();
        wait_for(PATIENCE, || {
            let open = self.open_requests();
            let quiet = open <= self.peers.held();
            if quiet {
                self.hear_echo();
            }
            quiet.then_some(())
        });
    }

    fn hear_echo(&self) {
        let to = self.envoy.listener(bootstrap::ECHO);
        if self.plan.workers == 1 {
            let mut echo = self.echo.borrow_mut();
            let connection = echo.get_or_insert_with(|| Connection::open(to));
            if connection.try_send(&Sent::get("/")).is_ok() {
                return;
            }
            *echo = None;
        }
        // Which worker takes a connection is the system's choice: enough of them meet every worker.
        for _ in 0..self.plan.workers * 4 {
            Sent::get("/").send(to);
        }
    }

    fn open_requests(&self) -> usize {
        let stats = self.envoy.admin().get("/stats?filter=upstream_rq_(active|pending_active)$");
        let numbers = stats.text().lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<usize>().ok());
        numbers.sum::<usize>()
    }

    /// Counters and gauges of plugins, by their name as people write it.
    fn numbers(&self) -> BTreeMap<String, i64> {
        let stats = self.envoy.admin().get("/stats?filter=^wasmcustom\\.");
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            let value = value.parse::<u64>().ok()?.cast_signed();
            Some((metric_name(name.strip_prefix("wasmcustom.")?), value))
        };
        stats.text().lines().filter_map(number).collect()
    }

    /// In small pieces, for plugins that wait for something look often.
    fn afterwards(&mut self) {
        self.due += AFTERWARDS;
        for _ in 0..5 {
            self.travel(AFTERWARDS / 5);
        }
    }

    /// The lines of the access log, once the stream's is there.
    fn access_log(&mut self, mark: Mark) -> Result<Vec<String>, String> {
        self.afterwards();
        for _ in 0..100 {
            let is_end = |line: &portcullis_e2e::Line| line.0 == bootstrap::END.as_bytes();
            if self.envoy.stdout().try_wait_for_line(mark, AFTERWARDS * 5, is_end).is_some() {
                let lines = self.envoy.stdout().since(mark);
                return Ok(lines
                    .iter()
                    .filter(|line| !is_end(line))
                    .map(portcullis_e2e::Line::text)
                    .collect());
            }
            self.travel(AFTERWARDS);
        }
        Err("the access log has no line of it".to_owned())
    }

    /// Whether the new configuration was taken.
    fn reload(&mut self, plugin: usize, config: &[u8]) -> Result<bool, String> {
        let mut configurations = self.configurations.clone();
        if let Some(own) = configurations.get_mut(plugin) {
            *own = config.to_vec();
        }
        let counts = |envoy: &Envoy| {
            let stat = |name: &str| envoy.admin().stat(&format!("listener_manager.lds.{name}")).unwrap_or(0);
            (stat("update_success"), stat("update_rejected"))
        };
        let before = counts(&self.envoy);
        let listener = bootstrap::listener(self.plan, &configurations);
        self.envoy.replace_file(bootstrap::DISCOVERY, &bootstrap::discovery(&listener));
        let taken = wait_for(PATIENCE, || match counts(&self.envoy) {
            (success, _) if success > before.0 => Some(true),
            (_, rejected) if rejected > before.1 => Some(false),
            _ => None,
        });
        let taken = taken.ok_or("Envoy did not look at its listener's file")?;
        if taken {
            self.configurations = configurations;
            self.settle();
        }
        Ok(taken)
    }
}

/// How long until the next multiple of `grid`.
fn to_grid(now: Duration, grid: Duration) -> Duration {
    let (now, grid) = (now.as_nanos(), grid.as_nanos().max(1));
    Duration::from_nanos(u64::try_from(grid - now % grid).unwrap_or(u64::MAX))
}
