//! What came of a step, in the same words on both sides.

mod connection;
mod shared;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::plan::{Fields, Volatile};
use crate::trap::Trap;
use crate::verdict::Spent;

pub use connection::{Conversation, Ending, Got, Heard};
pub use shared::SharedSeen;

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What the client got; `None` in a step without a request.
    pub answer: Option<Answer>,
    /// What the clients of overlapping requests got, in the order in which they asked.
    pub answers: Vec<Answer>,
    /// What came of a TCP connection; `None` in a step without one.
    pub conversation: Option<Conversation>,
    /// VMs that failed.
    pub traps: Vec<Trap>,
    /// A callback never came back: what is known of it, which is not the same on both sides.
    pub hung: Option<String>,
    /// What upstreams saw, requests and callouts alike, by name.
    pub upstreams: BTreeMap<String, Vec<Call>>,
    /// Counters and gauges that moved, and by how much: `name{label=value,...}`.
    pub metrics: BTreeMap<String, i64>,
    /// What plugins logged.
    pub logs: Vec<Log>,
    /// Lines of the access log.
    pub access_log: Vec<String>,
    /// What was found in shared data and queues.
    pub shared: SharedSeen,
    /// Whether a new configuration was refused; `None` in a step without one.
    pub refused: Option<bool>,
    /// Why, in the words of the side; not compared.
    pub refusal: Vec<String>,
    /// What it cost, where that was counted; not compared.
    pub spent: Option<Spent>,
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// As it should.
    #[default]
    Complete,
    /// The stream broke before its end.
    Broken,
    /// It never ended: nothing came for as long as a step may last.
    Never,
    /// The client went away first.
    Left,
    /// What came is no HTTP: why.
    Invalid(String),
}

impl End {
    /// As expectations name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Broken => "broken",
            Self::Never => "never",
            Self::Left => "left",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// A line that a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The level's name.
    pub level: String,
    /// The text.
    pub text: String,
}

/// What a client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None` if the stream ended without.
    pub status: Option<u16>,
    /// Headers, names in lower case.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Fields,
    /// How it ended.
    pub end: End,
}

/// A request as an upstream saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Call {
    pub method: String,
    pub path: Vec<u8>,
    pub authority: Vec<u8>,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

/// All values of a header.
#[must_use]
pub fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let wanted = fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    wanted.map(|(_, value)| value.as_slice()).collect()
}

/// A metric's name with labels in Istio's convention (`label=.=value;.;` around a name), as Prometheus writes it:
/// `name{label=value}`, labels sorted.
#[must_use]
pub fn metric_name(stat: &str) -> String {
    let (mut labels, mut name) = (BTreeMap::new(), String::new());
    let mut rest = stat;
    while let Some((before, behind)) = rest.split_once("=.=") {
        let start = before.rfind(['.', ';']).map_or(0, |at| at + 1);
        let Some((value, after)) = behind.split_once(";.;") else { break };
        name.push_str(&before[..start]);
        labels.insert(&before[start..], value);
        rest = after;
    }
    name.push_str(rest);
    let name = name.trim_matches('.');
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

impl Seen {
    /// Everything as text, one fact a line, for people and for comparing; what differs from run to run is left out or
    /// stands under a name of its own (see `normal`).
    #[must_use]
    pub fn text(&self, volatile: &Volatile) -> String {
        let mut out = String::new();
        if let Some(answer) = &self.answer {
            answer_text(&mut out, "client", answer, volatile);
        }
        for (place, answer) in self.answers.iter().enumerate() {
            answer_text(&mut out, &format!("client {}", place + 1), answer, volatile);
        }
        if let Some(conversation) = &self.conversation {
            conversation.write(&mut out);
        }
        if let Some(refused) = self.refused {
            let _ = writeln!(out, "configuration: {}", if refused { "refused" } else { "taken" });
        }
        for trap in &self.traps {
            let _ = writeln!(out, "trap: {}", trap.title());
        }
        if self.hung.is_some() {
            let _ = writeln!(out, "a callback never comes back");
        }
        for (name, calls) in &self.upstreams {
            calls.iter().for_each(|call| call_text(&mut out, name, call, volatile));
        }
        for (name, by) in self.metrics.iter().filter(|(name, _)| !volatile.is_metric(name)) {
            let _ = writeln!(out, "metric {name}: {by:+}");
        }
        for log in &self.logs {
            let _ = writeln!(out, "log {}: {}", log.level, volatile.log(&crate::normal::text(&log.text)));
        }
        for line in &self.access_log {
            let _ = writeln!(out, "access log: {}", volatile.log(&crate::normal::text(line)));
        }
        self.shared.write(&mut out);
        out
    }

    /// As `text`, for a start: how many VMs log the same line is no outcome.
    #[must_use]
    pub fn start_text(&self, volatile: &Volatile) -> String {
        let mut once: Vec<Log> = Vec::new();
        for log in &self.logs {
            if !once.contains(log) {
                once.push(log.clone());
            }
        }
        let traps = self.traps.first().cloned().into_iter().collect();
        Self { logs: once, traps, ..self.clone() }.text(volatile)
    }
}

fn answer_text(out: &mut String, who: &str, answer: &Answer, volatile: &Volatile) {
    let status = answer.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let end = match &answer.end {
        End::Complete => "",
        End::Broken => ", broken off",
        End::Never => ", never ending",
        End::Left => ", the client has left",
        End::Invalid(_) => ", no HTTP",
    };
    let _ = writeln!(out, "{who}: {status}{end}");
    fields_text(out, who, &answer.headers, volatile);
    rest_text(out, who, &answer.body, &answer.trailers, volatile);
}

fn call_text(out: &mut String, name: &str, call: &Call, volatile: &Volatile) {
    let path = crate::normal::text(&call.path.escape_ascii().to_string());
    let _ = writeln!(out, "{name}: {} {path}", call.method);
    let _ = writeln!(out, "{name}:   :authority: {}", call.authority.escape_ascii());
    fields_text(out, name, &call.headers, volatile);
    rest_text(out, name, &call.body, &call.trailers, volatile);
}

fn fields_text(out: &mut String, who: &str, headers: &Fields, volatile: &Volatile) {
    for (name, value) in crate::normal::fields(headers) {
        let value = if volatile.is_header(&name) { "<volatile>" } else { &value };
        let _ = writeln!(out, "{who}:   {name}: {value}");
    }
}

fn rest_text(out: &mut String, who: &str, body: &[u8], trailers: &Fields, volatile: &Volatile) {
    if !body.is_empty() {
        let text = crate::normal::text(&String::from_utf8_lossy(body));
        for line in volatile.body(&text).lines() {
            let _ = writeln!(out, "{who}:   | {line}");
        }
    }
    for (name, value) in crate::normal::fields(trailers) {
        let _ = writeln!(out, "{who}:   trailer {name}: {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cut_out_of_a_stats_name_wherever_they_stand() {
        assert_eq!(metric_name("a=.=1;.;b=.=/x.y;.;requests_total"), "requests_total{a=1,b=/x.y}");
        assert_eq!(metric_name("requests_total.a=.=1;.;"), "requests_total{a=1}");
        assert_eq!(metric_name("counter.requests"), "counter.requests");
    }
}
