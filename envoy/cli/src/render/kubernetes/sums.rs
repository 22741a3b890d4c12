//! Recording rules for whoever scrapes the proxies themselves: there the sums of histograms are counters of whole microseconds, and the
//! usual queries want `_sum` in seconds.

use super::File;
use portcullis_pipeline::GatewayMetrics;
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ABOUT: &str = "For Prometheus (rule_files, or the spec of a PrometheusRule), where it scrapes the pods: what GET /metrics has in\n\
    seconds, Envoy's own endpoint has in microseconds.";
const MICROSECONDS: &str = "_microseconds_sum";

/// A rule for each histogram that the policy makes.
pub fn sums(policy: &Policy) -> File {
    let rules: Vec<_> = names(policy).iter().map(|name| rule(name)).collect();
    let groups = json!({ "groups": [{ "name": "portcullis-sums", "rules": rules }] });
    File { name: "recording-rules.yaml", about: ABOUT, objects: vec![groups], is_resource: false }
}

fn rule(histogram: &str) -> Value {
    json!({ "record": format!("{histogram}_seconds_sum"), "expr": format!("{histogram}{MICROSECONDS} / 1e6") })
}

/// Names of histograms without their unit. `check` has refused a policy whose series do not fit.
fn names(policy: &Policy) -> BTreeSet<String> {
    let Ok(metrics) = GatewayMetrics::build(policy) else { return BTreeSet::new() };
    // Labels stand before a stat's name.
    let name = |stat: String| stat.rsplit(";.;").next()?.strip_suffix(MICROSECONDS).map(str::to_owned);
    metrics.registry().stats_from(0).filter_map(|stat| name(stat.name)).collect()
}
