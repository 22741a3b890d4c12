//! `run`: scenarios.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use portcullis_harness_cli::model::Side;
use portcullis_harness_cli::run::{Options, Outcome, Report, run as run_all};
use portcullis_harness_cli::{backend, files, report};

use super::{Scenarios, show, unusable};

/// What to run.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    scenarios: Scenarios,
    /// On a stock Envoy, instead of the harness.
    #[arg(long, conflicts_with = "both")]
    envoy: bool,
    /// On both, and compare what came of every step.
    #[arg(long)]
    both: bool,
    /// Only scenarios whose name or file contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How many at a time (default: twice the number of CPUs, for Envoys mostly wait).
    #[arg(long)]
    jobs: Option<usize>,
    /// Write a JUnit report into this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the names of all metrics that moved in any scenario into this file, one a line.
    #[arg(long, value_name = "FILE")]
    moved: Option<PathBuf>,
    /// Write into this file which functions of the modules were reached on the harness.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["envoy", "tap"])]
    coverage: Option<PathBuf>,
    /// Print the Test Anything Protocol instead.
    #[arg(long)]
    tap: bool,
    /// Run again whenever a scenario, a module or a configuration beside them changes; Ctrl-C ends it.
    #[arg(long)]
    watch: bool,
    /// Tell of what passed, too.
    #[arg(long, short)]
    verbose: bool,
}

/// Exit status 0 if all is as expected, 1 if not, 2 if something could not be read.
pub fn run(arguments: &Arguments) -> ExitCode {
    let done = if arguments.watch { watch(arguments) } else { once(arguments) };
    match done {
        Ok(code) => code,
        Err(error) => unusable(&error),
    }
}

/// Changes that come together are one.
const TOGETHER: Duration = Duration::from_millis(100);

/// Runs at once and after each change, for ever.
fn watch(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let (report, changes) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(report).map_err(std::io::Error::other)?;
    for path in arguments
        .scenarios
        .paths
        .iter()
        .chain(&arguments.scenarios.module_dir)
        .chain(&arguments.scenarios.module)
    {
        watcher.watch(path, RecursiveMode::Recursive).map_err(std::io::Error::other)?;
    }
    loop {
        if let Err(error) = once(arguments) {
            eprintln!("error: {error}");
        }
        let is_change =
            |event: &notify::Result<notify::Event>| event.as_ref().is_ok_and(|event| !event.kind.is_access());
        if !changes.iter().any(|event| is_change(&event)) {
            return Ok(ExitCode::SUCCESS);
        }
        while changes.recv_timeout(TOGETHER).is_ok() {}
    }
}

fn once(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let files = files::scenarios(&arguments.scenarios.paths)?;
    let options = options(arguments);
    let tell = |report: &Report| {
        if !arguments.tap && (arguments.verbose || !report.passed()) {
            show(&report::told(report));
        }
    };
    let other = options.sides.contains(&Side::Envoy).then(backend::other_version).flatten();
    if let Some(version) = other {
        eprintln!(
            "note: this Envoy is {version}; the harness behaves as 1.40 does, and what differs may be the version's doing"
        );
    }
    let modules = match arguments.coverage {
        Some(_) => backend::Modules::with_coverage(),
        None => backend::Modules::default(),
    };
    let reports = run_all(&files, &options, &modules, &tell);
    if let Some(file) = &arguments.coverage {
        let covered = modules.covered();
        std::fs::write(file, report::coverage(&covered))?;
        show(&report::covered(&covered));
    }
    if let Some(file) = &arguments.junit {
        std::fs::write(file, report::junit(&reports))?;
    }
    if let Some(file) = &arguments.moved {
        let moved: std::collections::BTreeSet<_> = reports.iter().flat_map(|report| &report.moved).collect();
        std::fs::write(file, moved.iter().flat_map(|name| [name.as_str(), "\n"]).collect::<String>())?;
    }
    let sum = report::Sum::of(&reports);
    if arguments.tap {
        show(&report::tap(&reports));
    } else {
        show(&sum.text());
    }
    if reports.is_empty() {
        return Err(std::io::Error::other("there are no scenarios here"));
    }
    let unusable = reports.iter().any(|report| matches!(report.result, Outcome::Unusable(_)));
    Ok(ExitCode::from(if unusable { 2 } else { u8::from(!sum.passed()) }))
}

fn options(arguments: &Arguments) -> Options {
    let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let sides = match (arguments.both, arguments.envoy) {
        (true, _) => vec![Side::Harness, Side::Envoy],
        (_, true) => vec![Side::Envoy],
        _ => vec![Side::Harness],
    };
    Options {
        sides,
        modules: arguments.scenarios.modules(),
        jobs: arguments.jobs.unwrap_or(2 * cpus),
        filter: arguments.filter.clone(),
        colour: std::io::stdout().is_terminal(),
    }
}
