//! `profile`: where a microsecond goes, of one kind of request or of a scenario.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_harness::{CallbackCost, Plugin, Profile, Proxy, Request, Upstream, profile_table};
use portcullis_harness_cli::backend::{Modules, profiled};
use portcullis_harness_cli::plan;
use serde_json::{Map, Value, json};

use super::{show, unusable};

/// What to profile.
#[derive(clap::Args)]
pub struct Arguments {
    /// The module; or, with `--scenario`, the one to take in the place of every one that it names.
    #[arg(required_unless_present = "scenario")]
    module: Option<PathBuf>,
    /// The scenarios of this file, instead of requests.
    #[arg(long, conflicts_with_all = ["config", "path", "header", "method", "body", "root_id", "requests"])]
    scenario: Option<PathBuf>,
    /// A folder to look for the modules of scenarios in.
    #[arg(long, value_name = "DIR")]
    module_dir: Vec<PathBuf>,
    /// File with its plugin configuration; YAML (`.yaml`, `.yml`) is turned into JSON.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Its root id.
    #[arg(long, default_value = "")]
    root_id: String,
    /// The method of every request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Paths to ask for, in turn.
    #[arg(long, default_value = "/")]
    path: Vec<String>,
    /// A header of every request, as `name: value`.
    #[arg(long)]
    header: Vec<String>,
    /// File with the body of every request.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The status that the upstream answers.
    #[arg(long, default_value_t = 200)]
    reply_status: u16,
    /// A header of every reply, as `name: value`.
    #[arg(long)]
    reply_header: Vec<String>,
    /// File with the body of every reply (default: `ok`).
    #[arg(long)]
    reply_body: Option<PathBuf>,
    /// How many requests.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Leave out what the start has cost.
    #[arg(long)]
    no_start: bool,
    /// As JSON: sums, not means.
    #[arg(long)]
    json: bool,
}

/// Exit status 0, or 2 if it could not be run.
pub fn profile(arguments: &Arguments) -> ExitCode {
    let profile = match &arguments.scenario {
        Some(file) => of_scenarios(file, arguments),
        None => of_requests(arguments),
    };
    match profile {
        Ok(profile) => {
            show(&if arguments.json {
                format!("{:#}\n", as_json(&profile))
            } else {
                profile_table(&profile)
            });
            ExitCode::SUCCESS
        }
        Err(error) => unusable(&error),
    }
}

fn of_scenarios(file: &Path, arguments: &Arguments) -> Result<Profile, String> {
    let modules = plan::Modules { instead: arguments.module.clone(), folders: arguments.module_dir.clone() };
    let plans = plan::load(file, &modules, false).map_err(|unusable| unusable.short)?;
    let loaded = Modules::default();
    let mut sum = Profile::new();
    for plan in &plans {
        let (ran, profile) = profiled(plan, &loaded, !arguments.no_start)?;
        if let Some(why) = ran.stopped {
            return Err(format!("{}: {why}", plan.name));
        }
        for (name, cost) in profile {
            sum.entry(name).or_default().add(&cost);
        }
    }
    Ok(sum)
}

fn of_requests(arguments: &Arguments) -> Result<Profile, String> {
    let mut proxy = proxy(arguments)?;
    if arguments.no_start {
        proxy.reset_profile();
    }
    let body = arguments.body.as_deref().map(read).transpose()?;
    for number in 0..arguments.requests {
        let path = &arguments.path[number % arguments.path.len()];
        let request = arguments
            .header
            .iter()
            .map(|header| pair(header))
            .fold(Request::new(&arguments.method, path), |request, (name, value)| {
                request.header(name, value)
            });
        let request = body.iter().fold(request, |request, body| request.body(body));
        proxy.send(request).map_err(|error| error.to_string())?;
        if let Some(failure) = proxy.failures().first() {
            return Err(failure.to_string());
        }
    }
    Ok(proxy.profile())
}

fn proxy(arguments: &Arguments) -> Result<Proxy, String> {
    let config = match &arguments.config {
        Some(path) => plan::config_file(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => Vec::new(),
    };
    let module = arguments.module.as_deref().unwrap_or(Path::new(""));
    let plugin = Plugin::file(module).root_id(&arguments.root_id).config(config);
    let reply_body = arguments.reply_body.as_deref().map_or(Ok(b"ok".to_vec()), read)?;
    let web = arguments
        .reply_header
        .iter()
        .map(|header| pair(header))
        .fold(Upstream::respond(arguments.reply_status), |web, (name, value)| web.header(name, value));
    let builder = Proxy::builder().plugin(plugin).profiled().only_worker_vms();
    builder.upstream("web", web.body(reply_body)).build().map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn pair(header: &str) -> (&str, &str) {
    let (name, value) = header.split_once(':').unwrap_or((header, ""));
    (name.trim(), value.trim())
}

fn as_json(profile: &Profile) -> Value {
    profile.iter().map(|(name, cost)| ((*name).to_owned(), cost_json(cost))).collect::<Map<_, _>>().into()
}

/// Times are in nanoseconds.
fn cost_json(cost: &CallbackCost) -> Value {
    let calls = cost.host_calls.iter().map(|(name, call)| {
        let time = u64::try_from(call.time.as_nanos()).unwrap_or(u64::MAX);
        ((*name).to_owned(), json!({ "count": call.count, "ns": time }))
    });
    json!({
        "count": cost.count,
        "fuel": cost.fuel,
        "ns": u64::try_from(cost.time.as_nanos()).unwrap_or(u64::MAX),
        "host_calls": calls.collect::<Map<_, _>>(),
        "allocations": cost.allocations,
        "allocated_bytes": cost.allocated,
        "memory_growth_bytes": cost.memory_growth,
    })
}
