//! The frame of a runbook page: what the alert's rule says of itself. What to look at and what to do is written by people, below it.

use crate::render::every_alert;
use crate::rule::Rule;
use crate::settings::Settings;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- Made from the rule by `make rendered`. -->";
const END: &str = "<!-- Written by people from here on. -->";

/// What a page without written content begins with.
const UNWRITTEN: &str = "\n## What it means\n\n## First checks\n1. \n2. \n3. \n\n## What to do\n";

/// The page of an alert, with the written content of the page as it was.
#[must_use]
pub fn framed(alert: &str, page: &str) -> String {
    let settings = Settings::default();
    let rules: Vec<Rule> = every_alert(&settings).into_iter().filter(|rule| rule.alert == alert).collect();
    let written = page.split_once(END).map_or(UNWRITTEN, |(_, written)| written);
    let mut text = format!("# {alert}\n\n{BEGIN}\n");
    if let Some(first) = rules.first() {
        let _ = writeln!(text, "{}", facts(first, &rules));
    }
    rules.iter().for_each(|rule| text.push_str(&query(rule)));
    format!("{text}{END}\n\n{}\n", written.trim())
}

fn facts(first: &Rule, rules: &[Rule]) -> String {
    let text = |name: &str| first.annotations.get(name).map(String::as_str).unwrap_or_default();
    let dashboard = text("dashboard_url").rsplit('/').next().unwrap_or_default();
    let dashboard = match dashboard.contains('{') {
        true => "that of the objective, named by the label `dashboard`".to_owned(),
        false => format!("`{dashboard}`"),
    };
    let mut tiers: Vec<&str> =
        rules.iter().filter_map(|rule| rule.labels.get("severity")).map(String::as_str).collect();
    tiers.dedup();
    format!(
        "| | |\n|---|---|\n| tier | {} |\n| says | {} |\n| | {} |\n| dashboard | {dashboard} |\n",
        tiers.join(", "),
        cell(text("summary")),
        cell(text("description")),
    )
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn query(rule: &Rule) -> String {
    let window = rule
        .labels
        .get("window")
        .map(|window| format!(" (label `window` is `{window}`)"))
        .unwrap_or_default();
    let hold = match rule.hold.as_str() {
        "" => "It fires as soon as this has a result".to_owned(),
        hold => format!("It fires when this has had a result for {hold}"),
    };
    // Log lines are asked for in LogQL.
    let language = if rule.expr.contains("count_over_time({") { "logql" } else { "promql" };
    format!("{hold}{window}:\n\n```{language}\n{}\n```\n\n", rule.expr)
}

/// The list of all pages.
#[must_use]
pub fn index(alerts: &[String]) -> String {
    let mut text = "# Runbooks\n\nOne page an alert: its query, what it means, the first checks, what to do. The alerts are rendered by `portcullis render \
        monitoring`;\nwhat would have no data under a policy is left out there, and named. `envoy/monitoring/tests` shows when each fires \
        and when not.\n\n"
        .to_owned();
    for alert in alerts {
        let _ = writeln!(text, "- [{alert}]({alert}.md)");
    }
    text
}
