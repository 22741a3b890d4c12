//! All files for a policy and a site.

use crate::rule::{Group, Rule};
use crate::vocabulary::Vocabulary;
use crate::{Settings, alertmanager, alerts, objectives, recording};
use objectives::Objective;
use portcullis_policy::Policy;
use serde::Serialize;
use serde_json::{Value, json};

/// What was written, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// File names and contents.
    pub files: Vec<(&'static str, String)>,
    /// Rules that would have no data under this policy, and why.
    pub left_out: Vec<String>,
}

/// Renders everything that the policy has data for.
#[must_use]
pub fn render(policy: &Policy, settings: &Settings) -> Rendered {
    let mut kept =
        Kept { vocabulary: Vocabulary::of(policy, &[crate::foreign::Source::Envoy]), left_out: Vec::new() };
    let recordings = kept.recordings();
    let objectives = kept.objectives(settings);
    let alerts = kept.rules(alerts::all(&settings.runbooks_url), "alert");
    let groups = [
        recording::group(recordings),
        group("gateway-objectives", objectives),
        group("gateway-alerts", alerts),
    ];
    let files = vec![
        ("rules.yaml", yaml(&json!({ "groups": groups }))),
        ("prometheus.yaml", yaml(&prometheus(settings))),
        ("alertmanager.yaml", yaml(&alertmanager::config(settings))),
    ];
    Rendered { files, left_out: kept.left_out }
}

/// Every rule file that could be written, whatever a policy has data for: what the rules themselves are tested by.
#[must_use]
pub fn every_rule(settings: &Settings) -> String {
    let recordings = recording::all();
    let objectives = objectives::all(settings);
    let objectives = objectives
        .iter()
        .flat_map(|objective| [objective.recordings(), objective.alerts(&settings.runbooks_url)].concat());
    let alerts = alerts::all(&settings.runbooks_url);
    let groups = [
        recording::group(recordings),
        group("gateway-objectives", objectives.collect()),
        group("gateway-alerts", alerts),
    ];
    yaml(&json!({ "groups": groups }))
}

fn group(name: &str, rules: Vec<Rule>) -> Group {
    Group { name: name.to_owned(), interval: String::new(), rules }
}

/// Keeps rules that can have data, and notes the others.
struct Kept {
    vocabulary: Vocabulary,
    left_out: Vec<String>,
}

impl Kept {
    fn recordings(&mut self) -> Vec<Rule> {
        let mut kept = Vec::new();
        for rule in recording::all() {
            if self.has_data(&rule, "recording rule") {
                self.vocabulary.add_recorded(&rule.record, recording::labels_of(&rule.record));
                kept.push(rule);
            }
        }
        kept
    }

    fn objectives(&mut self, settings: &Settings) -> Vec<Rule> {
        let mut kept = Vec::new();
        for objective in objectives::all(settings) {
            let recordings = objective.recordings();
            let Some(first) = recordings.first() else { continue };
            if !self.has_data(first, &format!("objective {}", objective.name)) {
                continue;
            }
            let mut vocabulary = self.vocabulary.clone();
            Objective::recorded().iter().for_each(|name| vocabulary.add_recorded(name, &["job", "slo"]));
            kept.extend(recordings);
            kept.extend(self.rules_of(objective.alerts(&settings.runbooks_url), "alert", &vocabulary));
        }
        kept
    }

    fn rules(&mut self, rules: Vec<Rule>, what: &str) -> Vec<Rule> {
        let vocabulary = self.vocabulary.clone();
        self.rules_of(rules, what, &vocabulary)
    }

    fn rules_of(&mut self, rules: Vec<Rule>, what: &str, vocabulary: &Vocabulary) -> Vec<Rule> {
        let keep = |rule: &Rule| match vocabulary.check(&rule.expr) {
            Ok(()) => true,
            Err(missing) => {
                self.left_out.push(format!("{what} {}: {missing}", rule.name()));
                false
            }
        };
        rules.into_iter().filter(keep).collect()
    }

    fn has_data(&mut self, rule: &Rule, what: &str) -> bool {
        match self.vocabulary.check(&rule.expr) {
            Ok(()) => true,
            Err(missing) => {
                self.left_out.push(format!("{what} {}: {missing}", rule.name()));
                false
            }
        }
    }
}

fn prometheus(settings: &Settings) -> Value {
    json!({
        "global": {
            "scrape_interval": settings.scrape.interval.to_string(),
            "evaluation_interval": settings.scrape.interval.to_string(),
        },
        "rule_files": ["rules.yaml"],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": ["127.0.0.1:9093"] }] }] },
        "scrape_configs": [{
            "job_name": "gateway",
            "metrics_path": "/metrics",
            "static_configs": [{ "targets": settings.scrape.targets }],
        }],
    })
}

/// A tree of maps with text as keys always has a YAML form.
fn yaml(value: &impl Serialize) -> String {
    let body = serde_saphyr::to_string(value).unwrap_or_default();
    format!(
        "# Rendered by `portcullis render monitoring`. Edit the policy and the settings, not this file.\n{body}"
    )
}
