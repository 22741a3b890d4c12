//! OpenSLO documents (`openslo/v1`, kind `SLO`). Events become a ratio metric of bad and total, time a raw ratio, an invariant a threshold
//! metric whose value must be 0.

use super::{Indicator, Objective};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// An objective as an OpenSLO document. In its queries, `{{.window}}` stands for a window, as sloth has it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Document(Value);

impl Document {
    pub(super) fn of(objective: &Objective) -> Self {
        let (indicator, method, target) = match &objective.indicator {
            Indicator::Events { bad, total } => {
                let ratio = json!({ "counter": true, "bad": source(bad), "total": source(total) });
                let target = json!({ "target": share(objective.percent) });
                (json!({ "ratioMetric": ratio }), "Occurrences", target)
            }
            Indicator::Time { bad } => {
                let ratio = json!({ "counter": false, "rawType": "failure", "raw": source(bad) });
                let target = json!({ "target": share(objective.percent) });
                (json!({ "ratioMetric": ratio }), "Occurrences", target)
            }
            Indicator::Invariant { difference } => {
                let target = json!({ "op": "lte", "value": 0, "target": 1 });
                (json!({ "thresholdMetric": source(difference) }), "Occurrences", target)
            }
        };
        let name = objective.name.replace('_', "-");
        Self(json!({
            "apiVersion": "openslo/v1",
            "kind": "SLO",
            "metadata": { "name": name, "annotations": { "dashboard": objective.dashboard, "label": objective.name } },
            "spec": {
                "description": format!("The share of {}.", objective.title),
                "service": "gateway",
                "indicator": { "metadata": { "name": name }, "spec": indicator },
                "timeWindow": [{ "duration": "30d", "isRolling": true }],
                "budgetingMethod": method,
                "objectives": [target],
            },
        }))
    }

    fn at(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The label `slo`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.at("/metadata/annotations/label")
    }

    /// The uid of the dashboard that it is shown on.
    #[must_use]
    pub fn dashboard(&self) -> &str {
        self.at("/metadata/annotations/dashboard")
    }

    /// The share of good that is promised; 1 for invariants.
    #[must_use]
    pub fn target(&self) -> f64 {
        self.0.pointer("/spec/objectives/0/target").and_then(Value::as_f64).unwrap_or(1.0)
    }

    /// What is measured of it, with its window filled in.
    #[must_use]
    pub fn indicator(&self, window: &str) -> Indicator {
        const RATIO: &str = "/spec/indicator/spec/ratioMetric";
        let query =
            |pointer: &str| self.at(&format!("{pointer}/metricSource/spec/query")).replace(WINDOW, window);
        let [bad, total, raw] = ["bad", "total", "raw"].map(|part| query(&format!("{RATIO}/{part}")));
        let difference = query("/spec/indicator/spec/thresholdMetric");
        if !difference.is_empty() {
            Indicator::Invariant { difference }
        } else if raw.is_empty() {
            Indicator::Events { bad, total }
        } else {
            Indicator::Time { bad: raw }
        }
    }
}

const WINDOW: &str = "{{.window}}";

fn source(query: &str) -> Value {
    json!({ "metricSource": { "type": "Prometheus", "spec": { "query": query.replace("{w}", WINDOW) } } })
}

/// Per cent as a share, without what binary fractions add.
fn share(percent: f64) -> f64 {
    (percent * 1e7).round() / 1e9
}

/// Documents as one YAML stream.
#[must_use]
pub fn documents_yaml(documents: &[Document]) -> String {
    documents.iter().fold(String::new(), |mut yaml, document| {
        let body = serde_saphyr::to_string(document).unwrap_or_default();
        let _ = writeln!(yaml, "---\n{}", body.trim_end());
        yaml
    })
}
