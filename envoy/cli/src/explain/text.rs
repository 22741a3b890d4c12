//! An explanation for people.

use super::{Told, need};
use portcullis_authz::Judged;
use portcullis_jwt::{Explanation, Identity, KeyFacts};
use serde_json::Value;
use std::fmt::{Display, Formatter, Result};

/// Width of the names of lines.
const MARGIN: usize = 11;

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let route = self.route;
        let (methods, path) = (route.methods.join(","), route.template.as_str());
        line(f, "route", &format!("{methods} {path} -> {}", self.service))?;
        line(f, "token", &format!("{} (mode {})", need(self.auth), self.auth.mode().as_str()))?;
        line(f, "checked at", &self.asked_at.rfc3339())?;
        if let Some(token) = &self.token {
            write_token(f, token)?;
        }
        if let Some(identity) = &self.identity {
            write_identity(f, identity)?;
        }
        for rule in &self.rules {
            line(f, "authz", &judged(rule))?;
        }
        line(f, "verdict", &format!("{}: {}", self.outcome.verdict, self.outcome.detail))?;
        let answer =
            self.outcome.status.map_or("the request goes on".to_owned(), |s| format!("answered with {s}"));
        line(f, "outcome", &answer)?;
        self.notes.iter().try_for_each(|note| line(f, "note", note))
    }
}

fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> Result {
    let mut lines = text.lines();
    writeln!(f, "{name:MARGIN$} {}", lines.next().unwrap_or_default())?;
    lines.try_for_each(|more| writeln!(f, "{:MARGIN$} {more}", ""))
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
    let text = |value| serde_json::to_string_pretty(value).unwrap_or_default();
    value.map_or("unreadable".to_owned(), |value| printable(&text(value)))
}

/// JSON escapes some control characters; a terminal obeys others too.
fn printable(text: &str) -> String {
    let escape = |c: char| c.is_control() && c != '\n';
    text.chars().map(|c| if escape(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

fn name(key: &KeyFacts) -> String {
    let kid = key.kid.as_ref().map_or("without `kid`".to_owned(), |kid| format!("`{}`", kid.escape_debug()));
    format!("{} {kid}", key.alg)
}

fn write_identity(f: &mut Formatter<'_>, identity: &Identity) -> Result {
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    line(f, "user", identity.user().unwrap_or("none"))?;
    line(f, "roles", &list(identity.roles().collect()))?;
    line(f, "scopes", &list(identity.scopes().collect()))
}

fn judged(rule: &Judged) -> String {
    let verdict = rule.failing.map_or("matches".to_owned(), |c| format!("does not match: `{}`", c.as_str()));
    format!("{}[{}] {verdict}", rule.list, rule.index)
}
