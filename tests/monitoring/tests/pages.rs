//! The dashboards in a browser, over everything that `make monitor` starts: no panel of any of them is in error, and all that the traffic
//! moves have data. They are looked at twice: as the page of `make monitor` draws them, and as Grafana's own components do
//! (`tests/monitoring/grafana`). Wants ports of its own: `make test-monitor` gives it a network.

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

/// Who draws a dashboard: a path on the page's server.
#[derive(Clone, Copy)]
struct Drawn(&'static str);

const BY_OURSELVES: Drawn = Drawn("");
const BY_GRAFANAS_COMPONENTS: Drawn = Drawn("grafana/");

fn address(Drawn(path): Drawn, dashboard: &str) -> String {
    format!("{PAGE}/{path}?scrape=5&seconds=600&once=1&dashboard={dashboard}")
}

/// Puts the page with Grafana's components, which `make test-monitor` has built, beside ours.
fn serve_grafanas_components() {
    let to = workspace().join(".run/monitor/page").join(BY_GRAFANAS_COMPONENTS.0);
    std::fs::create_dir_all(&to).expect("a folder");
    for file in std::fs::read_dir(workspace().join("target/tmp/grafana-page")).expect("it is built").flatten()
    {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
    }
}

/// What the page says of each panel: its state, and the error if it is one.
fn report(drawn: Drawn, dashboard: &str) -> BTreeMap<String, (String, String)> {
    let page = browse(&address(drawn, dashboard), &["--dump-dom"]);
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
fn wrong(drawn: Drawn, dashboard: &str) -> Vec<String> {
    let panels = report(drawn, dashboard);
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

fn screenshot(drawn: Drawn, dashboard: &str, into: &Path) {
    let file = format!("--screenshot={}", into.join(format!("{dashboard}.png")).display());
    browse(&address(drawn, dashboard), &["--window-size=1410,1300", &file]);
}

/// Looks at all dashboards until nothing is wrong with any of them; how many panels they have.
fn look_at_all(drawn: Drawn, names: &[String]) -> usize {
    let (mut left, mut last) = (names.to_vec(), Vec::new());
    eventually_within(LONGEST, "every panel has data", || {
        left.retain(|name| {
            let found = wrong(drawn, name);
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
    names.iter().map(|name| report(drawn, name).len()).sum()
}

#[test]
fn no_panel_of_any_dashboard_is_in_error_and_traffic_moves_all_of_them() {
    let _monitor = Monitor::start();
    eventually_within(LONGEST, "the page is served", || {
        ureq::get(&format!("{PAGE}/dashboards.json")).call().is_ok()
    });
    let names = dashboards();
    assert_eq!(names.len(), 20, "{names:?}");
    let panels = look_at_all(BY_OURSELVES, &names);
    println!("{} dashboards, {panels} panels, 0 in error", names.len());
    serve_grafanas_components();
    let drawn = look_at_all(BY_GRAFANAS_COMPONENTS, &names);
    println!("drawn with Grafana's components: {} dashboards, {drawn} panels, 0 in error", names.len());
    assert_eq!(drawn, panels);
    if let Some(folder) = std::env::var_os("PORTCULLIS_SCREENSHOTS") {
        let (ours, of_all) = (Path::new(&folder), Path::new(&folder).join("grafana"));
        ["gateway-overview", "security-monitoring"]
            .iter()
            .for_each(|name| screenshot(BY_OURSELVES, name, ours));
        names.iter().for_each(|name| screenshot(BY_GRAFANAS_COMPONENTS, name, &of_all));
    }
}
