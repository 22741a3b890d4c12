//! All files for a policy and a site.

use crate::dashboards::{self, Inputs};
use crate::foreign::Source;
use crate::rule::{Group, Rule};
use crate::settings::{Kubernetes, Settings};
use crate::slo::{self, Document, Indicator, Objective};
use crate::vocabulary::{Missing, Vocabulary};
use crate::{alertmanager, alerts, anomaly, kubernetes, logins, logs, prometheus, recording};
use portcullis_access_log::Users;
use portcullis_policy::Policy;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What was written, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// File names, with the folder if they are not at the top, and contents.
    pub files: Vec<(String, String)>,
    /// Rules that would have no data under this policy and these settings, and why.
    pub left_out: Vec<String>,
}

/// The rules that have data.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// In groups.
    pub groups: Vec<Group>,
    /// The objectives that they watch, as OpenSLO documents.
    pub documents: Vec<Document>,
    /// What is not among them, and why.
    pub left_out: Vec<String>,
    /// What queries may name, recorded series included.
    pub vocabulary: Vocabulary,
}

/// Renders everything that the policy has data for.
#[must_use]
pub fn render(policy: &Policy, settings: &Settings) -> Rendered {
    let rules = Rules::of(policy, settings, &settings.sources.scraped());
    let fields: Vec<&str> = policy.logs.fields.iter().map(|field| &*field.name).collect();
    let has_users = policy.logs.users != Users::Hidden;
    let mut files = vec![
        ("rules.yaml".to_owned(), yaml(&json!({ "groups": rules.groups }))),
        ("slos.yaml".to_owned(), format!("{HEADER}{}", slo::documents_yaml(&rules.documents))),
        ("prometheus.yaml".to_owned(), yaml(&prometheus::with_targets(policy, settings))),
        ("alertmanager.yaml".to_owned(), yaml(&alertmanager::config(settings, "portcullis.tmpl"))),
        ("portcullis.tmpl".to_owned(), alertmanager::TEMPLATES.to_owned()),
        ("logs/collector.yaml".to_owned(), yaml(&logs::collector())),
        ("logs/loki.yaml".to_owned(), yaml(&logs::loki(settings.retention.logs.0))),
        (
            "logs/loki-rules.yaml".to_owned(),
            yaml(&logs::rules(&policy.gateway.name, &fields, has_users, settings)),
        ),
        (
            "logs/victoria-logs-rules.yaml".to_owned(),
            yaml(&logs::stored(&policy.gateway.name, has_users, settings)),
        ),
    ];
    let shown = shown(policy, settings);
    files.extend(shown.files.iter().map(|(name, json)| (name.clone(), pretty(json))));
    if let Some(place) = &settings.kubernetes {
        files.extend(in_cluster(policy, settings, place, &shown.files));
    }
    Rendered { files, left_out: [rules.left_out, without_users(has_users), shown.left_out].concat() }
}

fn without_users(has_users: bool) -> Vec<String> {
    let why = || format!("alert {}: lines name no user (`logs.user` is `none`)", logs::BY_USER);
    if has_users { Vec::new() } else { vec![why()] }
}

/// The dashboards, and what they cannot show.
struct Shown {
    files: Vec<(String, Value)>,
    left_out: Vec<String>,
}

/// Dashboards are asked of whatever Prometheus a site has: who scrapes nodes and pods there is no matter of the policy, so nothing is
/// left out for want of an exporter.
fn shown(policy: &Policy, settings: &Settings) -> Shown {
    let rules = Rules::of(policy, settings, &IN_CLUSTER);
    let inputs = Inputs::of(policy, settings, &rules);
    let dashboards = dashboards::dashboards(&rules.vocabulary, &inputs);
    Shown { files: dashboards.files(&inputs.site), left_out: dashboards.left_out }
}

/// Where kube-prometheus-stack brings every other source with it.
const IN_CLUSTER: [Source; 7] = [
    Source::PrometheusItself,
    Source::Alertmanager,
    Source::Envoy,
    Source::Collector,
    Source::Node,
    Source::KubeState,
    Source::Cadvisor,
];

fn in_cluster(
    policy: &Policy,
    settings: &Settings,
    place: &Kubernetes,
    dashboards: &[(String, Value)],
) -> Vec<(String, String)> {
    let rules = Rules::of(policy, settings, &IN_CLUSTER);
    let secret = kubernetes::alertmanager_secret(settings, place, body);
    let monitors = kubernetes::monitors(policy, settings, place);
    let dashboards: Vec<(String, String)> =
        dashboards.iter().map(|(name, json)| (uid(name), json.to_string())).collect();
    let config_maps =
        kubernetes::dashboard_config_maps(dashboards.iter().map(|(uid, json)| (&**uid, &**json)), place);
    [
        ("dashboards.yaml", documents(&config_maps)),
        ("prometheus.yaml", yaml(&prometheus::with_discovery(policy, settings, place))),
        ("rules.yaml", yaml(&json!({ "groups": rules.groups }))),
        ("values.yaml", yaml(&kubernetes::values(settings, place))),
        ("prometheus-rule.yaml", yaml(&kubernetes::prometheus_rule(&rules.groups, place))),
        ("monitors.yaml", documents(&monitors)),
        ("alertmanager-secret.yaml", yaml(&secret)),
    ]
    .map(|(name, text)| (format!("kubernetes/{name}"), text))
    .into()
}

/// Every rule that could be written, whatever a policy has data for: what the rules themselves are tested by.
#[must_use]
pub fn every_rule(settings: &Settings) -> Vec<Group> {
    let documents: Vec<Document> = slo::all(settings).iter().map(Objective::document).collect();
    let mut recordings = recording::all();
    recordings.push(logins::rule(&["/login".to_owned()], &[401]));
    let mut groups = vec![recording::group(recordings)];
    groups.extend(anomaly::SIGNALS.iter().map(anomaly::group));
    groups.extend(slo::rules(&documents, settings));
    groups.extend(slo::invariants(&documents));
    groups.push(group("gateway-alerts", alerts::all().iter().map(|alert| alert.rule(settings)).collect()));
    groups
}

fn group(name: &str, rules: Vec<Rule>) -> Group {
    Group { name: name.to_owned(), interval: String::new(), rules }
}

impl Rules {
    /// Those for a policy, where these sources are scraped.
    #[must_use]
    pub fn of(policy: &Policy, settings: &Settings, sources: &[Source]) -> Self {
        let mut kept = Kept { vocabulary: Vocabulary::of(policy, sources), left_out: Vec::new() };
        let mut groups = vec![recording::group(kept.recordings(policy))];
        let signals = anomaly::SIGNALS.iter().map(anomaly::group);
        groups.extend(signals.filter(|signal| kept.whole(signal)).collect::<Vec<_>>());
        let documents = kept.objectives(settings);
        groups.extend(slo::rules(&documents, settings));
        groups.extend(slo::invariants(&documents));
        groups.iter().flat_map(|group| &group.rules).for_each(|rule| kept.add(rule));
        let alerts = alerts::all().iter().map(|alert| alert.rule(settings)).collect();
        groups.push(group("gateway-alerts", kept.with_data(alerts, "alert")));
        Self { groups, documents, left_out: kept.left_out, vocabulary: kept.vocabulary }
    }
}

/// Keeps rules that can have data, and notes the others.
struct Kept {
    vocabulary: Vocabulary,
    left_out: Vec<String>,
}

impl Kept {
    fn recordings(&mut self, policy: &Policy) -> Vec<Rule> {
        let mut kept = Vec::new();
        for rule in recording::all() {
            kept.extend(self.with_data(vec![rule], "recording rule"));
            kept.last().into_iter().for_each(|rule| self.add(rule));
        }
        match logins::of(policy) {
            Ok(rule) => {
                self.add(&rule);
                kept.push(rule);
            }
            Err(missing) => {
                self.left_out.push(format!("recording rule gateway:failed_logins:rate5m: {missing}"));
            }
        }
        kept
    }

    /// Whether all rules of a group have data, which need each other.
    fn whole(&mut self, group: &Group) -> bool {
        let Some(first) = group.rules.first() else { return false };
        let has_data = !self.with_data(vec![first.clone()], &group.name).is_empty();
        if has_data {
            group.rules.iter().for_each(|rule| self.add(rule));
        }
        has_data
    }

    fn objectives(&mut self, settings: &Settings) -> Vec<Document> {
        if settings.orders.is_none() {
            let missing = Missing::Setting("orders", "which business events are orders");
            self.left_out.push(format!("objective orders: {missing}"));
        }
        let mut documents = Vec::new();
        for objective in slo::all(settings) {
            let missing =
                objective.queries().into_iter().find_map(|query| self.vocabulary.check(query).err());
            match missing {
                Some(missing) => self.left_out.push(format!("objective {}: {missing}", objective.name)),
                None => documents.push(self.known(&objective)),
            }
        }
        documents
    }

    /// The document of an objective, whose series are known from here on.
    fn known(&mut self, objective: &Objective) -> Document {
        if matches!(objective.indicator, Indicator::Invariant { .. }) {
            self.vocabulary.add_recorded_value("slo:invariant:difference", "slo", objective.name);
        }
        objective.document()
    }

    fn add(&mut self, rule: &Rule) {
        if !rule.record.is_empty() && rule.record != "slo:invariant:difference" {
            self.vocabulary.add_recorded(&rule.record, recording::labels_of(&rule.record));
        }
        if let Some(signal) = rule.labels.get("signal") {
            self.vocabulary.add_recorded_value(&rule.record, "signal", signal);
        }
    }

    fn with_data(&mut self, rules: Vec<Rule>, what: &str) -> Vec<Rule> {
        let mut kept = Vec::new();
        for rule in rules {
            match self.vocabulary.check(&rule.expr) {
                Ok(()) => kept.push(rule),
                Err(missing) => self.left_out.push(format!("{what} {}: {missing}", rule.name())),
            }
        }
        kept
    }
}

/// The uid of a dashboard's file.
fn uid(name: &str) -> String {
    name.trim_start_matches("dashboards/").trim_end_matches(".json").to_owned()
}

/// JSON for people; a tree of maps with text as keys always has one.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

const HEADER: &str =
    "# Rendered by `portcullis render monitoring`. Edit the policy and the settings, not this file.\n";

/// A tree of maps with text as keys always has a YAML form.
fn body(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

fn yaml(value: &impl Serialize) -> String {
    format!("{HEADER}{}", serde_saphyr::to_string(value).unwrap_or_default())
}

fn documents(values: &[Value]) -> String {
    let bodies: Vec<String> = values.iter().map(body).collect();
    format!("{HEADER}{}", bodies.join("---\n"))
}

/// Every alert that could be written: of metrics, and of log lines in Loki's language.
#[must_use]
pub fn every_alert(settings: &Settings) -> Vec<Rule> {
    let rules = every_rule(settings).into_iter().flat_map(|group| group.rules);
    let of_lines = logs::alerts("gateway", &[], settings);
    rules.filter(|rule| !rule.alert.is_empty()).chain(of_lines).collect()
}

/// The names of all alerts, in order.
#[must_use]
pub fn alert_names(settings: &Settings) -> Vec<String> {
    let names: BTreeSet<String> = every_alert(settings).into_iter().map(|rule| rule.alert).collect();
    names.into_iter().collect()
}
