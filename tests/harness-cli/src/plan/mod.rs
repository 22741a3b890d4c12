//! A scenario, ready to run: files read, tokens minted, references looked up. Knows no side.

mod check;
mod compile;
mod connection;
mod mint;
mod never;
mod script;
mod several;
mod shared;
mod tls;
mod volatile;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_edge_core::{ConfigError, ConfigErrors};
use portcullis_source::diagnostics;
use portcullis_source::source::{NotYaml, Source};
use serde_json::Value;

use crate::model::{Dns, Expect, FailurePolicy, Faults, Level, Node, Pattern, Scenario, Side};
use crate::problem;

pub use compile::config_file;
pub use connection::Move;
pub use mint::Minted;
pub use script::{Fate, Reply, Script};
pub use shared::{Shared, Wanted};
pub use tls::{Certificate, Listening, Shown};
pub use volatile::Volatile;

/// So much time passes behind the start and behind every answer, on both sides: whatever is to happen at once happens, and Envoy flushes its logs.
pub const AFTERWARDS: Duration = Duration::from_millis(10);

/// Header fields in order.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A scenario, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it comes from.
    pub file: PathBuf,
    /// What it shows.
    pub name: String,
    /// The one side it runs on, and why.
    pub only: Option<(Side, String)>,
    /// The wall clock at the start, since 1970.
    pub clock: Duration,
    /// Worker threads.
    pub workers: usize,
    /// Decides what is left to chance on the harness.
    pub seed: Option<u64>,
    /// The level below which plugins' log lines are dropped.
    pub log_level: Level,
    /// The chain.
    pub plugins: Vec<Plugin>,
    /// What upstreams answer.
    pub upstreams: BTreeMap<String, Script>,
    /// Where requests go.
    pub routes: Vec<Route>,
    /// What plugins are told of the process.
    pub node: Node,
    /// Metadata of clusters, by namespace.
    pub cluster_metadata: BTreeMap<String, BTreeMap<String, Value>>,
    /// What plugins find where Envoy has nothing, by dotted path.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// Foreign functions, and what each answers.
    pub foreign_functions: BTreeMap<String, Vec<u8>>,
    /// What the name server says, by name.
    pub names: BTreeMap<String, Dns>,
    /// What plugins find when they start.
    pub shared: Option<Shared>,
    /// The format of the access log.
    pub access_log: Option<String>,
    /// What is not compared.
    pub volatile: Volatile,
    /// Log lines of a configuration that is refused; `None` if it is not.
    pub refused: Option<Vec<Pattern>>,
    /// What must have come of the start.
    pub start: Expect,
    /// What happens.
    pub steps: Vec<Step>,
    /// Tokens, by name.
    pub tokens: BTreeMap<String, String>,
    /// The listener speaks TLS.
    pub tls: Option<Listening>,
}

impl Plan {
    /// Whether a client is somewhere else than on the loopback.
    #[must_use]
    pub fn has_distant_clients(&self) -> bool {
        self.requests().any(|request| request.proxy_head().is_some())
    }

    /// All requests of all steps.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps.iter().flat_map(|step| match &step.action {
            Action::Request(request) => std::slice::from_ref(request.as_ref()),
            Action::Together(requests) => requests,
            _ => &[],
        })
    }

    /// Whether the plugins are network filters: clients open TCP connections.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Connection(_)))
    }

    /// The upstream that TCP connections go to.
    #[must_use]
    pub fn tcp_upstream(&self) -> Option<&str> {
        self.routes.iter().find_map(|route| match &route.target {
            Target::Upstream(name) => Some(name.as_str()),
            Target::Direct { .. } => None,
        })
    }

    /// Whether an upstream speaks gRPC, at the start or from some step on.
    #[must_use]
    pub fn is_grpc(&self, upstream: &str) -> bool {
        let later = self.steps.iter().filter_map(|step| match &step.action {
            Action::Upstreams(scripts) => scripts.get(upstream),
            _ => None,
        });
        self.upstreams.get(upstream).into_iter().chain(later).any(Script::is_grpc)
    }

    /// Whether a step says what it may cost.
    #[must_use]
    pub fn counts_cost(&self) -> bool {
        self.steps.iter().filter_map(|step| step.expect.as_ref()).any(|expect| expect.cost.is_some())
    }
}

/// A plugin of the chain.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Plugin {
    pub module: PathBuf,
    pub name: String,
    pub config: Vec<u8>,
    pub root_id: String,
    pub vm_id: String,
    pub vm_config: String,
    pub env: BTreeMap<String, String>,
    pub failure_policy: FailurePolicy,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host of its requests; `None` for those whose host no other route names.
    pub host: Option<String>,
    /// What paths begin with.
    pub prefix: String,
    /// Headers of its requests.
    pub headers: BTreeMap<String, String>,
    /// How long the upstream may take, in place of 15 s.
    pub timeout: Option<Duration>,
    /// Its name.
    pub name: String,
    /// Its metadata, by namespace.
    pub metadata: BTreeMap<String, Value>,
    /// Where they go.
    pub target: Target,
}

impl Route {
    /// One that every request takes.
    #[must_use]
    pub fn all(target: Target) -> Self {
        Self {
            host: None,
            prefix: "/".to_owned(),
            headers: BTreeMap::new(),
            timeout: None,
            name: String::new(),
            metadata: BTreeMap::new(),
            target,
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Target {
    Upstream(String),
    Direct { status: u16, body: String },
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens.
    pub action: Action,
    /// In short, for messages.
    pub title: String,
    /// What must have come of it.
    pub expect: Option<Expect>,
    /// What must have come of each of several answers.
    pub each: Vec<Expect>,
}

/// What happens in a step.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Action {
    Request(Box<Request>),
    Together(Vec<Request>),
    Connection(Vec<Move>),
    Advance(Duration),
    Reload { plugin: usize, config: Vec<u8> },
    Upstreams(BTreeMap<String, Script>),
    Shared(Shared),
    Faults(Faults),
}

/// A request, ready to send.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Request {
    pub method: String,
    pub path: Vec<u8>,
    /// The bytes that are sent instead.
    pub wire: Option<Vec<u8>>,
    /// The fields that are sent over HTTP/2 instead.
    pub fields: Option<Fields>,
    pub authority: String,
    pub headers: Fields,
    pub body: Body,
    /// The body has no end.
    pub unfinished: bool,
    /// The client goes away after so long.
    pub leaves: Option<Duration>,
    pub http2: bool,
    /// What the client shows in its handshake; `None` over plain TCP.
    pub tls: Option<Shown>,
    pub from: IpAddr,
}

impl Request {
    /// What a proxy in front says of the client (PROXY protocol, version 1), unless the client can connect from its address
    /// itself: the listener has an address of IPv4.
    #[must_use]
    pub fn proxy_head(&self) -> Option<String> {
        match self.from {
            IpAddr::V4(from) if from.is_loopback() => None,
            IpAddr::V4(from) => Some(format!("PROXY TCP4 {from} 127.0.0.1 50000 8080\r\n")),
            IpAddr::V6(from) => Some(format!("PROXY TCP6 {from} ::1 50000 8080\r\n")),
        }
    }
}

/// A body.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None at all.
    #[default]
    None,
    /// With its length.
    Whole(Vec<u8>),
    /// In pieces, then trailers.
    Chunked(Vec<Vec<u8>>, Fields),
}

impl Body {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Whole(body) => body.clone(),
            Self::Chunked(chunks, _) => chunks.concat(),
        }
    }

    /// The length that is told: one more than there is, if the body breaks off.
    #[must_use]
    pub fn announced(&self, breaks: bool) -> usize {
        let length = match self {
            Self::None => 0,
            Self::Whole(body) => body.len(),
            Self::Chunked(chunks, _) => chunks.iter().map(Vec::len).sum(),
        };
        length + usize::from(breaks)
    }
}

/// Where modules are looked for.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// Taken in the place of every module.
    pub instead: Option<PathBuf>,
    /// Folders to look in, behind that of the scenario.
    pub folders: Vec<PathBuf>,
}

impl Modules {
    /// The file of a module.
    fn find(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let beside = std::iter::once(folder.to_owned()).chain(self.folders.iter().cloned());
        match &self.instead {
            Some(instead) => Some(instead.clone()),
            None => beside.map(|folder| folder.join(name)).find(|path| path.is_file()),
        }
    }
}

/// A file that holds no scenario, and why; ready to print.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// With the lines of the file.
    pub long: String,
    /// A line a mistake.
    pub short: String,
}

/// Reads the scenarios of a file.
///
/// # Errors
/// Every mistake in it.
pub fn load(file: &Path, modules: &Modules, colour: bool) -> Result<Vec<Plan>, Unusable> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        let line = format!("{shown}: {error}");
        Unusable { long: format!("error: {line}"), short: line }
    })?;
    let source = Source::parse(text).map_err(|error| {
        let error = NotYaml { message: problem::plainly(&error.message), ..error };
        let (line, column) = portcullis_source::source::line_and_column(&error.text, error.at.start);
        let short = format!("{shown}:{line}:{column}: {}", error.message);
        Unusable { long: diagnostics::show_not_yaml(&shown, &error, colour), short }
    })?;
    plans(file, &source, modules).map_err(|errors| Unusable {
        long: diagnostics::show(&shown, &source, &errors, colour),
        short: diagnostics::list(&shown, &source, &errors),
    })
}

fn plans(file: &Path, source: &Source, modules: &Modules) -> Result<Vec<Plan>, Vec<ConfigError>> {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for one in several::apart(&source.value)? {
        match plan(file, &one.document, modules) {
            Ok(plan) => plans.push(plan),
            Err(mistakes) => {
                let placed =
                    mistakes.into_iter().map(|error| ConfigError { at: one.place(&error.at), ..error });
                errors.extend(placed.filter(|error| !errors.contains(error)).collect::<Vec<_>>());
            }
        }
    }
    if errors.is_empty() { Ok(plans) } else { Err(errors) }
}

fn plan(file: &Path, document: &Value, modules: &Modules) -> Result<Plan, Vec<ConfigError>> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut errors = check::errors(document, folder, modules);
    match deserr::deserialize::<Scenario, _, ConfigErrors>(document.clone()) {
        Ok(scenario) if errors.is_empty() => compile::compile(file, scenario, folder, modules),
        Ok(_) => Err(errors),
        Err(ConfigErrors(more)) => {
            let more = more.into_iter().map(|error| problem::with_unit(error, document));
            errors.extend(more.filter(|error| !errors.contains(error)).collect::<Vec<_>>());
            Err(errors)
        }
    }
}
