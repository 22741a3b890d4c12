//! A stock Envoy: the same scenario, on what the harness imitates.
//!
//! Its clocks stand still and move only where the scenario says so, as the harness's do; so nothing depends on how fast the
//! machine is. What is under way is waited for by its events (a worker's answer on a listener of its own, the number of
//! requests that clusters have open), never by sleeping.

mod arrivals;
mod bootstrap;
mod client;
mod clients;
mod grpc;
mod http1;
mod logs;
mod names;
mod pace;
mod peer;
mod proxy;
mod reading;
mod running;
mod shared;
mod tcp;
mod tls;

use portcullis_e2e::{Envoy, EnvoyConfig, EnvoyError};
use std::time::{Duration, SystemTime};

use super::Ran;
use crate::plan::Plan;
use crate::seen::Seen;

/// A start that takes longer never ends, or the machine is far too busy.
const START: Duration = Duration::from_secs(300);
/// Files are flushed when they are asked for, not by time.
const FLUSH: Duration = Duration::from_secs(24 * 3600);

/// The version that the harness behaves as.
const VERSION: &str = "1.40.";

/// The version of the Envoy that is found, if it is another than the harness behaves as.
#[must_use]
pub fn other_version() -> Option<String> {
    let told =
        std::process::Command::new(portcullis_e2e::try_binary().ok()?).arg("--version").output().ok()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let version = told
        .split('/')
        .find(|part| part.starts_with(|first: char| first.is_ascii_digit()) && part.contains('.'))?;
    (!version.starts_with(VERSION)).then(|| version.to_owned())
}

/// Runs a scenario on Envoy.
pub fn envoy(plan: &Plan) -> Ran {
    let peers = match peer::Peers::start(plan) {
        Ok(peers) => peers,
        Err(error) => return Ran::never(format!("no upstreams: {error}")),
    };
    match Envoy::try_start(config(plan, &peers)) {
        Ok(envoy) => running::steps(plan, envoy, &peers),
        Err(EnvoyError::Ended { log, status }) => refused(plan, &log, &status.to_string()),
        Err(error) => Ran::never(error.to_string()),
    }
}

fn config(plan: &Plan, peers: &peer::Peers) -> EnvoyConfig {
    let reloads = plan.steps.iter().any(|step| matches!(step.action, crate::plan::Action::Reload { .. }));
    let configurations: Vec<_> = plan.plugins.iter().map(|plugin| plugin.config.clone()).collect();
    let listener = bootstrap::listener(plan, &configurations);
    let (bootstrap, discovery) = bootstrap::bootstrap(plan, peers, &listener, reloads);
    let config = EnvoyConfig::json(bootstrap)
        .workers(u32::try_from(plan.workers).unwrap_or(1))
        .frozen_at(SystemTime::UNIX_EPOCH + plan.clock)
        .ready_within(START)
        .flush_every(FLUSH)
        .argument("--log-format")
        .argument(logs::FORMAT)
        .argument("--log-format-escaped")
        // A plugin that is replaced ends at once, as on the harness.
        .argument("--drain-time-s")
        .argument("0")
        .argument("--component-log-level")
        .argument(format!("wasm:{}", logs::level(plan.log_level)));
    let config = config.env(names::VARIABLE, peers.name_server().to_string());
    let environment = plan.plugins.iter().flat_map(|plugin| &plugin.env);
    let config = environment.fold(config, |config, (name, value)| config.env(name, value));
    discovery.into_iter().fold(config, |config, text| config.file(bootstrap::DISCOVERY, &text))
}

/// Envoy has ended before it served: because a plugin refused its configuration, or for a reason of its own.
fn refused(plan: &Plan, log: &str, status: &str) -> Ran {
    let lines: Vec<_> = log.lines().map(|line| line.strip_prefix("stderr| ").unwrap_or(line)).collect();
    let is_refusal = ["Unable to create Wasm", "failed to configure", "Failed to configure", "plugin"];
    let refusal = logs::complaints(lines.iter().copied());
    if !is_refusal.iter().any(|text| log.contains(text)) {
        let why = if refusal.is_empty() { log.to_owned() } else { refusal.join("\n") };
        return Ran::never(format!("Envoy ended with {status} before it served:\n{why}"));
    }
    let logs = lines.iter().filter_map(|line| logs::of_plugin(line, plan)).collect();
    let traps = lines.iter().filter_map(|line| logs::trap_of(line)).collect();
    let start = Seen { refused: Some(true), refusal, logs, traps, ..Seen::default() };
    Ran { start, ..Ran::default() }
}
