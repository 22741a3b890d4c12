//! Rows that show what is left of the error budgets that a dashboard is about.

use super::model::{Dashboard, Kind, Limit, Panel, Unit, row};
use crate::query;

/// The title of such a row.
pub const TITLE: &str = "Objectives";

/// Which objectives each dashboard concerns, by the label `slo` of their series.
const CONCERNS: &[(&str, &[&str])] = &[
    ("Gateway Overview", &["availability", "latency", "errors"]),
    ("Service Routing", &["availability", "routing", "header_injection"]),
    ("Service Health", &["availability", "latency", "breakers"]),
    ("API Performance", &["latency"]),
    ("Dependency Map", &["routing"]),
    ("Authentication Flow", &["authentication"]),
    ("Authentication Analytics", &["authentication"]),
    ("Authentication Performance", &["auth_calls"]),
    ("Integration Health", &["auth_calls", "breakers"]),
    ("Security Overview", &["authentication", "availability", "audit"]),
    ("Access Control", &["authentication"]),
    ("Security Monitoring", &["breakers", "header_injection", "audit"]),
    ("Security Events", &["authentication", "audit", "critical_incidents"]),
    ("Trading Operations", &["orders"]),
    ("Business User Analytics", &["orders"]),
    ("Portfolio Insights", &["latency"]),
    ("User Analytics", &["authentication"]),
    ("Infrastructure Health", &["cpu", "memory"]),
    ("Kubernetes Overview", &["cpu", "memory"]),
    ("Cost Tracking", &["cpu", "memory"]),
];

/// Adds the row, if any of the objectives that the dashboard concerns is among those that are watched.
pub fn add(dashboard: &mut Dashboard, objectives: &[&str]) {
    let concern = CONCERNS.iter().find(|(title, _)| *title == dashboard.title);
    let names = concern.map_or(&[][..], |(_, names)| *names);
    let names: Vec<&str> = names.iter().copied().filter(|name| objectives.contains(name)).collect();
    if !names.is_empty() {
        dashboard.rows.push(row(TITLE, names.into_iter().map(panel).collect()));
    }
}

/// Objectives of which nothing may be missed: what is counted on both sides must be the same.
const INVARIANTS: [&str; 3] = ["header_injection", "audit", "critical_incidents"];

fn panel(name: &str) -> Panel {
    let words = name.replace('_', " ");
    if INVARIANTS.contains(&name) {
        return invariant(name, &words);
    }
    let description = format!(
        "What is left of the errors that the objective for {words} allows in 30 days: 100 % is all of it, below 0 the objective is missed."
    );
    let expr = query!(r#"min(slo:error_budget:remaining_ratio30d{slo="NAME"})"#).replace("NAME", name);
    Panel::totals(Kind::Stat, &format!("Budget left: {words}"), Unit::Budget, &description)
        .once("", expr)
        .limit(Limit::Below(0.0))
        .wide(6)
}

fn invariant(name: &str, words: &str) -> Panel {
    let description = format!(
        "By how much the objective for {words} is missed, of which nothing may be. Anything but 0 is a fault."
    );
    let expr = query!(r#"max(slo:invariant:difference{slo="NAME"})"#).replace("NAME", name);
    Panel::totals(Kind::Stat, &format!("Missed: {words}"), Unit::Count, &description)
        .once("", expr)
        .limit(Limit::Above(1.0))
        .wide(6)
}
