//! The harness from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_harness::{Error, LoadError, Plugin, Proxy, Request, Upstream, inspect, profile_table};

/// Runs proxy-wasm modules off-proxy, the way Envoy would.
#[derive(Parser)]
#[command(name = "portcullis-harness", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what a module is: ABI version, imports, exports, sections, and whether it loads.
    Inspect {
        /// The module.
        module: PathBuf,
    },
    /// Shows where a microsecond goes: host calls, fuel and allocations of each callback.
    Profile {
        /// The module.
        module: PathBuf,
        /// File with its plugin configuration.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Paths to ask for, in turn.
        #[arg(long, default_value = "/")]
        path: Vec<String>,
        /// A header of every request, as `name: value`.
        #[arg(long)]
        header: Vec<String>,
        /// How many requests.
        #[arg(long, default_value_t = 1000)]
        requests: usize,
        /// Leave out what the start has cost.
        #[arg(long)]
        no_start: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Inspect { module } => inspect_file(module).map_err(Error::from),
        Command::Profile { module, config, path, header, requests, no_start } => {
            profile(module, config, &path, &header, requests, no_start)
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Exit status 0 if the module would load, 1 if not.
fn inspect_file(path: PathBuf) -> Result<ExitCode, LoadError> {
    let bytes = std::fs::read(&path).map_err(|source| LoadError::Unreadable { path, source })?;
    let inspection = inspect(&bytes)?;
    show(&inspection.to_string());
    Ok(if inspection.loads.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn profile(
    module: PathBuf,
    config: Option<PathBuf>,
    paths: &[String],
    headers: &[String],
    requests: usize,
    no_start: bool,
) -> Result<ExitCode, Error> {
    let config = match config {
        Some(path) => std::fs::read(&path).map_err(|source| LoadError::Unreadable { path, source })?,
        None => Vec::new(),
    };
    let plugin = Plugin::file(module).config(config);
    let web = Upstream::respond(200).body("ok");
    let mut proxy =
        Proxy::builder().plugin(plugin).profiled().only_worker_vms().upstream("web", web).build()?;
    if no_start {
        proxy.reset_profile();
    }
    for number in 0..requests {
        let request = Request::get(&paths[number % paths.len()]);
        proxy.send(headers.iter().map(String::as_str).fold(request, with_header))?;
    }
    show(&profile_table(&proxy.profile()));
    Ok(ExitCode::SUCCESS)
}

fn with_header(request: Request, header: &str) -> Request {
    let (name, value) = header.split_once(':').unwrap_or((header, ""));
    request.header(name.trim(), value.trim())
}

/// Prints; whoever closes the pipe early has seen enough.
fn show(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
