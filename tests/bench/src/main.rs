//! Measures what the gateway costs: CPU time per request against Envoy's own filters doing the same work, memory, start-up.

mod books;
mod bootstrap;
mod contenders;
mod cpus;
mod increments;
mod load;
mod machine;
mod measure;
mod modules;
mod native;
mod policy;
mod report;
#[cfg(test)]
mod same_work;
mod soak;
mod start_up;
mod statistics;
mod tokens;
mod upstream;

use crate::contenders::{Also, Bench, NATIVE, Services};
use crate::cpus::Cores;
use crate::machine::{Machine, load_average};
use crate::measure::{Measured, Plan, Requests};
use crate::report::Report;
use crate::tokens::Sight;
use anyhow::Result;
use clap::Parser;
use std::path::PathBuf;

/// What is to be measured, and with what.
#[derive(Parser)]
#[command(about = "Measures what the gateway costs, against Envoy's own filters doing the same work")]
struct Arguments {
    /// The gateway's module [default: the one in the target folder]
    #[arg(long, value_name = "WASM")]
    gateway: Option<PathBuf>,
    /// A module that does nothing [default: the one in the target folder]
    #[arg(long, value_name = "WASM")]
    empty: Option<PathBuf>,
    /// A module that counts [default: the one in the target folder]
    #[arg(long, value_name = "WASM")]
    increments: Option<PathBuf>,
    /// The policy [default: the example's]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// One more chain: another build of the gateway (*.wasm), or a whole bootstrap (*.json, see --dump)
    #[arg(long, value_name = "NAME=FILE")]
    also: Vec<Also>,
    /// Only the chains with these names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Writes the bootstraps that are compared into a folder, and measures nothing
    #[arg(long, value_name = "FOLDER")]
    dump: Option<PathBuf>,
    /// Writes the report into a file, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Rounds, in each of which every chain is measured once [default: 60, quick 15]
    #[arg(long)]
    rounds: Option<usize>,
    /// Requests of a measurement: few, so that some measurements go undisturbed [default: 1500]
    #[arg(long)]
    requests: Option<usize>,
    /// A minute's worth: fewer rounds, no table of routes
    #[arg(long)]
    quick: bool,
    /// Only CPU time, and only of direct responses: for comparing builds with --also
    #[arg(long)]
    chains_only: bool,
    /// Also memory over that many requests that all differ
    #[arg(long, value_name = "REQUESTS", num_args = 0..=1, default_missing_value = "1000000")]
    soak: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bench = Bench::open(&arguments)?;
    if let Some(folder) = &arguments.dump {
        return bench.dump(folder);
    }
    let report = run(&arguments, &bench)?;
    print!("{}", report.text());
    if let Some(path) = &arguments.out {
        std::fs::write(path, report.text())?;
    }
    Ok(())
}

fn run(arguments: &Arguments, bench: &Bench) -> Result<Report> {
    let mut report = Report::default();
    let plan = plan(arguments)?;
    report.opening(&Machine::this()?.line(), plan, load_average());
    let start_ups = if arguments.chains_only { None } else { Some(start_ups(bench, arguments)?) };
    // From here on: start-up was measured with all cores.
    plan.cores.map_or(Ok(()), Cores::pin_load)?;
    let direct = chains(bench, &mut report, plan, Services::Direct)?;
    let Some(start_ups) = start_ups else { return Ok(report) };
    chains(bench, &mut report, plan, Services::Upstream)?;
    if !arguments.quick {
        routes(bench, &mut report, plan)?;
    }
    check_tokens(bench, &mut report, plan)?;
    report.start_ups(&start_ups, &direct);
    report.sizes(&bench.sizes()?);
    progress("one increment");
    report.increments(&increments::native(), &increments::in_envoy(bench.counting()?)?);
    if let Some(requests) = arguments.soak {
        progress("memory over many requests");
        report.soak(&soak::run(bench.soaked()?, requests, plan.cores)?);
    }
    Ok(report)
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let (rounds, warm_up) = if arguments.quick { (15, 6_000) } else { (60, 15_000) };
    let requests = arguments.requests.unwrap_or(1_500);
    let rounds = arguments.rounds.unwrap_or(rounds);
    Ok(Plan { rounds, requests, warm_up, cores: Cores::choose()? })
}

fn start_ups(bench: &Bench, arguments: &Arguments) -> Result<Vec<start_up::StartUp>> {
    progress("start-up");
    start_up::measure(&bench.started()?, if arguments.quick { 3 } else { 5 })
}

fn chains(bench: &Bench, report: &mut Report, plan: Plan, services: Services) -> Result<Vec<Measured>> {
    progress(services.title());
    let contenders = bench.contenders(services, plan.cores)?;
    let measured = measure::interleaved(contenders, plan, &Requests::usual())?;
    report.chains(services.title(), &measured, NATIVE);
    Ok(measured)
}

fn routes(bench: &Bench, report: &mut Report, plan: Plan) -> Result<()> {
    for count in [1, 120] {
        let title = format!("CPU time with {count} route{}", if count == 1 { "" } else { "s" });
        progress(&title);
        let measured = measure::interleaved(bench.with_routes(count, plan.cores)?, plan, &Requests::usual())?;
        report.chains(&title, &measured, NATIVE);
    }
    Ok(())
}

fn check_tokens(bench: &Bench, report: &mut Report, plan: Plan) -> Result<()> {
    for alg in tokens::ALGORITHMS {
        for sight in [Sight::First, Sight::Repeated] {
            let title = sight.title(alg);
            progress(&title);
            let contenders = bench.with_tokens(alg, sight, plan.cores)?;
            let measured =
                measure::interleaved(contenders, plan.for_tokens(), &tokens::requests(alg, sight))?;
            report.chains(&title, &measured, tokens::NATIVE);
        }
    }
    let title = "One token, with many routes and providers";
    progress(title);
    let contenders = bench.with_providers([(1, 1), (100, 10)], plan.cores)?;
    let requests = tokens::requests("HS256", Sight::Repeated);
    let measured = measure::interleaved(contenders, plan.for_tokens(), &requests)?;
    report.chains(title, &measured, &measured[0].name);
    Ok(())
}

/// The table comes at the end; until then, this says that something happens.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
