//! The dashboards in a browser, over everything that `make monitor` starts: no panel of any of them is in error, and all that the traffic
//! moves have data. Wants ports of its own: `make test-monitor` gives it a network.

use portcullis_e2e::{chromium, eventually_within, workspace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PAGE: &str = "http://127.0.0.1:8090";
/// From the gateway's start until a rule that is evaluated every 2 minutes has been, and every kind of traffic has come by.
const LONGEST: Duration = Duration::from_secs(420);

/// Panels that have nothing to show here: what they would say does not happen in `make monitor`, or not on one machine.
const EMPTY: &[&str] = &[
    "Budget left: cpu",
    "Budget left: memory",
    "Missed: audit",
    "Tokens that shadow mode let pass",
    "Events not read whole",
    "Network traffic",
    // The auth service is called by nobody.
    "auth: errors",
    "auth: p95",
    "auth: statuses",
    "Log lines a month",
];

/// Dashboards of a cluster, which there is none of.
const CLUSTER: [&str; 2] = ["kubernetes-overview", "cost-tracking"];

struct Monitor(Child);

impl Monitor {
    fn start() -> Self {
        let log = File::create(std::env::temp_dir().join("portcullis-monitor.log")).expect("a log");
        let mut command = Command::new(workspace().join("envoy/monitoring/monitor.sh"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn browse(url: &str, more: &[&str]) -> String {
    let fixed =
        ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=15000"];
    let mut browser = Command::new(chromium());
    browser.args(fixed).args(more).arg(url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut browser = browser.spawn().expect("it starts");
    let mut text = String::new();
    browser.stdout.take().expect("it is piped").read_to_string(&mut text).expect("text");
    let _ = browser.wait();
    text
}

fn address(dashboard: &str) -> String {
    format!("{PAGE}/?scrape=5&seconds=600&once=1&dashboard={dashboard}")
}

/// What the page says of each panel: its state, and the error if it is one.
fn report(dashboard: &str) -> BTreeMap<String, (String, String)> {
    let page = browse(&address(dashboard), &["--dump-dom"]);
    let report =
        page.split("data-report=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let report: Value = serde_json::from_str(&report.replace("&quot;", "\"")).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let panels = report.as_array().into_iter().flatten();
    panels.map(|panel| (text(&panel["title"]), (text(&panel["state"]), text(&panel["error"])))).collect()
}

fn dashboards() -> Vec<String> {
    let folder = workspace().join(".run/monitor/page/dashboards");
    let files = std::fs::read_dir(folder).expect("the page's files").flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| file.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Panels of a dashboard that are not as they should be.
fn wrong(dashboard: &str) -> Vec<String> {
    let panels = report(dashboard);
    if panels.is_empty() {
        return vec![format!("{dashboard}: the page says nothing")];
    }
    let may_be_empty = |title: &str| EMPTY.contains(&title) || CLUSTER.contains(&dashboard);
    let is_wrong = |(title, (state, error)): (String, (String, String))| match state.as_str() {
        "data" => None,
        "nothing" if may_be_empty(&title) => None,
        _ => Some(format!("{dashboard} / {title}: {state} {error}")),
    };
    panels.into_iter().filter_map(is_wrong).collect()
}

fn screenshot(dashboard: &str, into: &Path) {
    let file = format!("--screenshot={}", into.join(format!("{dashboard}.png")).display());
    browse(&address(dashboard), &["--window-size=1400,1000", &file]);
}

#[test]
fn no_panel_of_any_dashboard_is_in_error_and_traffic_moves_all_of_them() {
    let _monitor = Monitor::start();
    eventually_within(LONGEST, "the page is served", || {
        ureq::get(&format!("{PAGE}/dashboards.json")).call().is_ok()
    });
    let names = dashboards();
    assert_eq!(names.len(), 20, "{names:?}");
    let mut left: Vec<String> = names.clone();
    let mut last = Vec::new();
    eventually_within(LONGEST, "every panel has data", || {
        left.retain(|name| {
            let found = wrong(name);
            let is_wrong = !found.is_empty();
            if is_wrong {
                last = found;
            }
            is_wrong
        });
        if !left.is_empty() {
            println!("not yet: {last:?}");
        }
        left.is_empty()
    });
    let panels: usize = names.iter().map(|name| report(name).len()).sum();
    println!("{} dashboards, {panels} panels, 0 in error", names.len());
    if let Some(folder) = std::env::var_os("PORTCULLIS_SCREENSHOTS") {
        ["gateway-overview", "security-monitoring"]
            .iter()
            .for_each(|name| screenshot(name, Path::new(&folder)));
    }
}
