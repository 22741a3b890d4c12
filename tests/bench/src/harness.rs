//! How fast the harness is: what a test of a module waits for, beside other ways of testing the same module.

use crate::modules;
use crate::policy::Document;
use crate::statistics::Summary;
use crate::tokens::{self, Sight};
use anyhow::{Context, Result, anyhow, bail};
use nix::time::{ClockId, clock_gettime};
use portcullis_harness::{Builder, LoadedModule, Plugin, Proxy, Request, Upstream};
use portcullis_harness_cli::model::Side;
use portcullis_harness_cli::run::{Options, Report, run};
use portcullis_harness_cli::{files, plan};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where `make bench` builds the peer.
const PEER: &str = "tmp/bench-peer";
/// Tests that are timed, where each compiles the module.
const COMPILED: usize = 5;
const TESTS: usize = 200;
const REQUESTS: usize = 2000;
/// How often the folder of scenarios is run.
const FOLDERS: usize = 40;
const PATH: &str = "/api/v1/orders/12345";

/// One way of testing a module.
pub struct Way {
    /// The module.
    pub module: &'static str,
    /// What runs it, and how.
    pub host: &'static str,
    /// Microseconds of a test: a VM of its own, and one request.
    pub test: Summary,
    /// Microseconds of each further request.
    pub request: Summary,
}

/// Scenario files that were run one after another, on one core.
pub struct Scenarios {
    /// How many different ones.
    pub files: usize,
    /// How many were run.
    pub runs: usize,
    /// CPU time, modules compiled and seen before.
    pub cpu: Duration,
}

/// All that was measured.
pub struct Speed {
    /// By module and host.
    pub ways: Vec<Way>,
    /// Of the gateway.
    pub scenarios: Scenarios,
}

/// The modules and folders that are needed.
pub struct Subjects {
    /// The gateway.
    pub gateway: PathBuf,
    /// The module that every host can run.
    pub bare: PathBuf,
    /// Scenarios of the gateway.
    pub scenarios: PathBuf,
}

/// Measures everything.
///
/// # Errors
/// If a module does not run, a scenario does not pass, or there is no peer.
pub fn measure(subjects: &Subjects, document: &Document) -> Result<Speed> {
    let gateway = Subject::gateway(&subjects.gateway, document)?;
    let bare =
        Subject { name: "a small filter", bytes: std::fs::read(&subjects.bare)?, ..Subject::default() };
    let ways = vec![
        gateway.way("harness", TESTS, false, Loaded::Once)?,
        gateway.way("harness, every VM started (`without_snapshots`)", TESTS, true, Loaded::Once)?,
        gateway.way("harness, a compiler and a VM a test", COMPILED, true, Loaded::EachTime)?,
        bare.way("harness", TESTS, false, Loaded::Once)?,
        bare.way("harness, a compiler and a VM a test", COMPILED, true, Loaded::EachTime)?,
        peer(&subjects.bare)?,
    ];
    Ok(Speed { ways, scenarios: scenarios(&subjects.scenarios, &subjects.gateway)? })
}

/// How often a module is compiled.
#[derive(Clone, Copy, PartialEq)]
enum Loaded {
    Once,
    EachTime,
}

/// A module, and how it is asked.
#[derive(Default)]
struct Subject {
    name: &'static str,
    bytes: Vec<u8>,
    config: Vec<u8>,
    token: String,
}

impl Subject {
    /// The whole gateway: the policy with tokens on every route, and a good one.
    fn gateway(module: &Path, document: &Document) -> Result<Self> {
        let policy = tokens::policy(document, "HS256", Sight::Repeated);
        Ok(Self {
            name: "portcullis",
            bytes: std::fs::read(module)?,
            config: policy.json(),
            token: format!("Bearer {}", tokens::token("HS256", 0)),
        })
    }

    fn way(&self, host: &'static str, tests: usize, starts: bool, loaded: Loaded) -> Result<Way> {
        let module = LoadedModule::from_bytes(&self.bytes)?;
        let test = || {
            let fresh =
                if loaded == Loaded::EachTime { Some(LoadedModule::compiled(&self.bytes)?) } else { None };
            let mut proxy = self.proxy(fresh.as_ref().unwrap_or(&module), starts)?;
            self.ask(&mut proxy)
        };
        let tests = micros(tests, test)?;
        let mut proxy = self.proxy(&module, starts)?;
        let requests = micros(REQUESTS, || self.ask(&mut proxy))?;
        Ok(Way { module: self.name, host, test: tests, request: requests })
    }

    fn proxy(&self, module: &LoadedModule, starts: bool) -> Result<Proxy> {
        let plugin = Plugin::loaded(module).root_id("gateway").config(&self.config);
        let builder = Proxy::builder().plugin(plugin).only_worker_vms().starting_at(today()?);
        let builder = if starts { Builder::without_snapshots(builder) } else { builder };
        Ok(builder.upstream("web", Upstream::respond(200)).build()?)
    }

    /// A request that must reach the upstream.
    fn ask(&self, proxy: &mut Proxy) -> Result<()> {
        let request = Request::get(PATH).header("accept", "application/json");
        let request =
            if self.token.is_empty() { request } else { request.header("authorization", &self.token) };
        let outcome = proxy.send(request)?;
        if outcome.client.status() != Some(200) || outcome.upstream.is_none() {
            bail!("{} refuses: {:?}", self.name, outcome.client);
        }
        Ok(())
    }
}

/// The tokens are of today; the hour, so that all starts are equal.
fn today() -> Result<Duration> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Duration::from_secs(seconds.next_multiple_of(3600)))
}

/// Microseconds of each run; the first tenth does not count.
fn micros(runs: usize, mut run: impl FnMut() -> Result<()>) -> Result<Summary> {
    let warm_up = (runs / 10).max(1);
    let mut taken = Vec::with_capacity(runs);
    for number in 0..warm_up + runs {
        let began = Instant::now();
        run()?;
        taken.extend((number >= warm_up).then(|| began.elapsed().as_secs_f64() * 1e6));
    }
    Summary::of(&taken).context("no runs")
}

/// The Go SDK's proxytest.
fn peer(module: &Path) -> Result<Way> {
    let program = std::env::current_exe()?;
    let found = program.ancestors().map(|folder| folder.join(PEER)).find(|path| path.is_file());
    let peer = found.context("no peer: `make bench` builds it from tests/bench/peer")?;
    let output = Command::new(peer).arg(module).output()?;
    if !output.status.success() {
        bail!("the peer: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(Way {
        module: "a small filter",
        host: "proxytest of the Go SDK 0.24.0 (compiles with wazero in each test)",
        test: of_peer(&text, "test").context("the peer tells of no tests")?,
        request: of_peer(&text, "request").context("the peer tells of no requests")?,
    })
}

/// Microseconds of the lines `<what> <nanoseconds>`.
fn of_peer(text: &str, what: &str) -> Option<Summary> {
    let nanos = text.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse::<f64>().ok());
    Summary::of(&nanos.map(|nanos| nanos / 1e3).collect::<Vec<_>>())
}

/// Runs a folder of scenarios over and over, in one thread.
fn scenarios(folder: &Path, module: &Path) -> Result<Scenarios> {
    let once = files::scenarios(&[folder.to_owned()])?;
    let modules = plan::Modules { instead: Some(module.to_owned()), folders: Vec::new() };
    let options = Options { sides: vec![Side::Harness], modules, jobs: 1, filter: None, colour: false };
    let many: Vec<_> = std::iter::repeat_n(&once, FOLDERS).flatten().cloned().collect();
    let began = cpu_time()?;
    let reports = run(&many, &options, &Default::default(), &|_| {});
    let cpu = cpu_time()?.saturating_sub(began);
    match reports.iter().find(|report| !Report::passed(report)) {
        Some(failed) => Err(anyhow!("a scenario does not pass: {}", failed.file.display())),
        None => Ok(Scenarios { files: once.len(), runs: reports.len(), cpu }),
    }
}

fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

impl Subjects {
    /// Those in the target folder, and this project's scenarios.
    ///
    /// # Errors
    /// If one is missing, saying how to build it.
    pub fn find(gateway: Option<&Path>) -> Result<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the bench lies in tests/")?;
        Ok(Self {
            gateway: modules::find(gateway, "portcullis.wasm")?,
            bare: modules::find(None, "examples/bare.wasm")?,
            scenarios: tests.join("scenarios/gateway"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_s_lines_are_told_apart() {
        let text = "test 2000\nrequest 5000\ntest 4000\nanything else\n";
        assert_eq!(of_peer(text, "test").map(|summary| summary.median), Some(3.0));
        assert_eq!(of_peer(text, "request").map(|summary| summary.median), Some(5.0));
        assert_eq!(of_peer(text, "nothing"), None);
    }

    #[test]
    fn runs_that_warm_up_do_not_count() {
        let mut runs = 0;
        micros(20, || {
            runs += 1;
            Ok(())
        })
        .expect("nothing fails");
        assert_eq!(runs, 22);
    }
}
