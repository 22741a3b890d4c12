//! What queries may name, checked by the compiler.
//!
//! [`crate::query!`] takes a query as text and refuses to compile when it names a metric that nobody declares, or a label that the metric
//! does not have. Values of labels depend on the policy: those are checked when a policy's files are written
//! ([`crate::Vocabulary::check`]).
//!
//! It is a scanner, and no parser: that a query is sound PromQL, a test and the renderer see to.

use crate::foreign::FOREIGN;
use crate::recording::RECORDED;
use portcullis_metrics::{Family, Kind};
use portcullis_pipeline::STAGES;

/// A query whose metrics and labels exist: the text itself. `{w}` may stand for a window; a panel may use Grafana's variables within
/// quotes and brackets.
///
/// ```
/// use portcullis_monitoring::query;
/// let failures = query!(r#"sum by (job) (rate(gateway_errors_total{status_code=~"5.."}[5m]))"#);
/// assert!(failures.starts_with("sum"));
/// ```
///
/// ```compile_fail
/// portcullis_monitoring::query!("rate(gateway_request_total[5m])");
/// ```
///
/// ```compile_fail
/// portcullis_monitoring::query!(r#"rate(gateway_requests_total{status="200"}[5m])"#);
/// ```
#[macro_export]
macro_rules! query {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const { $crate::must_be_declared(TEXT) };
        TEXT
    }};
}

/// Labels that Prometheus gives every series of a target.
pub const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// The label that every series has.
const NAME: &[u8] = b"__name__";

/// Stops the compiler where a query names what nobody declares. For [`crate::query!`].
///
/// # Panics
/// In a constant: that is the compiler's error.
pub const fn must_be_declared(query: &str) {
    let text = query.as_bytes();
    let mut at = 0;
    // Labels between the parentheses after `by`, `on` and the like belong to the metrics around them.
    let mut in_labels = false;
    while at < text.len() {
        let byte = text[at];
        if byte == b'"' {
            at = after(text, at, b'"');
        } else if byte == b'[' {
            at = after(text, at, b']');
        } else if byte == b'$' || byte.is_ascii_digit() {
            at = word_end(text, at + 1);
        } else if is_word(byte) {
            let end = word_end(text, at);
            let (word, next) = (slice(text, at, end), skip_spaces(text, end));
            if in_labels {
                assert!(is_label_of_any(word), "no metric has this label");
            } else if takes_labels(word) {
                in_labels = next < text.len() && text[next] == b'(';
            } else if !(is_keyword(word) || next < text.len() && text[next] == b'(') {
                assert!(is_metric(word), "nobody declares this metric");
                if next < text.len() && text[next] == b'{' {
                    at = matchers(text, next + 1, word);
                    continue;
                }
            }
            at = end;
        } else {
            in_labels = in_labels && byte != b')';
            at += 1;
        }
    }
}

/// Checks the labels of a selector; the place after its brace.
const fn matchers(text: &[u8], mut at: usize, metric: &[u8]) -> usize {
    while at < text.len() && text[at] != b'}' {
        if text[at] == b'"' {
            at = after(text, at, b'"');
        } else if is_word(text[at]) {
            let end = word_end(text, at);
            assert!(has_label(metric, slice(text, at, end)), "the metric has no such label");
            at = end;
        } else {
            at += 1;
        }
    }
    at + 1
}

/// The place after the next `end`, behind `at`.
const fn after(text: &[u8], at: usize, end: u8) -> usize {
    let mut next = at + 1;
    while next < text.len() && text[next] != end {
        next += if text[next] == b'\\' { 2 } else { 1 };
    }
    next + 1
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

const fn word_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && is_word(text[at]) {
        at += 1;
    }
    at
}

const fn skip_spaces(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at].is_ascii_whitespace() {
        at += 1;
    }
    at
}

const fn slice(text: &[u8], from: usize, to: usize) -> &[u8] {
    text.split_at(to).0.split_at(from).1
}

const fn takes_labels(word: &[u8]) -> bool {
    let words: [&[u8]; 6] = [b"by", b"without", b"on", b"ignoring", b"group_left", b"group_right"];
    contains(&words, word)
}

const fn is_keyword(word: &[u8]) -> bool {
    let operators: [&[u8]; 7] = [b"and", b"or", b"unless", b"offset", b"bool", b"Inf", b"NaN"];
    // Before `by`; elsewhere a parenthesis follows them.
    let aggregations: [&[u8]; 8] =
        [b"sum", b"avg", b"min", b"max", b"count", b"topk", b"bottomk", b"quantile"];
    contains(&operators, word) || contains(&aggregations, word)
}

const fn contains(words: &[&[u8]], wanted: &[u8]) -> bool {
    let mut at = 0;
    while at < words.len() {
        if same(words[at], wanted) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.len() >= prefix.len() && same(text.split_at(prefix.len()).0, prefix)
}

const fn ends_with(text: &[u8], suffix: &[u8]) -> bool {
    text.len() >= suffix.len() && same(text.split_at(text.len() - suffix.len()).1, suffix)
}

const fn without_suffix<'t>(text: &'t [u8], suffix: &str) -> Option<&'t [u8]> {
    let suffix = suffix.as_bytes();
    if ends_with(text, suffix) { Some(text.split_at(text.len() - suffix.len()).0) } else { None }
}

const fn is_metric(name: &[u8]) -> bool {
    has_label(name, NAME)
}

/// Whether a metric of this name is declared somewhere, and has this label.
const fn has_label(metric: &[u8], label: &[u8]) -> bool {
    let mut stage = 0;
    while stage < STAGES.len() {
        let families = STAGES[stage].1;
        let mut at = 0;
        while at < families.len() {
            if is_of(&families[at], metric) && family_has(&families[at], metric, label) {
                return true;
            }
            at += 1;
        }
        stage += 1;
    }
    other_has(metric, label)
}

/// Whether a name is that of a family, or of one of the series of a histogram.
const fn is_of(family: &Family, metric: &[u8]) -> bool {
    let histogram = matches!(family.kind, Kind::Histogram(_));
    if !histogram {
        return is_called(family.name.as_bytes(), metric);
    }
    let parts = ["_bucket", "_count", "_sum"];
    let mut at = 0;
    while at < parts.len() {
        if let Some(base) = without_suffix(metric, parts[at])
            && is_called(family.name.as_bytes(), base)
        {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether a name fits a declared one, in which `{label}` stands for any text.
const fn is_called(declared: &[u8], name: &[u8]) -> bool {
    let mut open = 0;
    while open < declared.len() && declared[open] != b'{' {
        open += 1;
    }
    if open == declared.len() {
        return same(declared, name);
    }
    let close = after(declared, open, b'}');
    starts_with(name, slice(declared, 0, open)) && ends_with(name, slice(declared, close, declared.len()))
}

const fn family_has(family: &Family, metric: &[u8], label: &[u8]) -> bool {
    let mut key = 0;
    while key < family.keys.len() {
        if is_among(family.keys[key].labels, label) {
            return true;
        }
        key += 1;
    }
    is_of_target(label) || same(label, b"le") && without_suffix(metric, "_bucket").is_some()
}

const fn is_of_target(label: &[u8]) -> bool {
    is_among(&TARGET_LABELS, label) || same(label, NAME)
}

const fn is_among(labels: &[&str], label: &[u8]) -> bool {
    let mut at = 0;
    while at < labels.len() {
        if same(labels[at].as_bytes(), label) {
            return true;
        }
        at += 1;
    }
    false
}

const fn other_has(metric: &[u8], label: &[u8]) -> bool {
    let mut at = 0;
    while at < FOREIGN.len() {
        if same(FOREIGN[at].name.as_bytes(), metric) {
            return is_among(FOREIGN[at].labels, label) || is_of_target(label);
        }
        at += 1;
    }
    at = 0;
    while at < RECORDED.len() {
        if same(RECORDED[at].name.as_bytes(), metric) {
            return is_among(RECORDED[at].labels, label) || same(label, NAME);
        }
        at += 1;
    }
    false
}

/// Whether any metric has this label: which, the parentheses after `by` do not say.
const fn is_label_of_any(label: &[u8]) -> bool {
    let mut stage = 0;
    while stage < STAGES.len() {
        let families = STAGES[stage].1;
        let mut at = 0;
        while at < families.len() {
            if family_has(&families[at], b"_bucket", label) {
                return true;
            }
            at += 1;
        }
        stage += 1;
    }
    let mut at = 0;
    while at < FOREIGN.len() {
        if is_among(FOREIGN[at].labels, label) {
            return true;
        }
        at += 1;
    }
    at = 0;
    while at < RECORDED.len() {
        if is_among(RECORDED[at].labels, label) {
            return true;
        }
        at += 1;
    }
    false
}
