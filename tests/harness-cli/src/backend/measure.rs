//! Figures of a scenario on the harness: what its callbacks cost, and how it bears many streams at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use portcullis_harness::{Profile, Proxy};

use super::Ran;
use super::built::builder;
use super::harness::{Modules, Running};
use super::sendable::sendable;
use crate::plan::Plan;

/// Runs a scenario and counts what its callbacks cost; the start, too, if that is asked for.
///
/// # Errors
/// Why it could not start.
pub fn profiled(plan: &Plan, modules: &Modules, with_start: bool) -> Result<(Ran, Profile), String> {
    let builder = builder(plan, modules).map_err(|error| error.to_string())?;
    let mut proxy = builder.profiled().only_worker_vms().build().map_err(|error| error.to_string())?;
    if !with_start {
        proxy.reset_profile();
    }
    let mut running = Running::new(proxy, plan);
    let ran = running.steps();
    Ok((ran, running.proxy.profile()))
}

/// How a scenario bore a load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests that came to their end.
    pub requests: usize,
    /// How long all of them took.
    pub took: Duration,
    /// Bytes of memory of all VMs, before and behind.
    pub memory_before: u64,
    /// As `memory_before`, behind the last request.
    pub memory: u64,
}

/// Sends the scenario's requests in turn, so many streams at a time; `None` if it has none.
///
/// # Errors
/// Why it could not run.
pub fn bench(
    plan: &Plan,
    modules: &Modules,
    streams: usize,
    requests: usize,
) -> Result<Option<Load>, String> {
    let own: Vec<_> = plan.requests().map(sendable).collect();
    if own.is_empty() || plan.refused.is_some() {
        return Ok(None);
    }
    let builder = builder(plan, modules).map_err(|error| error.to_string())?;
    let mut proxy = builder.build().map_err(|error| format!("{}: {error}", plan.name))?;
    let memory = |proxy: &Proxy| proxy.memory().iter().sum::<u64>();
    let memory_before = memory(&proxy);
    let (began, mut open, mut ended) = (Instant::now(), VecDeque::new(), 0);
    for request in own.iter().cycle().take(requests) {
        open.push_back(proxy.start(request.clone()));
        if open.len() < streams.max(1) {
            continue;
        }
        if let Some(handle) = open.pop_front() {
            proxy
                .finish_within(&handle, super::LONGEST)
                .map_err(|error| format!("{}: {error}", plan.name))?;
            ended += 1;
        }
    }
    for handle in open {
        proxy.finish_within(&handle, super::LONGEST).map_err(|error| format!("{}: {error}", plan.name))?;
        ended += 1;
    }
    let took = began.elapsed();
    Ok(Some(Load { requests: ended, took, memory_before, memory: memory(&proxy) }))
}
