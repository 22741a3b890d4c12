//! Every declared metric family is moved by a scenario: one that nobody can move is one that nobody has seen work.

use portcullis_harness_cli::model::Side;
use portcullis_harness_cli::plan::Modules;
use portcullis_harness_cli::run::{Options, Report, run};
use portcullis_harness_cli::{files, report};
use portcullis_pipeline::families;
use std::collections::BTreeSet;

/// Gauges that are what they were from the start.
const TOLD_AT_THE_START: [&str; 3] =
    ["portcullis_build_info", "portcullis_metric_series_limit", "auth_concurrent_requests"];

/// The module in the harness, asked thousands of times.
const IN_HARNESS: &str = "tests/e2e/tests/tokens/in_harness.rs";

/// Families that only thousands of clients or tokens move, or a worker that does not run, and the test that moves them.
const MOVED_ELSEWHERE: [(&str, &str); 8] = [
    ("gateway_jwt_waiting_refused_total", "tests/e2e/tests/tokens/waiting.rs"),
    ("gateway_jwt_negative_cache_evictions_total", IN_HARNESS),
    ("gateway_jwt_cache_evictions_total", IN_HARNESS),
    ("gateway_rate_limit_crowded_total", IN_HARNESS),
    ("portcullis_cells_evicted_total", IN_HARNESS),
    ("portcullis_cells_refused_total", IN_HARNESS),
    ("portcullis_metric_series_overflow_total", "tests/e2e/tests/gateway/metrics_over_time.rs"),
    ("portcullis_ticks_late_total", "tests/e2e/tests/gateway/conservation.rs"),
];

/// Whether another test than a scenario says how far it moves.
fn is_moved_elsewhere(name: &str) -> bool {
    let file = MOVED_ELSEWHERE.iter().find(|(family, _)| *family == name).map(|(_, file)| file);
    let text = file.map(|file| std::fs::read_to_string(portcullis_e2e::workspace().join(file)));
    text.is_some_and(|text| text.expect("the file of the test").contains(name))
}

fn scenarios() -> Vec<Report> {
    let folder = portcullis_e2e::workspace().join("tests/scenarios");
    let of_the_gateway =
        ["gateway", "tokens", "guards", "hardening", "business"].map(|name| folder.join(name));
    let files = files::scenarios(&of_the_gateway).expect("there are scenarios");
    let module = portcullis_e2e::module();
    let modules =
        Modules { folders: vec![module.parent().expect("a folder").to_owned()], ..Modules::default() };
    let options = Options { sides: vec![Side::Harness], modules, jobs: 2, filter: None, colour: false };
    run(&files, &options, &Default::default(), &|_| ())
}

#[test]
fn every_family_is_moved_by_a_scenario() {
    let reports = scenarios();
    let failed: Vec<_> = reports.iter().filter(|report| !report.passed()).map(report::told).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let moved: BTreeSet<&str> = reports.iter().flat_map(|report| &report.moved).map(String::as_str).collect();
    let is_moved = |name: &str| match name.split_once("{service}") {
        Some((_, suffix)) => moved.iter().any(|seen| is_of(seen, suffix) && !seen.starts_with("gateway_")),
        None => moved.iter().any(|seen| is_of(seen, name)),
    };
    let names = families().map(|(_, family)| family.name);
    let still: Vec<_> = names.filter(|name| !is_moved(name) && !TOLD_AT_THE_START.contains(name)).collect();
    let still: Vec<_> = still.into_iter().filter(|name| !is_moved_elsewhere(name)).collect();
    assert!(still.is_empty(), "no scenario moves {still:#?}");
}

/// A histogram is kept in counters of other names.
fn is_of(stat: &str, family: &str) -> bool {
    stat.ends_with(family) || stat.strip_suffix("_count").is_some_and(|base| base.ends_with(family))
}
