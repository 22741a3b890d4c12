//! The panels of log lines: the lines of the hour go through the rendered collector into a log store, which is asked what the dashboards
//! ask. They ask in LogQL, and the store here speaks LogsQL: the page of `make monitor` translates the one into the other, and here does so too.

use crate::compare::{Tally, with_variables};
use crate::event::Event;
use crate::script::Hour;
use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{ReservedPort, eventually_within};
use portcullis_monitoring::dashboards::{Dashboard, Site, Source};
use portcullis_monitoring::{Settings, render};
use portcullis_monitoring_tests::in_logsql;
use portcullis_monitoring_tests::stack::{LogFile, Logs};
use portcullis_policy::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Counts by the values of labels, joined.
type Counts = BTreeMap<String, usize>;

/// A security event of a request: action, reason, mode, and whether it was refused for it, or would have been.
type Logged = (&'static str, &'static str, &'static str, bool);

/// The user whom a good token names.
fn user(event: &Event) -> Option<&'static str> {
    let partner = event.endpoint.starts_with("/api/v1/partner");
    event.is_good().then_some(if partner { "carol" } else { CUSTOMER.username })
}

/// The lines of security events that a request must have.
fn events_of(event: &Event) -> Vec<Logged> {
    let mut all = Vec::new();
    match event.token {
        Some(("failure", reason)) => all.push(("jwt_validation", reason, "enforce", true)),
        Some(("shadow_failure", reason)) => all.push(("jwt_validation", reason, "shadow", true)),
        _ => {}
    }
    if event.rules == Some("failure") {
        all.push(("access_control", "role_missing", "enforce", true));
    }
    all.extend(event.limit.map(|_| ("rate_limit_violation", "rate_limited", "enforce", true)));
    all.extend(event.shadow.map(|reason| ("rate_limit_violation", reason, "shadow", true)));
    all.extend(event.suspicious.map(|reason| ("suspicious_activity", reason, "enforce", true)));
    // Somebody who is noticed and refused for it has one line.
    let noted = event.noticed.filter(|noticed| event.suspicious != Some(noticed));
    all.extend(noted.map(|reason| ("suspicious_activity", reason, "enforce", false)));
    all
}

/// Lines about changes of a breaker: one that opened is tried once, and closes.
fn changes(events: &[Event]) -> usize {
    if events.iter().any(|event| event.refused_by_breaker.is_some()) { 3 } else { 0 }
}

/// What is refused is a warning; what was only noticed, or would have been refused, is none.
fn is_warning((_, _, mode, is_refusal): &Logged) -> bool {
    *is_refusal && *mode == "enforce"
}

/// What the panels with these titles must say. `pages` is how many requests there were for the gateway's own pages, which are scrapes and no
/// part of the ledger.
fn expected(events: &[Event], pages: usize) -> BTreeMap<&'static str, Counts> {
    let mut all: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut add = |title: &'static str, of: String, times: usize| {
        *all.entry(title).or_default().entry(of).or_default() += times;
    };
    add("Log lines by action", "request".to_owned(), pages);
    add("Log lines by action", "circuit_breaker_change".to_owned(), changes(events));
    for event in events {
        let lines = events_of(event);
        add("Log lines by action", "request".to_owned(), 1);
        for (action, reason, mode, is_refusal) in &lines {
            add("Log lines by action", (*action).to_owned(), 1);
            if *is_refusal {
                add("Refusals by rule and mode", format!("{action} {mode} {reason}"), 1);
            }
        }
        if let Some(user) = user(event) {
            add("Busiest users", user.to_owned(), 1);
            let warned = lines.iter().filter(|line| is_warning(line)).count()
                + usize::from((400..500).contains(&event.status));
            if warned > 0 {
                add("Users with refused requests", user.to_owned(), warned);
            }
        }
    }
    let users = all["Busiest users"].len();
    all.entry("Active users").or_default().insert(String::new(), users);
    all
}

/// Ships the lines of the hour.
fn shipped(folder: &Path, policy: &Policy, hour: &Hour) -> Logs {
    for (name, text) in render(policy, &Settings::default()).files {
        let path = folder.join("rendered").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("it can be written");
    }
    let file = LogFile::new(&folder.join("lines"));
    let lines: Vec<u8> = hour.lines.iter().flat_map(|line| [&line.0, b"\n".as_slice()].concat()).collect();
    std::fs::write(folder.join("lines/gateway.log"), lines).expect("it can be written");
    // Nothing is recorded here: nobody listens to the ruler.
    let mut logs = Logs::start(folder, &folder.join("rendered"), "127.0.0.1:9", ReservedPort::new(), 1);
    logs.start_collector(&file);
    let all = hour.lines.len();
    eventually_within(Duration::from_secs(120), "every line arrives", || {
        logs.count(r#"_time:2h service:="gateway""#) >= all
    });
    logs
}

fn counts(rows: &[Value]) -> Counts {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = |row: &Value| {
        let all = row.as_object().into_iter().flatten().filter(|(name, _)| *name != "value");
        let all: BTreeMap<_, _> = all.map(|(name, value)| (name, text(value))).collect();
        all.into_values().collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(|row| (labels(row), text(&row["value"]).parse().unwrap_or_default())).collect()
}

/// Asks every panel of log lines.
pub fn ask(dashboards: &[Dashboard], site: &Site, policy: &Policy, hour: &Hour) -> Tally {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = shipped(folder.path(), policy, hour);
    let mut tally = Tally::default();
    let is_page =
        |line: &&portcullis_e2e::Line| line.json().is_some_and(|line| line["extra"]["path"] == "/metrics");
    let expected = expected(&hour.events, hour.lines.iter().filter(is_page).count());
    let panels = dashboards.iter().flat_map(|dashboard| dashboard.rows.iter().flat_map(|row| &row.panels));
    let of_logs = panels.flat_map(|panel| panel.queries.iter().map(move |query| (&*panel.title, query)));
    let of_logs: Vec<_> = of_logs.filter(|(_, query)| query.source == Source::Logs).collect();
    let asked: Vec<_> = of_logs
        .iter()
        .map(|(_, query)| with_variables(&query.text(site), "1h").replace("$request_id", ".*"))
        .collect();
    for ((title, _), query) in of_logs.iter().zip(in_logsql(&asked)) {
        tally.panels += 1;
        let query = format!("_time:2h {query}");
        match expected.get(title) {
            Some(expected) => {
                let found = counts(&logs.ask(&query));
                if found != *expected {
                    tally.differences.push(format!("{title}: found {found:#?}, expected {expected:#?}"));
                }
            }
            None => {
                let (found, wanted) = (logs.count(&query), lines_of(title, &hour.events));
                if found != wanted {
                    tally.differences.push(format!("{title}: {found} lines, expected {wanted}"));
                }
            }
        }
    }
    tally
}

/// How many lines a panel of lines must have.
fn lines_of(title: &str, events: &[Event]) -> usize {
    let security: Vec<_> = events.iter().flat_map(events_of).collect();
    let failed = events.iter().filter(|event| event.status >= 400).count();
    match title {
        "Refusals and failures" => security.iter().filter(|line| is_warning(line)).count() + failed,
        _ => security.len() + changes(events),
    }
}
