//! The series that a policy makes possible, and whether a query speaks of them.
//!
//! Names of metrics and labels are checked by the compiler already ([`crate::query!`]). Which of them have data depends on the policy and on
//! what a site scrapes: a query that would have none is a [`Missing`], which says why.

use crate::declared::TARGET_LABELS;
use crate::foreign::{FOREIGN, Source};
use portcullis_metrics::{Family, Key, Kind};
use portcullis_pipeline::{GatewayMetrics, families};
use portcullis_policy::Policy;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};
use std::collections::{BTreeMap, BTreeSet};

/// Values of a label: those that are known, and whether others may occur.
#[derive(Clone, Debug, Default)]
struct Known {
    values: BTreeSet<String>,
    admits: Option<fn(&str) -> bool>,
    /// Nothing is known of them: any may occur.
    any: bool,
}

/// Names of metrics, their labels and, where the policy decides, the labels' values.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    metrics: BTreeMap<String, BTreeMap<String, Known>>,
}

/// Why a query would have no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is no PromQL; the parser's words.
    Syntax(String),
    /// The policy makes no such series: the metric, and where it exists.
    Metric(String, String),
    /// Nothing that exposes the metric is scraped.
    NotScraped(String, Source),
    /// Nobody declares a metric of this name.
    Unknown(String),
    /// The metric has no such label.
    Label(String, String),
    /// The label never has this value.
    Value(String, String, String),
    /// The settings do not say what it needs: the field, and what for.
    Setting(&'static str, &'static str),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "it is no PromQL: {error}"),
            Self::Metric(metric, exists) => write!(f, "the policy makes no series `{metric}`{exists}"),
            Self::NotScraped(metric, source) => {
                write!(f, "`{metric}` comes from {0}, and `sources.{0}` scrapes none", source.as_str())
            }
            Self::Unknown(metric) => write!(f, "nothing makes a series `{metric}`"),
            Self::Label(metric, label) => write!(f, "`{metric}` has no label `{label}`"),
            Self::Value(metric, label, value) => write!(f, "`{label}` of `{metric}` is never `{value}`"),
            Self::Setting(field, what) => write!(f, "`{field}` is not set, which says {what}"),
        }
    }
}

impl Vocabulary {
    /// That of a policy, and of the sources that a site scrapes besides the gateway. Without series of the policy if they do not fit
    /// `metrics.max_series`, which `check` refuses.
    #[must_use]
    pub fn of(policy: &Policy, sources: &[Source]) -> Self {
        let mut vocabulary = Self::default();
        if let Ok(metrics) = GatewayMetrics::build(policy) {
            metrics.registry().stats_from(0).for_each(|stat| vocabulary.add_stat(&stat.name));
        }
        vocabulary.open();
        vocabulary.add_foreign(|source| source == Source::Prometheus || sources.contains(&source));
        vocabulary
    }

    /// All that is declared anywhere, whatever a policy says of it: what queries themselves are tested by.
    #[must_use]
    pub fn declared() -> Self {
        let mut vocabulary = Self::default();
        for (_, family) in families() {
            for name in series_of(family) {
                let labels = vocabulary.metrics.entry(name).or_default();
                for key in family.keys {
                    add_declared(labels, key);
                }
                if let Kind::Histogram(bounds) = family.kind {
                    labels
                        .insert("le".to_owned(), Known { values: bucket_texts(bounds), ..Known::default() });
                }
            }
        }
        vocabulary.add_foreign(|_| true);
        vocabulary
    }

    /// A stat's name carries its labels in front (`label=.=value;.;`).
    fn add_stat(&mut self, stat: &str) {
        let mut parts: Vec<&str> = stat.split(";.;").collect();
        let name = parts.pop().unwrap_or_default();
        // The scrape of `/metrics` has sums in seconds.
        let name = name
            .strip_suffix("_microseconds_sum")
            .map_or(name.to_owned(), |base| format!("{base}_seconds_sum"));
        let labels = self.metrics.entry(name).or_default();
        for (label, value) in parts.iter().filter_map(|part| part.split_once("=.=")) {
            labels.entry(label.to_owned()).or_default().values.insert(value.to_owned());
        }
    }

    /// Labels of which other values than the policy's may occur.
    fn open(&mut self) {
        for (_, family) in families() {
            for name in series_of(family) {
                let Some(labels) = self.metrics.get_mut(&name) else { continue };
                for (label, key) in
                    family.keys.iter().flat_map(|key| key.labels.iter().map(move |l| (*l, key)))
                {
                    if let Some(known) = labels.get_mut(label) {
                        known.admits = Some(key.admits);
                    }
                }
            }
        }
    }

    fn add_foreign(&mut self, wanted: impl Fn(Source) -> bool) {
        for foreign in FOREIGN.iter().filter(|foreign| wanted(foreign.from)) {
            let any = || Known { any: true, ..Known::default() };
            let labels = foreign.labels.iter().map(|label| ((*label).to_owned(), any()));
            self.metrics.entry(foreign.name.to_owned()).or_default().extend(labels);
        }
    }

    /// Adds the series of a recording rule, which keeps these labels.
    pub fn add_recorded(&mut self, name: &str, labels: &[&str]) {
        let any = || Known { any: true, ..Known::default() };
        let entry = self.metrics.entry(name.to_owned()).or_default();
        labels.iter().for_each(|label| {
            entry.entry((*label).to_owned()).or_insert_with(any);
        });
    }

    /// Adds a value of a label of a recorded series, which has no others but those that are added so.
    pub fn add_recorded_value(&mut self, name: &str, label: &str, value: &str) {
        let labels = self.metrics.entry(name.to_owned()).or_default();
        let known = labels.entry(label.to_owned()).or_default();
        known.any = false;
        known.values.insert(value.to_owned());
    }

    /// The values that a label of a metric has from the start.
    #[must_use]
    pub fn values(&self, metric: &str, label: &str) -> Vec<&str> {
        let known = self.metrics.get(metric).and_then(|labels| labels.get(label));
        known.map(|known| known.values.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// Whether every series that a query selects can exist. Grafana's variables may stand in it (`$__rate_interval`, `$job`), and `{w}` for a
    /// window.
    ///
    /// # Errors
    /// The first thing in it that cannot.
    pub fn check(&self, query: &str) -> Result<(), Missing> {
        let query = promql_parser::parser::parse(&with_windows(query)).map_err(Missing::Syntax)?;
        let mut selectors = Vec::new();
        collect(&query, &mut selectors);
        selectors.into_iter().try_for_each(|selector| self.check_selector(selector))
    }

    fn check_selector(&self, selector: &VectorSelector) -> Result<(), Missing> {
        let name = selector.name.as_deref().unwrap_or_default();
        let labels = self.metrics.get(name).ok_or_else(|| missing(name))?;
        let matchers = &selector.matchers.matchers;
        matchers.iter().try_for_each(|matcher| check_matcher(name, labels, matcher))
    }
}

fn check_matcher(name: &str, labels: &BTreeMap<String, Known>, matcher: &Matcher) -> Result<(), Missing> {
    let label = matcher.name.as_str();
    if label == "__name__" || TARGET_LABELS.contains(&label) {
        return Ok(());
    }
    let known = labels.get(label).ok_or_else(|| Missing::Label(name.to_owned(), label.to_owned()))?;
    if known.has(matcher) {
        return Ok(());
    }
    Err(Missing::Value(name.to_owned(), label.to_owned(), matcher.value.clone()))
}

impl Known {
    /// Whether a matcher speaks of values that there are. One that leaves out must leave out something that is there.
    fn has(&self, matcher: &Matcher) -> bool {
        if self.any || matcher.value.contains('$') {
            return true;
        }
        let admits = |text: &str| self.admits.is_some_and(|admits| admits(text));
        match &matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => {
                matcher.value.is_empty() || self.values.contains(&matcher.value) || admits(&matcher.value)
            }
            MatchOp::Re(regex) | MatchOp::NotRe(regex) => {
                self.values.iter().any(|value| regex.is_match(value)) || matcher.value.split('|').all(admits)
            }
        }
    }
}

/// Why there is no metric of this name.
fn missing(name: &str) -> Missing {
    if let Some((_, family)) = families().find(|(_, family)| series_of(family).iter().any(|of| of == name)) {
        let exists = family.when.map(|when| format!(", which exists where {}", when.0)).unwrap_or_default();
        return Missing::Metric(name.to_owned(), exists);
    }
    match FOREIGN.iter().find(|foreign| foreign.name == name) {
        Some(foreign) => Missing::NotScraped(name.to_owned(), foreign.from),
        None => Missing::Unknown(name.to_owned()),
    }
}

/// The names of a family's series.
fn series_of(family: &Family) -> Vec<String> {
    match family.kind {
        Kind::Histogram(_) => {
            ["bucket", "count", "sum"].iter().map(|part| format!("{}_{part}", family.name)).collect()
        }
        Kind::Counter | Kind::Gauge => vec![family.name.to_owned()],
    }
}

fn add_declared(labels: &mut BTreeMap<String, Known>, key: &Key) {
    let rows = match key.about.values {
        portcullis_metrics::Values::Fixed(rows) => rows(),
        _ => Vec::new(),
    };
    for (at, label) in key.labels.iter().enumerate() {
        let known = labels.entry((*label).to_owned()).or_default();
        known.any |= rows.is_empty();
        known.values.extend(rows.iter().filter_map(|row| row.get(at)).map(|value| value.to_string()));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a bound is a few seconds")]
fn bucket_texts(bounds: &[u64]) -> BTreeSet<String> {
    let bounds = bounds.iter().map(|micros| (*micros as f64 / 1e6).to_string());
    bounds.chain(["+Inf".to_owned()]).collect()
}

/// A query with a window in the place of what stands for one.
fn with_windows(query: &str) -> String {
    let windows = ["$__rate_interval", "$__interval", "$__range", "{w}"];
    windows.iter().fold(query.to_owned(), |query, window| query.replace(window, "5m"))
}

/// The selectors of a query, subqueries included.
fn collect<'q>(query: &'q Expr, selectors: &mut Vec<&'q VectorSelector>) {
    match query {
        Expr::VectorSelector(selector) => selectors.push(selector),
        Expr::MatrixSelector(matrix) => selectors.push(&matrix.vs),
        Expr::Aggregate(aggregate) => collect(&aggregate.expr, selectors),
        Expr::Unary(unary) => collect(&unary.expr, selectors),
        Expr::Paren(paren) => collect(&paren.expr, selectors),
        Expr::Subquery(subquery) => collect(&subquery.expr, selectors),
        Expr::Binary(binary) => {
            collect(&binary.lhs, selectors);
            collect(&binary.rhs, selectors);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| collect(argument, selectors)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        vocabulary.add_stat("status=.=success;.;x_total");
        vocabulary.add_stat("le=.=0.1;.;y_seconds_bucket");
        vocabulary.add_stat("y_microseconds_sum");
        vocabulary
    }

    #[test]
    fn a_query_may_name_only_what_can_exist() {
        let check = |query: &str| vocabulary().check(query);
        assert_eq!(
            check(r#"sum(rate(x_total{status="success",job="g"}[5m])) / sum(rate(y_seconds_sum[{w}]))"#),
            Ok(())
        );
        assert_eq!(
            check("histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[$__rate_interval])))"),
            Ok(())
        );
        assert_eq!(check("max_over_time((z > 1)[1h:30s])"), Err(Missing::Unknown("z".to_owned())));
        assert_eq!(check(r#"x_total{reason="a"}"#), Err(Missing::Label("x_total".into(), "reason".into())));
        let never = |value: &str| Err(Missing::Value("x_total".into(), "status".into(), value.into()));
        assert_eq!(check(r#"x_total{status="succes"}"#), never("succes"));
        assert_eq!(check(r#"x_total{status=~"succes|failed"}"#), never("succes|failed"));
        assert_eq!(check(r#"x_total{status!="mising"}"#), never("mising"));
        assert_eq!(check(r#"x_total{status=~"$status"}"#), Ok(()));
        assert!(matches!(check("rate(x_total[5m]"), Err(Missing::Syntax(_))));
    }

    #[test]
    fn what_is_missing_says_where_it_would_exist() {
        let text = |query: &str| vocabulary().check(query).unwrap_err().to_string();
        assert_eq!(
            text("auth_jwt_validation_total"),
            "the policy makes no series `auth_jwt_validation_total`, which exists where the policy has a section `jwt`"
        );
        assert_eq!(
            text("node_load1"),
            "`node_load1` comes from node_exporter, and `sources.node_exporter` scrapes none"
        );
    }

    #[test]
    fn declared_values_are_known_without_a_policy() {
        let declared = Vocabulary::declared();
        let check = |query: &str| declared.check(query);
        assert_eq!(check(r#"auth_suspicious_activity_total{type="token_abuse"}"#), Ok(()));
        assert!(check(r#"auth_suspicious_activity_total{type="token_misuse"}"#).is_err());
        assert_eq!(check(r#"gateway_request_duration_seconds_bucket{le="0.2"}"#), Ok(()));
        assert!(check(r#"gateway_request_latency_seconds_bucket{le="0.2"}"#).is_err());
    }
}
