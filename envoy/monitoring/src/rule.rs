//! A rule of Prometheus, as data.

use serde::Serialize;
use std::collections::BTreeMap;

/// A recording rule or an alert.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rule {
    /// The name of the series that it records.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub record: String,
    /// The name of the alert that it raises.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alert: String,
    /// PromQL.
    pub expr: String,
    /// How long the expression must hold before the alert fires.
    #[serde(rename = "for", skip_serializing_if = "String::is_empty")]
    pub hold: String,
    /// Labels of the result.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Texts of the alert.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Rules that are evaluated together, in order.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How often its rules are evaluated; as often as all, if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// A recording rule.
    #[must_use]
    pub fn record(name: &str, expr: impl Into<String>) -> Self {
        Self { record: name.to_owned(), expr: expr.into(), ..Self::default() }
    }

    /// The same with a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: impl Into<String>) -> Self {
        self.labels.insert(name.to_owned(), value.into());
        self
    }

    /// The same with a text.
    #[must_use]
    pub fn annotated(mut self, name: &str, text: impl Into<String>) -> Self {
        self.annotations.insert(name.to_owned(), text.into());
        self
    }

    /// What the rule is known by.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.record.is_empty() { &self.alert } else { &self.record }
    }
}
