//! An explanation for people.

use super::report::Report;
use portcullis_authz::Judged;
use portcullis_edge_core::Mode;
use portcullis_jwt::{Explanation, KeyFacts};
use portcullis_limits::Explained;
use serde_json::Value;
use std::fmt::{Display, Formatter, Result};

/// Width of the names of lines.
const MARGIN: usize = 11;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        line(f, "route", &target(&self.target))?;
        for near in &self.nearest {
            line(f, "nearest", &format!("{} {}: {}", near.methods.join(","), near.path, near.why))?;
        }
        line(f, "client", &self.client)?;
        self.token.iter().try_for_each(|token| write_token(f, token))?;
        if let Some((refusal, mode)) = &self.refusal {
            line(f, "token", &format!("{}: {} (mode {mode})", refusal.error.as_str(), refusal.detail))?;
        }
        self.identity.iter().try_for_each(|identity| write_identity(f, identity))?;
        self.rules.iter().try_for_each(|rule| line(f, "rule", &judged(rule)))?;
        if let Some((reason, mode)) = self.forbidden {
            line(f, "rules", &format!("{reason} (mode {mode})"))?;
        }
        for entry in &self.stages {
            let detail = entry.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            line(f, "stage", &format!("{} {}{detail}", entry.stage.as_str(), entry.verdict))?;
        }
        self.write_request(f)?;
        self.write_answer(f)?;
        self.metrics.iter().try_for_each(|(name, by)| line(f, "metric", &format!("{name} +{by}")))?;
        self.lines.iter().try_for_each(|text| line(f, "log", text))?;
        self.limits.iter().flatten().try_for_each(|one| line(f, "limit", &limit(one)))?;
        self.notes.iter().try_for_each(|note| line(f, "note", note))
    }
}

impl Report {
    fn write_request(&self, f: &mut Formatter<'_>) -> Result {
        let Some(ops) = &self.changes else { return Ok(()) };
        for name in &ops.remove {
            line(f, "removed", &String::from_utf8_lossy(name))?;
        }
        for (name, value) in &self.service_sees {
            line(f, "service", &format!("{name}: {value}"))?;
        }
        for (name, value) in &ops.state {
            line(f, "state", &format!("{name}: {}", String::from_utf8_lossy(value)))?;
        }
        Ok(())
    }

    fn write_answer(&self, f: &mut Formatter<'_>) -> Result {
        let verdict = self
            .denied
            .map_or("the request goes on or is answered".to_owned(), |why| format!("denied: {why}"));
        line(f, "verdict", &verdict)?;
        line(f, "answer", &self.answer.status.to_string())?;
        for (name, value) in &self.answer.headers {
            line(f, "answer", &format!("{name}: {}", String::from_utf8_lossy(value)))?;
        }
        self.answer.body.iter().try_for_each(|body| line(f, "answer", body))
    }
}

/// Values come from tokens and headers: a terminal obeys some of their characters.
fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> Result {
    let text = printable(text);
    let mut lines = text.lines();
    writeln!(f, "{name:MARGIN$} {}", lines.next().unwrap_or_default())?;
    lines.try_for_each(|more| writeln!(f, "{:MARGIN$} {more}", ""))
}

fn target(target: &Value) -> String {
    if let Some(page) = target["page"].as_str() {
        return format!("the gateway's own page `{page}`");
    }
    let Some(path) = target["path"].as_str() else { return "none matches".to_owned() };
    let methods: Vec<&str> =
        target["methods"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let preflight = if target["preflight"] == true { "preflight of " } else { "" };
    format!("{preflight}{} {path} -> {}", methods.join(","), target["service"].as_str().unwrap_or_default())
}

fn write_token(f: &mut Formatter<'_>, token: &Explanation) -> Result {
    line(f, "header", &json(token.header.as_ref()))?;
    line(f, "claims", &json(token.claims.as_ref()))?;
    let signature =
        token.signature_bytes.map_or("unreadable".to_owned(), |n| format!("{n} bytes, not shown"));
    line(f, "signature", &signature)?;
    line(f, "provider", token.provider.as_deref().unwrap_or("none of the route's"))?;
    for key in &token.candidates {
        line(f, "key", &format!("{} may have signed it", name(key)))?;
    }
    match &token.key {
        Some(key) => line(f, "key", &format!("{} did sign it", name(key))),
        None => line(f, "key", "none has signed it"),
    }
}

fn json(value: Option<&Value>) -> String {
    // A tree of JSON can always be written as text.
    value.map_or("unreadable".to_owned(), |value| serde_json::to_string_pretty(value).unwrap_or_default())
}

fn printable(text: &str) -> String {
    let escape = |c: char| c.is_control() && c != '\n';
    text.chars().map(|c| if escape(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

fn name(key: &KeyFacts) -> String {
    let kid = key.kid.as_ref().map_or("without `kid`".to_owned(), |kid| format!("`{}`", kid.escape_debug()));
    format!("{} {kid}", key.alg)
}

fn write_identity(f: &mut Formatter<'_>, identity: &Value) -> Result {
    let list = |field: &str| {
        let names: Vec<&str> =
            identity[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    line(f, "user", identity["user"].as_str().unwrap_or("none"))?;
    line(f, "roles", &list("roles"))?;
    line(f, "scopes", &list("scopes"))
}

fn limit((name, mode, left): &(String, Mode, Explained)) -> String {
    let says = match left {
        Explained::DoesNotConcern => "does not concern the request".to_owned(),
        Explained::Failed(error) => format!("cannot be asked: {}", error.as_str()),
        Explained::Says { limit, left, judged } if judged.is_admitted() => {
            format!("{left} of {limit} units left, enough for another request like this")
        }
        Explained::Says { limit, left, judged } => {
            format!(
                "{left} of {limit} units left, another request like this is refused for {:?}",
                judged.retry
            )
        }
    };
    format!("{name}: {says} (mode {})", mode.as_str())
}

fn judged(rule: &Judged) -> String {
    let verdict = rule.failing.map_or("matches".to_owned(), |c| format!("does not match: `{}`", c.as_str()));
    format!("{}[{}] {verdict}", rule.list, rule.index)
}
