//! `bench`: the requests of scenarios again and again, with streams in parallel: how long they take, and what memory.

use std::process::ExitCode;

use portcullis_harness_cli::backend::{Load, Modules, bench as run};
use portcullis_harness_cli::{files, plan};
use serde_json::{Value, json};

use super::{Scenarios, show, unusable};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    scenarios: Scenarios,
    /// So many streams at a time.
    #[arg(long, default_value_t = 16)]
    streams: usize,
    /// So many requests of each scenario, its own in turn.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Exit status 0, or 2 if something could not be run.
pub fn bench(arguments: &Arguments) -> ExitCode {
    match rows(arguments) {
        Ok(rows) if arguments.json => {
            show(&format!("{:#}\n", rows.iter().map(|(name, load)| as_json(name, load)).collect::<Value>()));
            ExitCode::SUCCESS
        }
        Ok(rows) => {
            show(&format!(
                "{:>10} {:>12} {:>12} {:>12}  scenario\n",
                "requests", "us each", "guest KiB", "grown KiB"
            ));
            rows.iter().for_each(|(name, load)| show(&row(name, load)));
            ExitCode::SUCCESS
        }
        Err(error) => unusable(&error),
    }
}

fn rows(arguments: &Arguments) -> Result<Vec<(String, Load)>, String> {
    let files = files::scenarios(&arguments.scenarios.paths).map_err(|error| error.to_string())?;
    let folders = arguments.scenarios.modules();
    let modules = Modules::default();
    let mut rows = Vec::new();
    for file in &files {
        for plan in plan::load(file, &folders, false).map_err(|unusable| unusable.short)? {
            if let Some(load) = run(&plan, &modules, arguments.streams, arguments.requests)? {
                rows.push((plan.name, load));
            }
        }
    }
    Ok(rows)
}

fn micros(load: &Load) -> f64 {
    load.took.as_secs_f64() * 1e6 / load.requests.max(1) as f64
}

fn row(name: &str, load: &Load) -> String {
    let (memory, grown) = (load.memory / 1024, load.memory.saturating_sub(load.memory_before) / 1024);
    format!("{:>10} {:>12.1} {memory:>12} {grown:>12}  {name}\n", load.requests, micros(load))
}

fn as_json(name: &str, load: &Load) -> Value {
    json!({
        "scenario": name,
        "requests": load.requests,
        "us_each": micros(load),
        "guest_memory_bytes": load.memory,
        "guest_memory_bytes_before": load.memory_before,
    })
}
