//! The way of a log line: the gateway writes it to its standard output, a collector reads, parses and ships it, Loki keeps it. A line has
//! three labels (`service`, `level`, `action`: a few dozen streams, whatever clients do); everything else of it is structured metadata, by
//! which it is found and which makes no streams.

mod collector;
mod loki;
mod stored;

pub use collector::config as collector;
pub use loki::{alerts, config as loki, rules};
pub use stored::rules as stored;

use crate::rule::Rule;
use crate::settings::Settings;

/// The labels of a stream.
pub const LABELS: [&str; 3] = ["service", "level", "action"];

/// The actions of lines that are security events.
pub use portcullis_access_log::ACTIONS as SECURITY_ACTIONS;

/// An alert on lines. Each ruler has the query in its own language.
fn alert(name: &str, expr: String, severity: &str, dashboard: &str, settings: &Settings) -> Rule {
    Rule { alert: name.to_owned(), expr, ..Rule::default() }
        .label("severity", severity)
        .annotated("dashboard_url", format!("{}/{dashboard}", settings.dashboards()))
        .annotated("runbook_url", settings.runbook(name))
}

/// The alert by user.
pub const BY_USER: &str = "UserRefusedOften";

/// Those of the alerts that can fire: where lines have no users, none by user.
fn possible(alerts: impl IntoIterator<Item = Rule>, has_users: bool) -> Vec<Rule> {
    alerts.into_iter().filter(|rule| has_users || rule.alert != BY_USER).collect()
}

fn refused_often(expr: String, settings: &Settings) -> Rule {
    let description = "{{ $value }} requests of one user ended in a 4xx within 10 minutes: a client gone wrong, or an account in other hands.";
    alert(BY_USER, expr, "warning", "authentication-analytics", settings)
        .annotated("summary", "{{ $labels.user }} is refused again and again")
        .annotated("description", description)
}

fn token_in_log(expr: String, settings: &Settings) -> Rule {
    let description = "{{ $value }} lines of the gateway within 5 minutes have what looks like a signed token. Nothing of the gateway writes one: find out what does, and revoke it.";
    alert("TokenInLog", expr, "critical", "security-events", settings)
        .annotated("summary", "A token stands in a log line")
        .annotated("description", description)
}
