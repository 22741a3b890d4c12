//! The way of a log line: the gateway writes it to its standard output, a collector reads, parses and ships it, Loki keeps it. A line has
//! three labels (`service`, `level`, `action`: a few dozen streams, whatever clients do); everything else of it is structured metadata, by
//! which it is found and which makes no streams.

mod collector;
mod loki;
mod stored;

pub use collector::config as collector;
pub use loki::{config as loki, rules};
pub use stored::rules as stored;

use serde_json::{Value, json};

/// The labels of a stream.
pub const LABELS: [&str; 3] = ["service", "level", "action"];

/// The actions of lines that are security events.
pub use portcullis_access_log::ACTIONS as SECURITY_ACTIONS;

fn alert(name: &str, expr: &str, severity: &str, summary: &str, description: &str) -> Value {
    json!({
        "alert": name, "expr": expr, "labels": { "severity": severity },
        "annotations": { "summary": summary, "description": description },
    })
}

fn refused_often(expr: &str) -> Value {
    let description = "{{ $value }} refusals of one user within 10 minutes: a client gone wrong, or an account in other hands.";
    alert("UserRefusedOften", expr, "warning", "{{ $labels.user }} is refused again and again", description)
}

fn token_in_log(expr: &str) -> Value {
    let description = "A line of the gateway has what looks like a signed token. Nothing of the gateway writes one: find out what does, and revoke it.";
    alert("TokenInLog", expr, "critical", "A token stands in a log line", description)
}
