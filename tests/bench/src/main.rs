//! Measures what the gateway costs: CPU time per request against Envoy's own filters doing the same work, memory, start-up.

mod books;
mod bootstrap;
mod contenders;
mod cpus;
mod first_sight;
mod guards;
mod harness;
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
mod scrape;
mod sights;
mod soak;
mod start_up;
mod statistics;
mod table;
mod tokens;
mod upstream;

use crate::contenders::{Also, Bench, Services};
use crate::cpus::Cores;
use crate::machine::{Machine, load_average};
use crate::measure::Plan;
use crate::policy::Document;
use crate::report::Report;
use crate::table::Table;
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
    /// A module that looks at tokens [default: the one in the target folder]
    #[arg(long, value_name = "WASM")]
    sights: Option<PathBuf>,
    /// The policy [default: the example's]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// One more chain: another build of the gateway (*.wasm), or a whole bootstrap (*.json, see --dump)
    #[arg(long, value_name = "NAME=FILE")]
    also: Vec<Also>,
    /// Only the chains with these names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only the tables of CPU time whose title has this in it
    #[arg(long, value_name = "TEXT")]
    table: Option<String>,
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
    /// Only CPU time of direct responses, start-up and memory: for comparing builds with --also
    #[arg(long)]
    chains_only: bool,
    /// Only the harness
    #[arg(long)]
    harness_only: bool,
    /// Only the first sight of a token, and, if asked for, memory over many requests
    #[arg(long)]
    in_module: bool,
    /// Only what a scrape costs
    #[arg(long)]
    scrape_only: bool,
    /// Also memory over that many requests that all differ, and over that many tokens
    #[arg(long, value_name = "REQUESTS", num_args = 0..=1, default_missing_value = "1000000")]
    soak: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.harness_only {
        let mut report = Report::default();
        harness(&arguments, &mut report)?;
        print!("{}", report.text());
        return Ok(());
    }
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
    if arguments.in_module {
        first_sights(bench, &mut report)?;
        soaks(bench, &mut report, arguments.soak, plan)?;
        return Ok(report);
    }
    if arguments.scrape_only {
        plan.cores.map_or(Ok(()), Cores::pin_load)?;
        scrapes(bench, &mut report, arguments, plan)?;
        return Ok(report);
    }
    let some_only = arguments.chains_only || arguments.table.is_some();
    let start_ups = if arguments.table.is_some() { None } else { Some(start_ups(bench, arguments)?) };
    // From here on: start-up was measured with all cores.
    plan.cores.map_or(Ok(()), Cores::pin_load)?;
    let tables = tables(arguments);
    let mut direct = Vec::new();
    for table in tables {
        progress(&table.title());
        let measured = table.measure(bench, plan)?;
        report.chains(&table.title(), &measured, table.reference());
        if table == Table::Chains(Services::Direct) {
            direct = measured;
        }
    }
    if !some_only {
        scrapes(bench, &mut report, arguments, plan)?;
    }
    if let Some(start_ups) = start_ups {
        report.start_ups(&start_ups, &direct);
        report.sizes(&bench.sizes()?);
    }
    if some_only {
        return Ok(report);
    }
    progress("one increment");
    report.increments(&increments::native(), &increments::in_envoy(bench.counting()?)?);
    first_sights(bench, &mut report)?;
    harness(arguments, &mut report)?;
    soaks(bench, &mut report, arguments.soak, plan)?;
    Ok(report)
}

fn scrapes(bench: &Bench, report: &mut Report, arguments: &Arguments, plan: Plan) -> Result<()> {
    progress("a scrape");
    let windows = if arguments.quick { 3 } else { 20 };
    report.scrapes(&scrape::measure(bench.scraped(scrape::ROUTES)?, windows, plan.cores)?);
    Ok(())
}

fn soaks(bench: &Bench, report: &mut Report, requests: Option<usize>, plan: Plan) -> Result<()> {
    let Some(requests) = requests else { return Ok(()) };
    progress("memory over many requests");
    report.soak(&soak::paths(bench.soaked()?, requests, plan.cores)?);
    progress("a limit after a flood of addresses");
    let (soaked, flooded) = soak::addresses(bench.flooded()?, u32::try_from(requests)?, plan.cores)?;
    report.flood(&soaked, flooded);
    progress("memory over many tokens");
    let (soaked, cache) = soak::tokens(bench.soaked_with_tokens(None)?, requests, plan.cores)?;
    report.soak_with_tokens(&soaked, cache);
    Ok(())
}

fn harness(arguments: &Arguments, report: &mut Report) -> Result<()> {
    progress("the harness");
    let document = Document::read(&contenders::policy_file(arguments))?;
    let subjects = harness::Subjects::find(arguments.gateway.as_deref())?;
    report.harness(&harness::measure(&subjects, &document)?);
    Ok(())
}

fn first_sights(bench: &Bench, report: &mut Report) -> Result<()> {
    progress("the first sight of a token");
    let configuration = first_sight::configuration();
    report.first_sights(&first_sight::measure(bench.looking(&configuration)?, &configuration)?);
    Ok(())
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

/// The tables that were asked for, in their order.
fn tables(arguments: &Arguments) -> Vec<Table> {
    let mut tables = if arguments.chains_only { vec![Table::Chains(Services::Direct)] } else { table::all() };
    tables.retain(|table| !(arguments.quick && matches!(table, Table::Routes(_))));
    let text = arguments.table.as_deref().unwrap_or_default();
    tables.retain(|table| table.title().contains(text));
    tables
}

/// The table comes at the end; until then, this says that something happens.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
