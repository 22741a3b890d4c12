//! The filter in a listener: whether it is there, whether it is first, what happens if it cannot run.

use super::Finding;
use super::dump::{Dump, Listener, list};
use serde_json::Value;

/// Filters that may stand before ours: they neither answer nor change a request, save that gRPC-Web becomes gRPC and
/// answers are compressed.
const HARMLESS: [&str; 6] = [
    "envoy.filters.http.compressor",
    "envoy.filters.http.grpc_web",
    "istio.metadata_exchange",
    "envoy.filters.http.grpc_stats",
    "istio.stats",
    "envoy.filters.http.peer_metadata",
];

/// Our filter, as some listener has it.
pub(super) struct Plugin<'a> {
    /// The listener and the filter's place there.
    pub at: String,
    /// `envoy.extensions.wasm.v3.PluginConfig`.
    pub config: &'a Value,
    /// Its policy.
    pub policy: Value,
}

/// Our filters in a listener, in their order, and what is to be said of them. There are several where each has a concern of its own.
pub(super) fn of<'a>(listener: &Listener<'a>, dump: &Dump<'a>) -> (Vec<Plugin<'a>>, Vec<Finding>) {
    let filters: Vec<_> = list(&listener.manager["http_filters"]).collect();
    let numbered = filters.iter().enumerate();
    let found = numbered.filter_map(|(index, filter)| {
        let typed = typed_config(filter, dump)?;
        Some((index, ours(typed, || format!("listener {}, http_filters[{index}]", listener.name))?))
    });
    let (places, plugins): (Vec<usize>, Vec<Plugin<'_>>) = found.unzip();
    let (Some(first), Some(plugin)) = (places.first(), plugins.first()) else {
        return (Vec::new(), missing(listener, &filters, dump));
    };
    let mut findings = vec![Finding::good(plugin.at.clone(), "the filter, with its policy")];
    findings.extend(before(plugin, &filters[..*first]));
    findings.extend(plugins.iter().map(failure));
    (plugins, findings)
}

/// A filter's configuration, as it stands there or as it was sent.
fn typed_config<'a>(filter: &'a Value, dump: &Dump<'a>) -> Option<&'a Value> {
    if filter["config_discovery"].is_null() {
        return Some(&filter["typed_config"]);
    }
    dump.extension(filter["name"].as_str()?)
}

/// It is ours if it is wasm and its configuration is a policy.
fn ours(typed: &Value, at: impl FnOnce() -> String) -> Option<Plugin<'_>> {
    let config = &typed["config"];
    let text = config["configuration"]["value"].as_str()?;
    let policy: Value = serde_json::from_str(text).ok()?;
    let is_policy =
        policy["version"].is_u64() && policy["services"].is_object() && policy["routes"].is_array();
    is_policy.then(|| Plugin { at: at(), config, policy })
}

/// A listener without the filter, and a plugin that is none because its image could not be had.
fn missing(listener: &Listener<'_>, filters: &[&Value], dump: &Dump<'_>) -> Vec<Finding> {
    let at = format!("listener {}", listener.name);
    let stand_in = filters.iter().find_map(|filter| Some((*filter, stand_in(filter, dump)?)));
    if let Some((filter, does)) = stand_in {
        let found = format!("`{}` as a filter that {does}", filter["name"].as_str().unwrap_or("?"));
        let expected = "the module: its image is missing, broken, or has another digest";
        return vec![Finding::wrong(at, found, expected)];
    }
    let names: Vec<_> = filters.iter().filter_map(|filter| filter["name"].as_str()).collect();
    let found = format!("no filter of ours among {}", names.join(", "));
    vec![Finding::wrong(at, found, "the filter: what comes in here passes unfiltered")]
}

/// What Istio's agent has put in the place of a plugin whose image it could not get: rules without content deny every request, no rules
/// none.
fn stand_in(filter: &Value, dump: &Dump<'_>) -> Option<&'static str> {
    let typed = typed_config(filter, dump)?;
    let is_stand_in = !filter["config_discovery"].is_null() && typed["@type"].as_str()?.ends_with(".RBAC");
    let does = if typed["rules"].is_null() {
        "lets every request pass unfiltered"
    } else {
        "denies every request (403)"
    };
    is_stand_in.then_some(does)
}

fn before(plugin: &Plugin<'_>, earlier: &[&Value]) -> Option<Finding> {
    let names = earlier.iter().filter_map(|filter| filter["name"].as_str());
    let acting: Vec<_> = names.filter(|name| !HARMLESS.contains(name)).collect();
    let found = || format!("{} before it", acting.join(", "));
    let expected = "the filter first: what these answer or change it neither judges nor counts as it was";
    (!acting.is_empty()).then(|| Finding::wrong(plugin.at.clone(), found(), expected))
}

fn failure(plugin: &Plugin<'_>) -> Finding {
    let policy = plugin.config["failure_policy"].as_str().unwrap_or("UNSPECIFIED");
    let is_open = policy == "FAIL_OPEN" || plugin.config["fail_open"] == true;
    let at = format!("{}, failure_policy", plugin.at);
    match policy {
        _ if is_open => {
            Finding::wrong(at, "FAIL_OPEN", "FAIL_RELOAD: after a trap every request passes unfiltered")
        }
        "FAIL_RELOAD" => Finding::good(at, "FAIL_RELOAD: 503 for about a second after a trap"),
        other => Finding::wrong(
            at,
            other,
            "FAIL_RELOAD: after a trap a worker answers 503 until its configuration changes",
        ),
    }
}
