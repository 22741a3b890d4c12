//! Whether what came of a step is what the scenario expects.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

mod connection;
mod cost;
mod logs;
mod shared;

pub use cost::Spent;

use crate::model::{
    AnswerEnd, Calls, Expect, JsonPattern, Line, Message, Pattern, Reference, Upstreams, Values,
};
use crate::plan::Fields;
use crate::seen::{Call, Seen, values};

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Of what.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  found:    {}", self.found)
    }
}

/// Everything that is not as expected.
#[must_use]
pub fn mismatches(expect: &Expect, seen: &Seen, tokens: &BTreeMap<String, String>) -> Vec<Mismatch> {
    let look_up = |reference: &Reference| match reference {
        Reference::Token(name) => tokens.get(name).cloned().unwrap_or_default().into_bytes(),
        Reference::Answer(name) => {
            let answer = seen.answer.as_ref();
            answer
                .and_then(|answer| values(&answer.headers, name).first().map(|v| v.to_vec()))
                .unwrap_or_default()
        }
    };
    let mut verdict = Verdict { look_up: &look_up, mismatches: Vec::new() };
    verdict.answer(expect, seen);
    verdict.connection(expect.connection.as_ref(), seen.conversation.as_ref());
    verdict.upstreams(expect, seen);
    verdict.metrics(expect, seen);
    verdict.logs(&expect.logs, &seen.logs);
    verdict.access_log(expect, seen);
    verdict.end(expect, seen);
    verdict.traps(expect.trap.as_ref(), seen);
    verdict.shared(expect.shared.as_ref(), &seen.shared);
    verdict.cost(expect.cost.as_ref(), seen.spent.as_ref());
    if let (Some(expected), Some(found)) = (expect.refused, seen.refused)
        && expected != found
    {
        verdict.add("refused", expected.to_string(), found.to_string());
    }
    verdict.mismatches
}

/// What is not as expected of the answers of requests that overlap.
#[must_use]
pub fn mismatches_of_each(
    expected: &[Expect],
    seen: &Seen,
    tokens: &BTreeMap<String, String>,
) -> Vec<Mismatch> {
    let of = |(place, (expect, answer)): (usize, (&Expect, &crate::seen::Answer))| {
        let seen = Seen { answer: Some(answer.clone()), ..Seen::default() };
        let found = mismatches(expect, &seen, tokens).into_iter();
        found
            .map(|one| Mismatch { what: format!("request {}: {}", place + 1, one.what), ..one })
            .collect::<Vec<_>>()
    };
    expected.iter().zip(&seen.answers).enumerate().flat_map(of).collect()
}

/// The log lines of a refused configuration that are missing.
#[must_use]
pub fn missing_lines(patterns: &[Pattern], lines: &[String]) -> Vec<Mismatch> {
    let mut verdict = Verdict { look_up: &|_| Vec::new(), mismatches: Vec::new() };
    verdict.lines(patterns, lines);
    verdict.mismatches
}

/// Between several lines of what was found.
const NEXT_LINE: &str = "\n            ";

struct Verdict<'a> {
    look_up: &'a dyn Fn(&Reference) -> Vec<u8>,
    mismatches: Vec<Mismatch>,
}

impl Verdict<'_> {
    fn add(&mut self, what: &str, expected: impl Into<String>, found: impl Into<String>) {
        let what = what.to_owned();
        self.mismatches.push(Mismatch { what, expected: expected.into(), found: found.into() });
    }

    fn value(&mut self, what: &str, pattern: Option<&Pattern>, found: Option<&[u8]>) {
        let Some(pattern) = pattern else { return };
        let fits = match found {
            Some(found) => pattern.fits(found, self.look_up),
            None => *pattern == Pattern::Absent,
        };
        if !fits {
            let found = found.map_or_else(|| "absent".to_owned(), shown);
            self.add(what, pattern.show(self.look_up), found);
        }
    }

    fn fields(&mut self, what: &str, expected: &BTreeMap<String, Values>, found: &Fields) {
        for (name, patterns) in expected {
            let values = values(found, name);
            let fits = match patterns.0.as_slice() {
                [Pattern::Absent] => values.is_empty(),
                patterns => {
                    patterns.len() == values.len()
                        && patterns
                            .iter()
                            .zip(&values)
                            .all(|(pattern, value)| pattern.fits(value, self.look_up))
                }
            };
            if !fits {
                let expected: Vec<_> = patterns.0.iter().map(|pattern| pattern.show(self.look_up)).collect();
                let found: Vec<_> = values.iter().map(|value| shown(value)).collect();
                let found = if found.is_empty() { "absent".to_owned() } else { found.join(" and ") };
                self.add(&format!("{what} {name}"), expected.join(" and "), found);
            }
        }
    }

    fn json(&mut self, what: &str, pattern: Option<&JsonPattern>, body: &[u8]) {
        let Some(pattern) = pattern else { return };
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return self.add(what, "JSON", shown(body));
        };
        for (at, expected, found) in pattern.differences(Some(&value), self.look_up) {
            self.add(&format!("{what} {at}"), expected, found);
        }
    }

    fn answer(&mut self, expect: &Expect, seen: &Seen) {
        let Some(answer) = &seen.answer else { return };
        let status = answer.status.map(|status| status.to_string().into_bytes());
        self.value("status", expect.status.as_ref(), status.as_deref());
        self.fields("header", &expect.headers, &answer.headers);
        self.value("body", expect.body.as_ref(), Some(&answer.body));
        self.json("body", expect.json.as_ref(), &answer.body);
        self.fields("trailer", &expect.trailers, &answer.trailers);
    }

    fn upstreams(&mut self, expect: &Expect, seen: &Seen) {
        match &expect.upstreams {
            None => {}
            Some(Upstreams::None) => {
                for (name, calls) in &seen.upstreams {
                    self.add(&format!("upstream {name}"), "nothing seen", lines(calls));
                }
            }
            Some(Upstreams::Named(named)) => {
                for (name, expected) in named.iter() {
                    let calls = seen.upstreams.get(name).map(Vec::as_slice).unwrap_or_default();
                    self.calls(name, expected, calls);
                }
            }
        }
    }

    fn calls(&mut self, name: &str, expected: &Calls, calls: &[Call]) {
        let count = match expected {
            Calls::Count(count) => *count,
            Calls::Each(messages) => messages.len(),
        };
        if count != calls.len() {
            return self.add(&format!("upstream {name}"), format!("{count} requests"), lines(calls));
        }
        let Calls::Each(messages) = expected else { return };
        for (index, (message, call)) in messages.iter().zip(calls).enumerate() {
            let number = if calls.len() > 1 { format!(" request {}", index + 1) } else { String::new() };
            self.call(&format!("upstream {name}{number}:"), message, call);
        }
    }

    fn call(&mut self, what: &str, message: &Message, call: &Call) {
        self.value(&format!("{what} method"), message.method.as_ref(), Some(call.method.as_bytes()));
        self.value(&format!("{what} path"), message.path.as_ref(), Some(&call.path));
        self.value(&format!("{what} authority"), message.authority.as_ref(), Some(&call.authority));
        self.fields(&format!("{what} header"), &message.headers, &call.headers);
        self.value(&format!("{what} body"), message.body.as_ref(), Some(&call.body));
        self.json(&format!("{what} body"), message.json.as_ref(), &call.body);
        self.fields(&format!("{what} trailer"), &message.trailers, &call.trailers);
    }

    fn metrics(&mut self, expect: &Expect, seen: &Seen) {
        for (selector, pattern) in expect.metrics.iter() {
            let moved = selected(selector, &seen.metrics);
            let found: i64 = moved.iter().map(|(_, by)| **by).sum();
            if !pattern.fits(found.to_string().as_bytes(), self.look_up) {
                let each: Vec<_> = moved.iter().map(|(name, by)| format!("{name}: {by:+}")).collect();
                let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
                self.add(&format!("metric {selector}"), pattern.show(self.look_up), format!("{found}{each}"));
            }
        }
    }

    fn end(&mut self, expect: &Expect, seen: &Seen) {
        let answer = seen.answer.as_ref().map(|answer| &answer.end);
        let found = if seen.hung.is_some() { Some("never") } else { answer.map(crate::seen::End::name) };
        let expected = expect.end.map(AnswerEnd::name);
        let as_expected = match (expected, found) {
            // A callback that never comes back is never as it should be.
            (None, _) => seen.hung.is_none(),
            (Some(expected), found) => expected == found.unwrap_or("complete"),
        };
        if !as_expected {
            let why = match (&seen.hung, answer) {
                (Some(why), _) | (None, Some(crate::seen::End::Invalid(why))) => format!(" ({why})"),
                _ => String::new(),
            };
            self.add("end", expected.unwrap_or("complete"), format!("{}{why}", found.unwrap_or("complete")));
        }
    }

    fn traps(&mut self, expected: Option<&Pattern>, seen: &Seen) {
        let texts = || seen.traps.iter().map(|trap| trap.text().replace('\n', NEXT_LINE)).collect::<Vec<_>>();
        let as_expected = match expected {
            None | Some(Pattern::Absent) => seen.traps.is_empty(),
            Some(pattern) => {
                let fits = |text: String| pattern.fits(text.as_bytes(), self.look_up);
                !seen.traps.is_empty() && seen.traps.iter().all(|trap| fits(trap.text()))
            }
        };
        if !as_expected {
            let expected = expected.map_or_else(|| "none".to_owned(), |pattern| pattern.show(self.look_up));
            let found = if seen.traps.is_empty() { "none".to_owned() } else { texts().join(NEXT_LINE) };
            self.add("trap", expected, found);
        }
    }

    fn access_log(&mut self, expect: &Expect, seen: &Seen) {
        let Some(expected) = &expect.access_log else { return };
        if expected.len() != seen.access_log.len() {
            let found = seen.access_log.join(NEXT_LINE);
            return self.add("access log", format!("{} lines", expected.len()), found);
        }
        for (line, found) in expected.iter().zip(&seen.access_log) {
            match line {
                Line::Text(pattern) => self.value("access log", Some(pattern), Some(found.as_bytes())),
                Line::Json(pattern) => self.json("access log", Some(pattern), found.as_bytes()),
            }
        }
    }
}

/// The metrics that `name{label=value,...}` means: those of this name with at least these labels.
fn selected<'a>(selector: &str, metrics: &'a BTreeMap<String, i64>) -> Vec<(&'a String, &'a i64)> {
    let (name, labels) = parts(selector);
    let fits = |own: &str| {
        let (own_name, own_labels) = parts(own);
        own_name == name && labels.iter().all(|label| own_labels.contains(label))
    };
    metrics.iter().filter(|(own, _)| fits(own)).collect()
}

/// A name and its labels, each `label=value`, without quotes.
fn parts(metric: &str) -> (&str, Vec<String>) {
    let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
    let labels =
        labels.strip_suffix('}').unwrap_or(labels).split(',').filter(|label| !label.trim().is_empty());
    (name.trim(), labels.map(|label| label.trim().replace('"', "")).collect())
}

fn shown(value: &[u8]) -> String {
    let text = value.escape_ascii().to_string();
    if text.is_empty() { "nothing".to_owned() } else { text.replace("\\\"", "\"") }
}

fn lines(calls: &[Call]) -> String {
    let each: Vec<_> =
        calls.iter().map(|call| format!("{} {}", call.method, call.path.escape_ascii())).collect();
    if each.is_empty() { "nothing seen".to_owned() } else { each.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Answer;
    use portcullis_edge_core::ConfigErrors;
    use serde_json::json;

    fn of(expect: Value, seen: &Seen) -> Vec<String> {
        let expect: Expect = deserr::deserialize::<_, _, ConfigErrors>(expect).expect("it is sound");
        mismatches(&expect, seen, &BTreeMap::new()).iter().map(ToString::to_string).collect()
    }

    fn answered() -> Seen {
        let headers = vec![
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), b"1".to_vec()),
            ("b".into(), b"2".to_vec()),
        ];
        let answer = Answer { status: Some(200), headers, body: b"{\"x\": 1}".to_vec(), ..Answer::default() };
        let metrics =
            [("m{a=1,b=1}", 2), ("m{a=1,b=2}", 3), ("n", 1)].map(|(name, by)| (name.to_owned(), by));
        Seen { answer: Some(answer), metrics: metrics.into(), ..Seen::default() }
    }

    #[test]
    fn what_is_as_expected_is_no_mismatch() {
        let expect = json!({
            "status": 200, "headers": {"a": "1", "b": ["1", "~[0-9]"], "c": "absent"}, "json": {"x": 1},
            "metrics": {"m{a=1}": 5, "m{b=\"2\"}": 3, "n": 1, "o": 0}, "logs": ["!~secret"], "upstreams": "none",
        });
        assert_eq!(of(expect, &answered()), [""; 0]);
    }

    #[test]
    fn one_value_expected_and_two_found_is_a_mismatch() {
        let told = of(json!({"headers": {"b": "1"}}), &answered());
        assert_eq!(told, ["header b\n  expected: 1\n  found:    1 and 2"]);
    }

    #[test]
    fn a_sum_that_differs_tells_its_parts() {
        let told = of(json!({"metrics": {"m{a=1}": 4}}), &answered());
        assert_eq!(told, ["metric m{a=1}\n  expected: 4\n  found:    5 (m{a=1,b=1}: +2, m{a=1,b=2}: +3)"]);
    }
}
