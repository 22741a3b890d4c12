//! `profile`: where a microsecond goes.

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_harness::{Error, LoadError, Plugin, Proxy, Request, Upstream, profile_table};

use super::{show, unusable};

/// What to profile.
#[derive(clap::Args)]
pub struct Arguments {
    /// The module.
    module: PathBuf,
    /// File with its plugin configuration; YAML (`.yaml`, `.yml`) is turned into JSON.
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
}

/// Exit status 0, or 2 if it could not be run.
pub fn profile(arguments: Arguments) -> ExitCode {
    match table(arguments) {
        Ok(table) => {
            show(&table);
            ExitCode::SUCCESS
        }
        Err(error) => unusable(&error),
    }
}

fn table(arguments: Arguments) -> Result<String, Error> {
    let config = match arguments.config {
        Some(path) => portcullis_harness_cli::plan::config_file(&path)
            .map_err(|error| LoadError::Unreadable { path, source: std::io::Error::other(error) })?,
        None => Vec::new(),
    };
    let plugin = Plugin::file(arguments.module).config(config);
    let web = Upstream::respond(200).body("ok");
    let mut proxy =
        Proxy::builder().plugin(plugin).profiled().only_worker_vms().upstream("web", web).build()?;
    if arguments.no_start {
        proxy.reset_profile();
    }
    for number in 0..arguments.requests {
        let request = Request::get(&arguments.path[number % arguments.path.len()]);
        proxy.send(arguments.header.iter().map(String::as_str).fold(request, with_header))?;
    }
    Ok(profile_table(&proxy.profile()))
}

fn with_header(request: Request, header: &str) -> Request {
    let (name, value) = header.split_once(':').unwrap_or((header, ""));
    request.header(name.trim(), value.trim())
}
