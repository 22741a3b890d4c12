//! The whole Envoy: stats tags, virtual machines, what was counted.

use super::Finding;
use super::dump::{Dump, list};
use portcullis_pipeline::labels;

pub(super) fn check(dump: &Dump<'_>, stats: &str, is_loaded: bool) -> Vec<Finding> {
    let mut findings = vec![tags(dump)];
    if is_loaded {
        findings.push(machines(stats));
        findings.push(series(stats));
        findings.extend(failures(stats));
    }
    findings
}

/// Labels stay in the names of series whose tags the bootstrap does not cut out.
fn tags(dump: &Dump<'_>) -> Finding {
    let at = "bootstrap, stats_config.stats_tags";
    let tags = list(&dump.bootstrap()["stats_config"]["stats_tags"]);
    let has: Vec<_> = tags.filter_map(|tag| tag["tag_name"].as_str()).collect();
    let labels = labels();
    let missing: Vec<_> = labels.iter().filter(|label| !has.contains(label)).copied().collect();
    if missing.is_empty() {
        return Finding::good(at, format!("all {} labels of the metrics", labels.len()));
    }
    let found = format!("no {}", missing.join(", "));
    Finding::wrong(at, found, "every label: without its tag it stays in the series' names")
}

/// The value of a stat.
fn value(stats: &str, name: &str) -> Option<u64> {
    stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok())
}

fn machines(stats: &str) -> Finding {
    let at = "stats, wasm.envoy.wasm.runtime.v8.active";
    match value(stats, "wasm.envoy.wasm.runtime.v8.active") {
        Some(0) | None => {
            Finding::wrong(at, "no virtual machine", "one or more: the module is configured and not loaded")
        }
        Some(count) => Finding::good(at, format!("{count} virtual machines")),
    }
}

/// A module that runs has defined its series.
fn series(stats: &str) -> Finding {
    let count = stats.lines().filter(|line| line.starts_with("wasmcustom.")).count();
    match count {
        0 => Finding::wrong(
            "stats, wasmcustom.*",
            "no series",
            "those of the policy: no policy has been accepted by the module",
        ),
        _ => Finding::good("stats, wasmcustom.*", format!("{count} stats of the filter's")),
    }
}

/// What has gone wrong since this Envoy started.
fn failures(stats: &str) -> Vec<Finding> {
    let bad = [
        ("vm_reload_failure", "0: virtual machines that did not come back after a trap"),
        ("remote_load_fetch_failures", "0: the module could not be fetched"),
    ];
    let lines =
        stats.lines().filter(|line| line.starts_with("wasm.")).filter_map(|line| line.split_once(": "));
    let failed = lines.filter_map(|(name, count)| {
        let (_, expected) = bad.iter().find(|(end, _)| name.ends_with(end))?;
        let is_some = count.trim().parse::<u64>().is_ok_and(|count| count > 0);
        is_some.then(|| Finding::wrong(format!("stats, {name}"), count.trim(), *expected))
    });
    failed.collect()
}
