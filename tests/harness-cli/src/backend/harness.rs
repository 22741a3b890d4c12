//! The harness.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use portcullis_harness::{
    Coverage, Error, Failure, FailureKind, HeaderMap, LoadError, LoadedModule, LogLine, MetricType, Metrics,
    Numbers, Profile, Proxy, Received, Status,
};

use super::Ran;
use super::built::{builder, upstream};
use super::clients;
use super::connection;
use super::shared;
use crate::model::{Expect, Faults};
use crate::plan::{self, Action, Fields, Plan, Step};
use crate::seen::{Answer, Call, End, Log, Seen, metric_name};
use crate::trap::{self, Trap};
use crate::verdict::Spent;

/// Modules that have been compiled already, shared between scenarios.
#[derive(Default)]
pub struct Modules {
    loaded: Mutex<HashMap<PathBuf, LoadedModule>>,
    covered: Option<Mutex<Covered>>,
}

/// Which functions were reached, by module.
pub type Covered = BTreeMap<PathBuf, Coverage>;

impl Modules {
    /// Modules that tell which of their functions were reached.
    #[must_use]
    pub fn with_coverage() -> Self {
        Self { covered: Some(Mutex::default()), ..Self::default() }
    }

    /// Which functions were reached in all scenarios up to now.
    #[must_use]
    pub fn covered(&self) -> Covered {
        let covered = |all: &Mutex<Covered>| all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.covered.as_ref().map(covered).unwrap_or_default()
    }

    fn note(&self, plan: &Plan, proxy: &Proxy) {
        let Some(covered) = &self.covered else { return };
        let mut covered = covered.lock().unwrap_or_else(PoisonError::into_inner);
        for (plugin, coverage) in plan.plugins.iter().zip(proxy.coverage()) {
            let all = covered.entry(plugin.module.clone()).or_default();
            coverage.into_iter().for_each(|(name, reached)| *all.entry(name).or_default() |= reached);
        }
    }

    /// A module, compiled once.
    ///
    /// # Errors
    /// Every `LoadError`.
    pub fn load(&self, path: &Path) -> Result<LoadedModule, LoadError> {
        let mut modules = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(path) {
            return Ok(module.clone());
        }
        let module = match self.covered {
            Some(_) => LoadedModule::covered_from_file(path)?,
            None => LoadedModule::from_file(path)?,
        };
        modules.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// Forgets everything: a file may have changed.
    pub fn clear(&self) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs a scenario on the harness.
pub fn harness(plan: &Plan, modules: &Modules) -> Ran {
    let builder = match builder(plan, modules) {
        Ok(builder) => builder,
        Err(error) => return Ran::never(error.to_string()),
    };
    match builder.build_or_logs() {
        Ok(proxy) => {
            let mut running = Running::new(proxy, plan);
            let ran = running.steps();
            modules.note(plan, &running.proxy);
            ran
        }
        Err((error, logs)) => not_started(error, &logs),
    }
}

/// A start that a plugin refused, or in which a VM failed, is one that Envoy refuses, too.
fn not_started(error: Error, logs: &[LogLine]) -> Ran {
    let logs = logs.iter().map(log).collect();
    let refused = Seen { refused: Some(true), refusal: vec![error.to_string()], logs, ..Seen::default() };
    let start = match error {
        Error::ConfigurationRefused { .. } | Error::VmStartRefused { .. } => {
            Seen { refusal: Vec::new(), ..refused }
        }
        Error::Failed(failure) => failed(refused, &[*failure]),
        error => return Ran::never(error.to_string()),
    };
    Ran { start, ..Ran::default() }
}

/// With what became of VMs.
fn failed(seen: Seen, failures: &[Failure]) -> Seen {
    let lost = |failure: &&Failure| failure.kind.is_endless();
    let hung = failures.iter().find(lost).map(ToString::to_string);
    let traps = failures.iter().filter(|failure| !lost(failure)).map(trap).collect();
    Seen { hung, traps, ..seen }
}

fn trap(failure: &Failure) -> Trap {
    let message = failure.kind.to_string();
    let cause = match &failure.kind {
        FailureKind::Trap(message) => trap::cause(message),
        _ => trap::cause(&message),
    };
    let note =
        failure.refused_memory.map(|limit| format!("it had been refused more memory than {limit} bytes"));
    Trap { callback: failure.callback.clone(), cause, backtrace: failure.backtrace.clone(), note }
}

/// How much of everything there was before a step.
#[derive(Default)]
struct Marks {
    received: BTreeMap<String, usize>,
    logs: usize,
    access_log: usize,
    failures: usize,
    metrics: Numbers,
}

/// A scenario under way.
pub(super) struct Running<'a> {
    pub(super) proxy: Proxy,
    plan: &'a Plan,
    marks: Marks,
}

impl<'a> Running<'a> {
    pub(super) fn new(proxy: Proxy, plan: &'a Plan) -> Self {
        Self { proxy, plan, marks: Marks::default() }
    }

    pub(super) fn steps(&mut self) -> Ran {
        self.proxy.advance(plan::AFTERWARDS);
        let start = self.since(Seen { refused: Some(false), ..Seen::default() });
        let start = self.read(Some(&self.plan.start), start);
        let mut ran = Ran { start, ..Ran::default() };
        for (index, step) in self.plan.steps.iter().enumerate() {
            self.mark();
            let title = || format!("step {} ({})", index + 1, step.title);
            match self.step(step) {
                Ok(seen) => {
                    let seen = self.since(seen);
                    ran.steps.push(self.read(step.expect.as_ref(), seen));
                }
                Err(error) => {
                    ran.stopped = Some(format!("{}: {error}", title()));
                    return ran;
                }
            }
            let hangs = ran.steps.last().is_some_and(|seen| seen.hung.is_some());
            if hangs {
                if index + 1 < self.plan.steps.len() {
                    ran.stopped = Some(format!("{} hangs: no later step can run", title()));
                }
                return ran;
            }
        }
        ran
    }

    fn mark(&mut self) {
        if self.plan.counts_cost() {
            self.proxy.reset_profile();
        }
        let names = self.plan.upstreams.keys();
        self.marks = Marks {
            received: names.map(|name| (name.clone(), self.proxy.received_count(name))).collect(),
            logs: self.proxy.logs().len(),
            access_log: self.proxy.access_log().len(),
            failures: self.proxy.failures().len(),
            metrics: self.proxy.metrics().numbers(),
        };
    }

    fn step(&mut self, step: &Step) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        match &step.action {
            Action::Request(request) => {
                seen.answer = self.ask(std::slice::from_ref(request.as_ref()), &mut seen)?.pop();
            }
            Action::Together(requests) => seen.answers = self.ask(requests, &mut seen)?,
            Action::Connection(moves) => {
                seen.conversation = Some(connection::converse(&mut self.proxy, moves))
            }
            Action::Advance(by) => self.proxy.advance(*by),
            Action::Reload { plugin, config } => match self.proxy.reload_plugin(*plugin, config) {
                Ok(()) => seen.refused = Some(false),
                Err(
                    error @ (Error::ConfigurationRefused { .. }
                    | Error::VmStartRefused { .. }
                    | Error::Failed(_)),
                ) => {
                    seen.refused = Some(true);
                    seen.refusal = vec![error.to_string()];
                }
                Err(error) => return Err(error),
            },
            Action::Upstreams(scripts) => {
                scripts.iter().for_each(|(name, script)| self.proxy.set_upstream(name, upstream(script)));
            }
            Action::Shared(written) => {
                shared::write(&mut self.proxy, written);
                self.proxy.advance(plan::AFTERWARDS);
            }
            Action::Faults(faults) => set(faults, &mut self.proxy),
        }
        Ok(seen)
    }

    /// Clients ask, and have their answers or give up.
    fn ask(&mut self, requests: &[plan::Request], seen: &mut Seen) -> Result<Vec<Answer>, Error> {
        let Some(answers) = clients::ask(&mut self.proxy, requests)? else {
            let never = Answer { end: End::Never, ..Answer::default() };
            return Ok(vec![never; requests.len()]);
        };
        self.proxy.advance(plan::AFTERWARDS);
        let lines = &self.proxy.access_log()[self.marks.access_log..];
        seen.access_log = lines.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        Ok(answers)
    }

    /// With what is to be read of shared data and queues.
    fn read(&mut self, expect: Option<&Expect>, seen: Seen) -> Seen {
        let wanted = self.plan.wanted(expect);
        let shared = wanted.map(|wanted| shared::read(&mut self.proxy, &wanted)).unwrap_or_default();
        Seen { shared, ..seen }
    }

    fn since(&self, seen: Seen) -> Seen {
        let mut upstreams = BTreeMap::new();
        for name in self.plan.upstreams.keys() {
            let before = self.marks.received.get(name).copied().unwrap_or(0);
            let calls: Vec<_> = self.proxy.received_since(name, before).iter().map(call).collect();
            if !calls.is_empty() {
                upstreams.insert(name.clone(), calls);
            }
        }
        let logs = self.proxy.logs()[self.marks.logs..].iter().map(log).collect();
        let metrics = moved(&self.proxy.metrics(), &self.marks.metrics);
        let seen = failed(seen, &self.proxy.failures()[self.marks.failures..]);
        let profile = self.proxy.profile();
        let spent = (!profile.is_empty()).then(|| spent(&profile));
        Seen { upstreams, logs, metrics, spent, ..seen }
    }
}

fn spent(profile: &Profile) -> Spent {
    profile.values().fold(Spent::default(), |mut sum, cost| {
        sum.fuel += cost.fuel;
        sum.memory_growth += cost.memory_growth;
        sum.time += cost.time;
        for (name, call) in &cost.host_calls {
            *sum.host_calls.entry((*name).to_owned()).or_default() += call.count;
        }
        sum
    })
}

fn log(line: &LogLine) -> Log {
    Log { level: format!("{:?}", line.level).to_lowercase(), text: line.message.clone() }
}

/// Counters and gauges that moved, by their name as people write it.
fn moved(metrics: &Metrics, before: &Numbers) -> BTreeMap<String, i64> {
    let numbers = metrics.moved(before).filter(|(_, kind, _)| *kind != MetricType::Histogram);
    numbers.map(|(name, _, by)| (metric_name(name), by)).collect()
}

fn set(faults: &Faults, proxy: &mut Proxy) {
    proxy.faults(|set| {
        if faults.clear {
            set.clear();
        }
        if faults.cas_conflicts > 0 {
            set.cas_conflicts(faults.cas_conflicts);
        }
        for forced in &faults.statuses {
            let status = Status::from_u32(forced.status).unwrap_or(Status::InternalFailure);
            set.status_after(&forced.call, status, forced.times, forced.after);
        }
        for name in &faults.missing_foreign_functions {
            set.missing_foreign_function(name);
        }
    });
}

pub(super) fn fields(headers: &HeaderMap) -> Fields {
    let regular = headers.iter().filter(|(name, _)| name.first() != Some(&b':'));
    regular.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
}

/// Blanks around a value are none to an upstream that reads HTTP/1 (RFC 9110, section 5.5).
fn trimmed(fields: Fields) -> Fields {
    fields.into_iter().map(|(name, value)| (name, value.trim_ascii().to_vec())).collect()
}

fn call(received: &Received) -> Call {
    let pseudo = |name: &str| received.headers.get(name).unwrap_or_default().to_vec();
    Call {
        method: received.header(":method").unwrap_or_default(),
        path: pseudo(":path"),
        authority: pseudo(":authority"),
        headers: trimmed(fields(&received.headers)),
        body: received.body.clone(),
        trailers: received.trailers.as_ref().map(fields).unwrap_or_default(),
    }
}
