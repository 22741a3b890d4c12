//! What differs between two gateways that should mean the same.

use crate::Exchange;
use crate::day::lines;
use portcullis_e2e::Samples;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

/// Something that was one way at one gateway and another way at the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which request, or which series.
    pub at: String,
    /// What of it.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// What nobody can repeat: times, ids, tokens, what is left of a quota that fills up with time, and what follows from them.
static UNREPEATABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"(x-ratelimit-(?:reset|remaining): )\d+", "$1<number>"),
        (r"(ratelimit: [^;]+;r=)\d+(;t=)\d+", "$1<number>$2<number>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "<time>"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
        (r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "<token>"),
        (r"(?i)\b(mon|tue|wed|thu|fri|sat|sun), [^\x22]* GMT", "<date>"),
    ];
    rules.map(|(rule, by)| (Regex::new(rule).expect("a regular expression"), by)).into()
});

/// What differs between a gateway with a static bootstrap and one under a control plane, and may:
///
/// - A path with `%2F` gets its 400 from Envoy there, and from the filter here, which is given it to answer.
/// - Of the filter's own refusals, Envoy's routes there say that they depend on the origin, as they say of all answers; the filter
///   says so where the request had one.
#[must_use]
pub fn is_known(difference: &Difference) -> bool {
    let is_slash = difference.at == "hides a slash" && !difference.what.contains("status");
    is_slash || difference.what == "- answer vary: Origin"
}

fn repeatable(text: &str) -> String {
    UNREPEATABLE.iter().fold(text.to_owned(), |text, (rule, by)| rule.replace_all(&text, *by).into_owned())
}

/// What differs between two days.
#[must_use]
pub fn differences(one: &[Exchange], other: &[Exchange]) -> Vec<Difference> {
    let mut found = Vec::new();
    assert_eq!(one.len(), other.len(), "two days have the same requests");
    for (one, other) in one.iter().zip(other) {
        let (a, b) = (facts(one), facts(other));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>, sign: &str| {
            a.difference(b).map(|fact| format!("{sign} {fact}")).collect::<Vec<_>>()
        };
        let what = only(&a, &b, "-").into_iter().chain(only(&b, &a, "+"));
        found.extend(what.map(|what| Difference { at: one.name.to_owned(), what }));
    }
    found
}

/// All that is to be seen of an exchange, a line each.
fn facts(exchange: &Exchange) -> BTreeSet<String> {
    let answer = &exchange.answer;
    let mut facts = vec![format!("status {}", answer.status)];
    facts.extend(lines(&answer.headers).iter().map(|line| format!("answer {}", repeatable(line))));
    facts.push(format!("body {}", repeatable(&String::from_utf8_lossy(&answer.body))));
    facts.push(format!("{} requests arrived", exchange.arrived.len()));
    facts.extend(exchange.arrived.iter().flat_map(arrived));
    counted(facts.iter().map(|fact| repeatable(fact)).collect())
}

fn arrived(request: &Value) -> Vec<String> {
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let start = format!("arrived at {}: {} {}", text("service"), text("method"), text("target"));
    let field = |field: &Value| {
        let text = |index: usize| field[index].as_str().unwrap_or_default();
        format!("arrived {}: {}", text(0).to_lowercase(), text(1))
    };
    let headers = request["headers"].as_array().into_iter().flatten().map(field);
    [start, format!("arrived body {}", text("body"))].into_iter().chain(headers).collect()
}

/// Equal lines are told apart by their number.
fn counted(lines: Vec<String>) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for line in lines {
        let mut named = line.clone();
        let mut number = 1;
        while set.contains(&named) {
            number += 1;
            named = format!("{line} ({number})");
        }
        set.insert(named);
    }
    set
}

/// What differs between two scrapes. Times are measured anew each time: of those, only that they were measured as often.
#[must_use]
pub fn metric_differences(one: &Samples, other: &Samples) -> Vec<Difference> {
    let (a, b) = (series(one), series(other));
    let only = |a: &BTreeSet<(String, String)>, b: &BTreeSet<(String, String)>, sign: &str| {
        let differing = a.difference(b);
        differing
            .map(|(at, value)| Difference { at: at.clone(), what: format!("{sign} {value}") })
            .collect::<Vec<_>>()
    };
    only(&a, &b, "-").into_iter().chain(only(&b, &a, "+")).collect()
}

fn series(samples: &Samples) -> BTreeSet<(String, String)> {
    // Whoever waits for a gateway asks for its pages, as often as it takes. Each has its line.
    let pages = samples.sum("gateway_uncounted_requests_total", &[]);
    let all = samples.all().into_iter().map(|sample| {
        let of_requests = sample.labels.get("kind").is_some_and(|kind| kind == "request");
        let value = match sample.name.as_str() {
            name if is_time(name) => "(a time)".to_owned(),
            "gateway_uncounted_requests_total" => "(pages)".to_owned(),
            "portcullis_log_lines_total" if of_requests => (sample.value - pages).to_string(),
            // A machine that is busy is late.
            "portcullis_ticks_late_total" => "(a time)".to_owned(),
            _ => sample.value.to_string(),
        };
        (format!("{}{:?}", sample.name, sample.labels), value)
    });
    all.collect()
}

/// Buckets below the last and sums depend on how long things took; gauges named `seconds` are times.
fn is_time(name: &str) -> bool {
    name.ends_with("_bucket")
        || name.ends_with("_sum")
        || name.ends_with("_seconds")
        || name.ends_with("_bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_e2e::Answer;
    use serde_json::json;

    fn exchange(body: &str, headers: Value) -> Exchange {
        let answer = Answer { status: 200, body: body.into(), ..Answer::default() };
        Exchange { name: "asks", answer, arrived: vec![json!({ "service": "user", "headers": headers })] }
    }

    #[test]
    fn what_cannot_be_repeated_is_no_difference_and_everything_else_is() {
        let body = |time: &str, id: &str| format!(r#"{{"at": "{time}", "id": "{id}"}}"#);
        let one =
            exchange(&body("2026-01-01T00:00:00.123Z", "0b0c4ea6-5b1f-4b21-8a0e-2f7d9d3c1a11"), json!([]));
        let other =
            exchange(&body("2026-01-02T00:00:00Z", "1b0c4ea6-5b1f-4b21-8a0e-2f7d9d3c1a11"), json!([]));
        assert_eq!(differences(std::slice::from_ref(&one), &[other]), []);
        let other = exchange("{}", json!([["X-User-ID", "root"], ["X-User-ID", "root"]]));
        let found: Vec<_> = differences(&[one], &[other]).iter().map(|d| d.what.clone()).collect();
        assert!(
            found.contains(&"+ arrived x-user-id: root (2)".to_owned())
                && found.contains(&"+ body {}".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn a_series_that_is_missing_or_has_another_value_differs() {
        let samples = |text: &str| Samples::parse(text).expect("an exposition");
        let one = samples("a_total{b=\"c\"} 1\nd_seconds_sum 0.5\nd_seconds_count 1\n");
        assert_eq!(
            metric_differences(&one, &samples("a_total{b=\"c\"} 1\nd_seconds_sum 0.7\nd_seconds_count 1\n")),
            []
        );
        assert_eq!(
            metric_differences(&one, &samples("a_total{b=\"c\"} 2\nd_seconds_sum 1\nd_seconds_count 1\n"))
                .len(),
            2
        );
        assert_eq!(metric_differences(&one, &samples("d_seconds_sum 1\nd_seconds_count 1\n")).len(), 1);
    }
}
