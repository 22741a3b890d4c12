//! The series that a policy makes possible, and whether a query speaks of them.

use portcullis_pipeline::GatewayMetrics;
use portcullis_policy::Policy;
use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};
use std::collections::{BTreeMap, BTreeSet};

/// Names of metrics, their labels and, where the policy decides, the labels' values.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// Why a query would have no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is no PromQL; the parser's words.
    Syntax(String),
    /// This policy makes no such series.
    Metric(String),
    /// The metric has no such label.
    Label(String, String),
    /// The label never has this value.
    Value(String, String, String),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "it is no PromQL: {error}"),
            Self::Metric(metric) => write!(f, "the policy makes no series `{metric}`"),
            Self::Label(metric, label) => write!(f, "`{metric}` has no label `{label}`"),
            Self::Value(metric, label, value) => write!(f, "`{label}` of `{metric}` is never `{value}`"),
        }
    }
}

/// What others expose: Prometheus itself, and Envoy's own stats on its admin port. Names and the labels that our queries use.
const OTHERS: [(&str, &[&str]); 4] = [
    ("up", &["job", "instance"]),
    ("ALERTS", &["alertname", "alertstate"]),
    ("envoy_wasm_portcullis_vm_reload_success", &["job", "instance"]),
    ("envoy_http_downstream_rq_completed", &["job", "instance", "envoy_http_conn_manager_prefix"]),
];

/// Labels that Prometheus adds to every series.
const TARGET: [&str; 2] = ["job", "instance"];

impl Vocabulary {
    /// That of a policy. Empty if its series do not fit `metrics.max_series`, which `check` refuses.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let mut vocabulary = Self::default();
        if let Ok(metrics) = GatewayMetrics::build(policy) {
            metrics.registry().stats_from(0).for_each(|stat| vocabulary.add_stat(&stat.name));
        }
        for (name, labels) in OTHERS {
            let labels = labels.iter().map(|label| ((*label).to_owned(), BTreeSet::new()));
            vocabulary.0.entry(name.to_owned()).or_default().extend(labels);
        }
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
        let labels = self.0.entry(name).or_default();
        for (label, value) in parts.iter().filter_map(|part| part.split_once("=.=")) {
            labels.entry(label.to_owned()).or_default().insert(value.to_owned());
        }
    }

    /// Adds the series of a recording rule, which keeps these labels.
    pub fn add_recorded(&mut self, name: &str, labels: &[&str]) {
        let labels = labels.iter().map(|label| ((*label).to_owned(), BTreeSet::new()));
        self.0.entry(name.to_owned()).or_default().extend(labels);
    }

    /// Whether every series that a query selects can exist.
    ///
    /// # Errors
    /// The first thing in it that cannot.
    pub fn check(&self, query: &str) -> Result<(), Missing> {
        let query = promql_parser::parser::parse(query).map_err(Missing::Syntax)?;
        let mut selectors = Vec::new();
        collect(&query, &mut selectors);
        selectors.into_iter().try_for_each(|selector| self.check_selector(selector))
    }

    fn check_selector(&self, selector: &VectorSelector) -> Result<(), Missing> {
        let name = selector.name.as_deref().unwrap_or_default();
        let labels = self.0.get(name).ok_or_else(|| Missing::Metric(name.to_owned()))?;
        for matcher in &selector.matchers.matchers {
            let label = matcher.name.as_str();
            if label == "__name__" || TARGET.contains(&label) {
                continue;
            }
            let values =
                labels.get(label).ok_or_else(|| Missing::Label(name.to_owned(), label.to_owned()))?;
            let is_exact = matches!(matcher.op, MatchOp::Equal);
            if is_exact && !values.is_empty() && !values.contains(&matcher.value) {
                return Err(Missing::Value(name.to_owned(), label.to_owned(), matcher.value.clone()));
            }
        }
        Ok(())
    }
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
            check(r#"sum(rate(x_total{status="success",job="g"}[5m])) / sum(rate(y_seconds_sum[5m]))"#),
            Ok(())
        );
        assert_eq!(check(r#"histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m])))"#), Ok(()));
        assert_eq!(check("max_over_time((z > 1)[1h:30s])"), Err(Missing::Metric("z".to_owned())));
        assert_eq!(check(r#"x_total{reason="a"}"#), Err(Missing::Label("x_total".into(), "reason".into())));
        assert_eq!(
            check(r#"x_total{status="succes"}"#),
            Err(Missing::Value("x_total".into(), "status".into(), "succes".into()))
        );
        assert!(matches!(check("rate(x_total[5m]"), Err(Missing::Syntax(_))));
    }
}
