//! The Prometheus text format (0.0.4), read strictly: what Prometheus would refuse is an error here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The labels of a sample. A map, for their order means nothing.
pub type Labels = BTreeMap<String, String>;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of the metric, with `_bucket`, `_sum` or `_count` where it has one.
    pub name: String,
    /// All labels, `le` included.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

impl Sample {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|own| own == value))
    }
}

/// What is wrong with an exposition, and in which line (from 1).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {text:?}")]
pub struct ParseError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
    /// The line.
    pub text: String,
}

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    values: BTreeMap<(String, Labels), f64>,
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
}

impl Samples {
    /// Reads an exposition.
    ///
    /// # Errors
    /// The first line that is wrong. A series that occurs twice is wrong.
    pub fn parse(exposition: &str) -> Result<Self, ParseError> {
        let mut samples = Self::default();
        for (index, line) in exposition.lines().enumerate() {
            let at = |problem| ParseError { line: index + 1, problem, text: line.into() };
            samples.take_line(line).map_err(at)?;
        }
        Ok(samples)
    }

    fn take_line(&mut self, line: &str) -> Result<(), &'static str> {
        match line.trim() {
            "" => Ok(()),
            comment if comment.starts_with('#') => self.take_comment(comment),
            sample => self.take_sample(sample),
        }
    }

    fn take_comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let mut words = comment.splitn(4, ' ');
        let (_, keyword, name) = (words.next(), words.next(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default().to_string();
        let earlier = match keyword {
            Some("TYPE") => self.types.insert(name.into(), rest),
            Some("HELP") => self.helps.insert(name.into(), rest),
            _ => return Ok(()),
        };
        earlier.map_or(Ok(()), |_| Err("a second TYPE or HELP of one metric"))
    }

    fn take_sample(&mut self, line: &str) -> Result<(), &'static str> {
        let name_end = line.find(|c: char| !is_name_char(c)).ok_or("no value")?;
        let (name, rest) = line.split_at(name_end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("no metric name");
        }
        let (labels, rest) = match rest.trim_start().strip_prefix('{') {
            Some(labels) => read_labels(labels)?,
            None => (Labels::new(), rest),
        };
        let mut words = rest.split_whitespace();
        let value = read_value(words.next().ok_or("no value")?)?;
        if words.next().is_some_and(|stamp| stamp.parse::<i64>().is_err()) || words.next().is_some() {
            return Err("not a timestamp after the value");
        }
        match self.values.entry((name.into(), labels)) {
            Entry::Occupied(_) => Err("the same series a second time"),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }

    /// The value of the one series with this name and exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.values.get(&(name.into(), labels)).copied()
    }

    /// The sum of all series with this name and at least these labels; 0 if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name).into_iter().filter(|sample| sample.has(labels)).map(|sample| sample.value).sum()
    }

    /// All series with this name.
    pub fn series(&self, name: &str) -> Vec<Sample> {
        self.all().into_iter().filter(|sample| sample.name == name).collect()
    }

    /// All series.
    pub fn all(&self) -> Vec<Sample> {
        let each = self.values.iter();
        each.map(|((name, labels), value)| Sample {
            name: name.clone(),
            labels: labels.clone(),
            value: *value,
        })
        .collect()
    }

    /// The `TYPE` of a metric.
    pub fn type_of(&self, name: &str) -> Option<&str> {
        self.types.get(name).map(String::as_str)
    }

    /// The `HELP` of a metric.
    pub fn help_of(&self, name: &str) -> Option<&str> {
        self.helps.get(name).map(String::as_str)
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Reads `a="b",c="d"}` and what follows it.
fn read_labels(mut text: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Labels::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, rest) = text.split_once('=').ok_or("no = in a label")?;
        if name.trim().is_empty() || !name.trim().chars().all(is_name_char) {
            return Err("not a label name");
        }
        let (value, rest) =
            read_quoted(rest.trim_start().strip_prefix('"').ok_or("no quote around a value")?)?;
        if labels.insert(name.trim().into(), value).is_some() {
            return Err("the same label a second time");
        }
        text = rest.trim_start();
        text =
            text.strip_prefix(',').or(text.starts_with('}').then_some(text)).ok_or("no , after a label")?;
    }
}

/// Reads up to the closing quote: the unescaped value and what follows it.
fn read_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[index + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an unknown escape"),
            }),
            c => value.push(c),
        }
    }
    Err("no closing quote")
}

fn read_value(word: &str) -> Result<f64, &'static str> {
    match word {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        word if word.ends_with(|c: char| c.is_ascii_digit() || c == '.') => {
            word.parse().map_err(|_| "not a value")
        }
        _ => Err("not a value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"# HELP http_requests_total Requests, by "code".
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a\\b\"c\n,}d"} 3
http_requests_total{ path="/b", code="200", } 4.5e0 1395066363000
http_requests_total{code="404",path="/"} 1

up 1
latency_bucket{le="+Inf"} +Inf
"#;

    fn problem(line: &str) -> &'static str {
        Samples::parse(line).expect_err("it is wrong").problem
    }

    #[test]
    fn a_series_is_found_by_its_labels_in_any_order() {
        let samples = Samples::parse(SCRAPE).expect("it is right");
        assert_eq!(
            samples.value("http_requests_total", &[("path", "/a\\b\"c\n,}d"), ("code", "200")]),
            Some(3.0)
        );
        assert_eq!(samples.value("http_requests_total", &[("code", "200")]), None);
        assert_eq!(samples.value("up", &[]), Some(1.0));
        assert_eq!(samples.value("latency_bucket", &[("le", "+Inf")]), Some(f64::INFINITY));
    }

    #[test]
    fn a_sum_is_over_all_series_that_have_the_labels() {
        let samples = Samples::parse(SCRAPE).expect("it is right");
        assert_eq!(samples.sum("http_requests_total", &[("code", "200")]), 7.5);
        assert_eq!(samples.sum("http_requests_total", &[]), 8.5);
        assert_eq!(samples.sum("nothing", &[]), 0.0);
    }

    #[test]
    fn type_and_help_are_kept() {
        let samples = Samples::parse(SCRAPE).expect("it is right");
        assert_eq!(samples.type_of("http_requests_total"), Some("counter"));
        assert_eq!(samples.help_of("http_requests_total"), Some("Requests, by \"code\"."));
        assert_eq!(samples.type_of("up"), None);
    }

    #[test]
    fn what_prometheus_would_refuse_is_an_error() {
        assert_eq!(problem("a 1\na 2"), "the same series a second time");
        assert_eq!(problem(r#"a{b="1",b="2"} 1"#), "the same label a second time");
        assert_eq!(problem("# TYPE a counter\n# TYPE a counter"), "a second TYPE or HELP of one metric");
        assert_eq!(problem(r#"a{b="1"#), "no closing quote");
        assert_eq!(problem(r#"a{b="\x"} 1"#), "an unknown escape");
        assert_eq!(problem(r#"a{b=1} 1"#), "no quote around a value");
        assert_eq!(problem(r#"a{b-c="1"} 1"#), "not a label name");
        assert_eq!(problem(r#"a{b="1" c="2"} 1"#), "no , after a label");
        assert_eq!(problem("a inf"), "not a value");
        assert_eq!(problem("a "), "no value");
        assert_eq!(problem("1a 1"), "no metric name");
        assert_eq!(problem("a 1 x"), "not a timestamp after the value");
    }

    #[test]
    fn an_error_names_its_line() {
        let error = Samples::parse("a 1\nb\n").expect_err("it is wrong");
        assert_eq!(error.to_string(), r#"line 2: no value: "b""#);
    }
}
