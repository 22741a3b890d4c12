//! The harness.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use portcullis_harness::{
    Builder, ClientResponse, Error, Failure, FailureKind, HeaderMap, LoadError, LoadedModule, LogLevel,
    LogLine, MetricType, Metrics, Numbers, Profile, Proxy, Received, Status, Upstream,
};

use super::connection;
use super::sendable::{self, sendable};
use super::{LONGEST, Ran};
use crate::model::{FailurePolicy, Faults, Level};
use crate::plan::{self, Action, Body, Fate, Fields, Plan, Script, Step};
use crate::seen::{Answer, Call, End, Log, Seen, metric_name};
use crate::trap::{self, Trap};
use crate::verdict::Spent;

/// Modules that have been compiled already, shared between scenarios.
#[derive(Default)]
pub struct Modules(Mutex<HashMap<PathBuf, LoadedModule>>);

impl Modules {
    /// A module, compiled once.
    ///
    /// # Errors
    /// Every `LoadError`.
    pub fn load(&self, path: &Path) -> Result<LoadedModule, LoadError> {
        let mut modules = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(module) = modules.get(path) {
            return Ok(module.clone());
        }
        let module = LoadedModule::from_file(path)?;
        modules.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// Forgets everything: a file may have changed.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}

/// Runs a scenario on the harness.
pub fn harness(plan: &Plan, modules: &Modules) -> Ran {
    let builder = match builder(plan, modules) {
        Ok(builder) => builder,
        Err(error) => return Ran::never(error.to_string()),
    };
    match builder.build_or_logs() {
        Ok(proxy) => Running::new(proxy, plan).steps(),
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
    let lost = |failure: &&Failure| matches!(failure.kind, FailureKind::OutOfFuel { .. });
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
    Trap { callback: failure.callback.clone(), cause, backtrace: failure.backtrace.clone() }
}

pub(super) fn builder(plan: &Plan, modules: &Modules) -> Result<Builder, LoadError> {
    let mut builder = Proxy::builder()
        .starting_at(plan.clock)
        .workers(plan.workers)
        .log_level(level(plan.log_level))
        .facing_clients(own_address())
        .pass_server_header_through();
    for plugin in &plan.plugins {
        builder = builder.plugin(described(plugin, modules.load(&plugin.module)?));
    }
    for (name, script) in &plan.upstreams {
        // Nobody can ask a TCP service what it will answer: it listens, or it does not.
        let refuses = plan.is_tcp() && script.is_refusing();
        builder = if refuses {
            builder.peer(name, Upstream::refuse())
        } else {
            builder.peer(name, upstream(script))
        };
    }
    for route in &plan.routes {
        builder = builder.routed(sendable::route(route));
    }
    builder = builder.node(sendable::node(&plan.node));
    for (cluster, values) in &plan.cluster_metadata {
        for (namespace, value) in values {
            builder = builder.cluster_metadata(cluster, namespace, value.clone());
        }
    }
    for (path, value) in &plan.properties {
        builder = builder.property(path.split('.'), value);
    }
    for (name, answer) in &plan.foreign_functions {
        let answer = answer.clone();
        builder = builder.foreign_function(name, move |_| Ok(answer.clone()));
    }
    if let Some(seed) = plan.seed {
        builder = builder.seed(seed);
    }
    if let Some(format) = &plan.access_log {
        builder = builder.access_log(format);
    }
    Ok(if plan.counts_cost() { builder.profiled() } else { builder })
}

/// The address that Envoy takes for the machine's own: the first of IPv4 that is no loopback's.
fn own_address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(find_own_address)
}

fn find_own_address() -> String {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut addresses = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    addresses.find(|address| !address.is_loopback()).unwrap_or(std::net::Ipv4Addr::LOCALHOST).to_string()
}

fn described(plugin: &plan::Plugin, module: LoadedModule) -> portcullis_harness::Plugin {
    let described = portcullis_harness::Plugin::loaded(&module)
        .name(&plugin.name)
        .root_id(&plugin.root_id)
        .vm_id(&plugin.vm_id)
        .vm_config(&plugin.vm_config)
        .config(&plugin.config)
        .failure_policy(match plugin.failure_policy {
            FailurePolicy::Closed => portcullis_harness::FailurePolicy::Closed,
            FailurePolicy::Open => portcullis_harness::FailurePolicy::Open,
            FailurePolicy::Reload => portcullis_harness::FailurePolicy::Reload,
        });
    plugin.env.iter().fold(described, |described, (name, value)| described.env(name, value))
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
        Level::Critical => LogLevel::Critical,
    }
}

fn upstream(script: &Script) -> Upstream {
    let mut script = script.clone();
    Upstream::answer_with(move |received| {
        let method = received.header(":method").unwrap_or_default();
        reply(script.answer(&method, received.headers.get(":path").unwrap_or_default()))
    })
}

fn reply(reply: plan::Reply) -> portcullis_harness::Reply {
    use portcullis_harness::Reply;
    let answer = match reply.fate {
        Fate::Refused => return Reply::refuse(),
        Fate::Never => return Reply::never(),
        Fate::Reset => return Reply::reset().delay(reply.delay),
        Fate::Answer | Fate::ResetAfterBody => Reply::status(reply.status).delay(reply.delay),
    };
    let answer = reply.headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
    let breaks = reply.fate == Fate::ResetAfterBody;
    let length = reply.body.announced(breaks).to_string();
    let answer = match reply.body {
        Body::None if [204, 304].contains(&reply.status) => answer,
        Body::None => answer.header("content-length", length),
        Body::Whole(body) if body.is_empty() => answer.header("content-length", length),
        Body::Whole(body) => answer.header("content-length", length).chunk(body),
        Body::Chunked(chunks, trailers) => {
            let answer = answer.header("transfer-encoding", "chunked");
            let answer = chunks.iter().fold(answer, |answer, chunk| answer.chunk(chunk));
            trailers.iter().fold(answer, |answer, (name, value)| answer.trailer(name, value))
        }
    };
    if breaks { answer.reset_after() } else { answer }
}

/// How much of everything there was before a step.
#[derive(Default)]
struct Marks {
    received: BTreeMap<String, usize>,
    logs: usize,
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
        let mut ran =
            Ran { start: self.since(Seen { refused: Some(false), ..Seen::default() }), ..Ran::default() };
        for (index, step) in self.plan.steps.iter().enumerate() {
            self.mark();
            let title = || format!("step {} ({})", index + 1, step.title);
            match self.step(step) {
                Ok(seen) => ran.steps.push(self.since(seen)),
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
            failures: self.proxy.failures().len(),
            metrics: self.proxy.metrics().numbers(),
        };
    }

    fn step(&mut self, step: &Step) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        match &step.action {
            Action::Request(request) => self.request(request, &mut seen)?,
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
            Action::Faults(faults) => set(faults, &mut self.proxy),
        }
        Ok(seen)
    }

    /// Sends a request and follows it to its end. If none comes for as long as a step may last, the client goes away.
    fn request(&mut self, request: &plan::Request, seen: &mut Seen) -> Result<(), Error> {
        let began = self.proxy.wall_clock();
        let handle = self.proxy.start(sendable(request));
        let outcome = match self.proxy.finish_within(&handle, LONGEST) {
            Ok(outcome) => outcome,
            Err(Error::Failed(_)) => {
                seen.answer = Some(Answer { end: End::Never, ..Answer::default() });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let answer = answer(&outcome.client);
        if answer.end == End::Never {
            let passed = self.proxy.wall_clock().saturating_sub(began);
            self.proxy.advance(LONGEST.saturating_sub(passed));
            self.proxy.client_leaves(&handle);
        }
        self.proxy.advance(plan::AFTERWARDS);
        seen.answer = Some(answer);
        let lines = self.proxy.outcome(&handle).access_log;
        seen.access_log = lines.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        Ok(())
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

fn fields(headers: &HeaderMap) -> Fields {
    let regular = headers.iter().filter(|(name, _)| name.first() != Some(&b':'));
    regular.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
}

fn answer(client: &ClientResponse) -> Answer {
    Answer {
        status: client.status(),
        headers: client.headers.as_ref().map(fields).unwrap_or_default(),
        body: client.body.clone(),
        trailers: client.trailers.as_ref().map(fields).unwrap_or_default(),
        end: match (client.complete, client.reset) {
            _ if client.invalid => {
                End::Invalid(client.flaw.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            (_, true) => End::Broken,
            (true, false) => End::Complete,
            (false, false) => End::Never,
        },
    }
}

fn call(received: &Received) -> Call {
    let pseudo = |name: &str| received.headers.get(name).unwrap_or_default().to_vec();
    Call {
        method: received.header(":method").unwrap_or_default(),
        path: pseudo(":path"),
        authority: pseudo(":authority"),
        headers: fields(&received.headers),
        body: received.body.clone(),
        trailers: received.trailers.as_ref().map(fields).unwrap_or_default(),
    }
}
