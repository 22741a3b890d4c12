//! The `portcullis-harness` command.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs proxy-wasm modules off-proxy, the way Envoy would.
#[derive(Parser)]
#[command(name = "portcullis-harness", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs scenarios. Exit status: 0 all as expected, 1 not, 2 something could not be read.
    Run(commands::run::Arguments),
    /// Shows what a module is: ABI version, imports, exports, sections, and whether it loads.
    Inspect(commands::inspect::Arguments),
    /// Shows where a microsecond goes: host calls, fuel and allocations of each callback.
    Profile(commands::profile::Arguments),
    /// Sends the requests of scenarios again and again, with streams in parallel: time and memory.
    Bench(commands::bench::Arguments),
    /// Makes a filter to begin with, and its test.
    New(commands::new::Arguments),
    /// Serves a chain of modules in front of a real upstream, on a local port.
    Serve(commands::serve::Arguments),
    /// Writes the JSON Schema of scenario files, for editors.
    Schema,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::inspect(arguments),
        Command::Profile(arguments) => commands::profile::profile(&arguments),
        Command::Bench(arguments) => commands::bench::bench(&arguments),
        Command::New(arguments) => commands::new::new(&arguments),
        Command::Serve(arguments) => commands::serve::serve(arguments),
        Command::Schema => {
            let schema = portcullis_harness_cli::model::json_schema();
            commands::show(&format!("{schema:#}\n"));
            ExitCode::SUCCESS
        }
    }
}
