//! Filters that Envoy was sent apart from their listener: whether it has taken the last one.
//!
//! For those, Envoy's configuration dump shows what was sent last, refused or not, and says nothing of a refusal. Its stats do: the
//! time of the last update that was taken stands behind the time of the last one that came.

use super::Finding;
use super::dump::Dump;
use serde_json::Value;
use std::time::UNIX_EPOCH;

const STATS: &str = "extension_config_discovery.http_filter.";

pub(super) fn check(dump: &Dump<'_>, stats: &str) -> Vec<Finding> {
    dump.extensions().map(|entry| of(entry, stats)).collect()
}

fn of(entry: &Value, stats: &str) -> Finding {
    let name = entry["ecds_filter"]["name"].as_str().unwrap_or("?");
    let at = format!("plugin {name}");
    let Some(taken) = stat(stats, name, "update_time") else {
        let expected = "those of the plugin's updates (`proxyStatsMatcher` must include `extension_config_discovery`): without \
            them nobody can tell whether an update was refused";
        return Finding::wrong(at, "no stats `extension_config_discovery.*`", expected);
    };
    let came = entry["last_updated"].as_str().unwrap_or_default();
    if milliseconds(came).is_some_and(|came| came > u128::from(taken)) {
        let refused = stat(stats, name, "update_rejected").unwrap_or(0);
        let found = format!(
            "an update of {came} refused, the {refused}. refusal; what the dump shows is not what serves"
        );
        return Finding::wrong(at, found, "no refused update: what served before it serves on");
    }
    Finding::good(at, format!("its update of {came} was taken"))
}

fn stat(stats: &str, name: &str, what: &str) -> Option<u64> {
    let of_name =
        |line: &str| Some(line.strip_prefix(STATS)?.strip_prefix(name)?.strip_prefix('.')?.to_owned());
    let value = |line: String| line.strip_prefix(what)?.strip_prefix(": ")?.trim().parse().ok();
    stats.lines().filter_map(of_name).find_map(value)
}

fn milliseconds(time: &str) -> Option<u128> {
    let time = humantime::parse_rfc3339(time).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis())
}
