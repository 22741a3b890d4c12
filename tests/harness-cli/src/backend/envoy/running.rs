//! A scenario's steps, on an Envoy that runs.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_e2e::{Envoy, Line, Mark};

use super::clients;
use super::pace::Pace;
use super::peer::Peers;
use super::proxy::{Broken, Proxy, Watch};
use super::tcp::Talk;
use super::{bootstrap, logs, shared};
use crate::backend::Ran;
use crate::model::Expect;
use crate::plan::{AFTERWARDS, Action, Move, Plan, Request, Step};
use crate::seen::{Answer, Conversation, End, Seen};

/// How long Envoy is left alone before it is asked again.
const QUIET: Duration = Duration::from_millis(2);
/// How long a line of a log may take from Envoy's thread that writes it to us, before Envoy is asked again.
const FLUSHED: Duration = Duration::from_millis(50);

/// Runs the steps.
pub fn steps(plan: &Plan, envoy: Envoy, peers: &Peers) -> Ran {
    peers.stand_behind(envoy.admin());
    let proxy = Proxy::new(envoy);
    let pace = Pace::new(&proxy, peers);
    let configurations = plan.plugins.iter().map(|plugin| plugin.config.clone()).collect();
    let mut running = Running { plan, proxy: &proxy, pace, peers, configurations };
    let mut ran = Ran::default();
    match running.start() {
        Ok(start) => ran.start = start,
        Err(broken) => return Ran::never(format!("start: {}", words(&broken))),
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let title = || format!("step {} ({})", index + 1, step.title);
        match running.step(step) {
            Ok(seen) => ran.steps.push(seen),
            Err(Broken::Failed(why)) => {
                ran.stopped = Some(format!("{}: {why}", title()));
                return ran;
            }
            Err(Broken::Hangs(why)) => {
                ran.steps.push(running.hung(step, why));
                if index + 1 < plan.steps.len() {
                    ran.stopped = Some(format!("{} hangs: no later step can run", title()));
                }
                return ran;
            }
        }
    }
    ran
}

fn words(broken: &Broken) -> &str {
    match broken {
        Broken::Hangs(why) | Broken::Failed(why) => why,
    }
}

struct Running<'a> {
    plan: &'a Plan,
    proxy: &'a Proxy,
    pace: Pace<'a>,
    peers: &'a Peers,
    configurations: Vec<Vec<u8>>,
}

/// How much of everything there was before a step.
struct Before {
    calls: BTreeMap<String, usize>,
    metrics: BTreeMap<String, i64>,
    streams: u64,
    stdout: Mark,
    stderr: Mark,
}

impl Running<'_> {
    fn start(&mut self) -> Result<Seen, Broken> {
        let nothing = Before {
            calls: BTreeMap::new(),
            metrics: BTreeMap::new(),
            streams: 0,
            stdout: Mark::START,
            stderr: Mark::START,
        };
        self.pace.advance(AFTERWARDS)?;
        let start = self.since(&nothing, Seen { refused: Some(false), ..Seen::default() })?;
        self.read(Some(&self.plan.start), start)
    }

    fn before(&self) -> Result<Before, Broken> {
        Ok(Before {
            calls: self.peers.counts(),
            metrics: self.proxy.metrics()?,
            streams: self.proxy.streams()?,
            stdout: self.proxy.envoy.stdout().mark(),
            stderr: self.proxy.envoy.stderr().mark(),
        })
    }

    fn step(&mut self, step: &Step) -> Result<Seen, Broken> {
        let before = self.before()?;
        self.pace.begin();
        let mut seen = Seen::default();
        match &step.action {
            Action::Request(request) => {
                seen.answer = self.ask(std::slice::from_ref(request.as_ref()))?.pop();
                seen.access_log = self.access_log(&before)?;
            }
            Action::Together(requests) => {
                seen.answers = self.ask(requests)?;
                seen.access_log = self.access_log(&before)?;
            }
            Action::Connection(moves) => {
                seen.conversation = Some(self.converse(moves)?);
                self.pace.advance(AFTERWARDS)?;
            }
            Action::Advance(by) => self.pace.advance(*by)?,
            Action::Reload { plugin, config } => {
                seen.refused = Some(!self.reload(*plugin, config)?);
            }
            Action::Upstreams(scripts) => {
                for (name, script) in scripts {
                    self.peers.answer(name, script).map_err(|error| self.proxy.broken(error))?;
                }
            }
            Action::Shared(written) => {
                shared::write(self.proxy, written)?;
                self.pace.advance(AFTERWARDS)?;
            }
            Action::Faults(_) => return Err(Broken::Failed("Envoy has no faults".to_owned())),
        }
        self.pace.settle()?;
        let seen = self.since(&before, seen)?;
        self.read(step.expect.as_ref(), seen)
    }

    /// With what is to be read of shared data and queues.
    fn read(&self, expect: Option<&Expect>, seen: Seen) -> Result<Seen, Broken> {
        let wanted = self.plan.wanted(expect);
        let shared = wanted.map(|wanted| shared::read(self.proxy, &wanted)).transpose()?.unwrap_or_default();
        Ok(Seen { shared, ..seen })
    }

    fn since(&self, before: &Before, seen: Seen) -> Result<Seen, Broken> {
        let mut metrics = self.proxy.metrics()?;
        for (name, old) in &before.metrics {
            if let Some(now) = metrics.get_mut(name) {
                *now = now.wrapping_sub(*old);
            }
        }
        metrics.retain(|_, by| *by != 0);
        self.proxy.envoy.read_all_output().map_err(|error| self.proxy.broken(error))?;
        Ok(self.logged(before.stderr, Seen { upstreams: self.peers.since(&before.calls), metrics, ..seen }))
    }

    /// With what was logged.
    fn logged(&self, mark: Mark, seen: Seen) -> Seen {
        let lines: Vec<_> = self.proxy.envoy.stderr().since(mark).iter().map(Line::text).collect();
        let logs = lines.iter().filter_map(|line| logs::of_plugin(line, self.plan)).collect();
        let traps = lines.iter().filter_map(|line| logs::trap_of(line)).collect();
        let refusal = match seen.refused {
            Some(true) => logs::complaints(lines.iter().map(String::as_str)),
            _ => Vec::new(),
        };
        Seen { logs, traps, refusal, ..seen }
    }

    /// What can be told of a step that never came back.
    fn hung(&self, step: &Step, why: String) -> Seen {
        let never = Answer { end: End::Never, ..Answer::default() };
        let answer = matches!(step.action, Action::Request(_)).then(|| never.clone());
        let answers = match &step.action {
            Action::Together(requests) => vec![never; requests.len()],
            _ => Vec::new(),
        };
        Seen { answer, answers, hung: Some(why), ..Seen::default() }
    }

    /// Clients ask, and have their answers or give up.
    fn ask(&mut self, requests: &[Request]) -> Result<Vec<Answer>, Broken> {
        let answers = clients::ask(self.proxy, &mut self.pace, self.peers, requests)?;
        self.pace.advance(AFTERWARDS)?;
        Ok(answers)
    }

    /// A client connects, both ends do what they are to do, and both leave what is still open: the client breaks off, then the
    /// upstream ends.
    fn converse(&mut self, moves: &[Move]) -> Result<Conversation, Broken> {
        let listener = self.plan.tcp_upstream().and_then(|name| self.peers.raw(name));
        let failed = |error: std::io::Error| self.proxy.broken(error);
        let mut talk = Talk::begin(self.proxy.envoy.listener(bootstrap::MAIN), listener).map_err(failed)?;
        self.pace.settle()?;
        let mut turns = vec![("client connects".to_owned(), talk.hear().map_err(failed)?)];
        for one in moves {
            talk.make(one);
            self.pace.settle()?;
            turns.push((one.show(), talk.hear().map_err(failed)?));
        }
        talk.end();
        self.pace.settle()?;
        drop(talk);
        self.pace.settle()?;
        Ok(Conversation { turns })
    }

    /// The lines of the access log of all streams since.
    fn access_log(&self, before: &Before) -> Result<Vec<String>, Broken> {
        let ended = self.proxy.streams()?.saturating_sub(before.streams);
        let stdout = self.proxy.envoy.stdout();
        let is_end = |line: &Line| line.0 == bootstrap::END.as_bytes();
        let mut watch = Watch::patient(&self.proxy.envoy);
        loop {
            let lines = stdout.since(before.stdout);
            if lines.iter().filter(|line| is_end(line)).count() as u64 >= ended {
                return Ok(lines.iter().filter(|line| !is_end(line)).map(Line::text).collect());
            }
            watch.look(self.proxy, 0)?;
            self.proxy.flush()?;
            let mark = stdout.mark();
            stdout.try_wait_for_line(mark, FLUSHED, is_end);
        }
    }

    /// Whether the new configuration was taken.
    fn reload(&mut self, plugin: usize, config: &[u8]) -> Result<bool, Broken> {
        let mut configurations = self.configurations.clone();
        if let Some(own) = configurations.get_mut(plugin) {
            *own = config.to_vec();
        }
        let before = self.proxy.updates()?;
        let listener = bootstrap::listener(self.plan, &configurations);
        self.proxy.envoy.replace_file(bootstrap::DISCOVERY, &bootstrap::discovery(&listener));
        let mut watch = Watch::patient(&self.proxy.envoy);
        let taken = loop {
            match self.proxy.updates()? {
                (success, _) if success > before.0 => break true,
                (_, rejected) if rejected > before.1 => break false,
                _ => watch.look(self.proxy, 0)?,
            }
            std::thread::sleep(QUIET);
        };
        if taken {
            self.configurations = configurations;
        }
        Ok(taken)
    }
}
