//! The dashboards. Each is data (`model`): which questions it answers, and how the answers are shown. What would have no data under a
//! policy is left out, and [`Dashboards::left_out`] says what and why.

mod authentication;
mod budgets;
mod gateway;
mod grafana;
mod infrastructure;
mod model;
mod security;
mod services;
mod users;

pub use grafana::{NO_TRAFFIC, Site};
pub use infrastructure::Prices;
pub use model::{About, Asked, Dashboard, Kind, Panel, Query, Row, Source};

use crate::{Missing, Rules, Settings, Vocabulary, query};
use portcullis_policy::Policy;
use serde_json::Value;

/// What dashboards are made of besides the policy's vocabulary.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Names of services, in the policy's order.
    pub services: Vec<&'a str>,
    /// What a site pays.
    pub prices: Prices,
    /// Objectives that are watched, by name.
    pub objectives: Vec<&'a str>,
    /// What marks are drawn, and whose log lines are looked at.
    pub site: Site,
}

/// Dashboards that have data, and what has none.
#[derive(Clone, Debug, Default)]
pub struct Dashboards {
    /// Those with at least one panel.
    pub kept: Vec<Dashboard>,
    /// Panels, and whole dashboards, that would have no data, and why.
    pub left_out: Vec<String>,
}

impl<'a> Inputs<'a> {
    /// Those of a policy and a site, whose rules are these.
    #[must_use]
    pub fn of(policy: &'a Policy, settings: &Settings, rules: &'a Rules) -> Self {
        let prices = &settings.prices;
        Self {
            services: policy.services.iter().map(|service| &*service.name).collect(),
            prices: Prices {
                core_hour: prices.cpu_core_hour,
                memory_gib_hour: prices.memory_gib_hour,
                thousand_series_month: prices.thousand_series_month,
                logs_gib: prices.logs_gib,
            },
            objectives: rules.documents.iter().map(crate::Document::name).collect(),
            site: Site { gateway: policy.gateway.name.clone(), annotations: annotations(&rules.vocabulary) },
        }
    }
}

/// Marks on every panel: alerts as they begin to fire, and new policies.
fn annotations(vocabulary: &Vocabulary) -> Vec<(&'static str, &'static str, String, &'static str)> {
    let alerts = query!(r#"ALERTS{alertstate="firing",alertname!="Watchdog"}"#).to_owned();
    let policies = query!(
        "count by (policy) (portcullis_policy_info == 1) unless count by (policy) (portcullis_policy_info offset 1m == 1)"
    );
    let all = [
        ("Alerts", "red", alerts, "{{alertname}}"),
        ("Policies", "blue", policies.to_owned(), "policy {{policy}}"),
    ];
    // A gateway that does not say which policy is in force leaves no marks of it.
    all.into_iter().filter(|(_, _, expr, _)| vocabulary.check(&expr.replace("{@}", "")).is_ok()).collect()
}

/// Every dashboard, whatever a policy has data for.
#[must_use]
pub fn every(inputs: &Inputs<'_>) -> Vec<Dashboard> {
    let mut all = [
        security::dashboards(),
        gateway::dashboards(),
        authentication::dashboards(),
        users::dashboards(),
        services::dashboards(&inputs.services),
        infrastructure::dashboards(inputs.prices),
    ]
    .concat();
    all.iter_mut().for_each(|dashboard| budgets::add(dashboard, &inputs.objectives));
    all
}

/// The dashboards for which there is data.
#[must_use]
pub fn dashboards(vocabulary: &Vocabulary, inputs: &Inputs<'_>) -> Dashboards {
    let mut result = Dashboards::default();
    for mut dashboard in every(inputs) {
        let mut missing = Vec::new();
        for row in &mut dashboard.rows {
            row.panels.retain_mut(|panel| keep(panel, vocabulary, inputs, &mut missing));
        }
        dashboard.rows.retain(|row| !row.panels.is_empty());
        let name = dashboard.title;
        missing.dedup();
        result.left_out.extend(missing.iter().map(|missing| format!("dashboard {name}: {missing}")));
        match dashboard.rows.iter().any(|row| row.title != budgets::TITLE) {
            true => result.kept.push(dashboard),
            false => result.left_out.push(format!("dashboard {name}: it has no panel left")),
        }
    }
    result
}

/// Drops queries without data; whether any is left.
fn keep(panel: &mut Panel, vocabulary: &Vocabulary, inputs: &Inputs<'_>, missing: &mut Vec<String>) -> bool {
    let title = panel.title.clone();
    panel.queries.retain(|query| match check(query, vocabulary, inputs) {
        Ok(()) => true,
        Err(why) => {
            missing.push(format!("panel {title}: {why}"));
            false
        }
    });
    !panel.queries.is_empty()
}

fn check(query: &Query, vocabulary: &Vocabulary, inputs: &Inputs<'_>) -> Result<(), Missing> {
    match query.source {
        Source::Logs => Ok(()),
        Source::Metrics => vocabulary.check(&with_example_values(&query.text(&inputs.site))),
    }
}

/// A query as Prometheus would get it: Grafana's variables have values.
#[must_use]
pub fn with_example_values(query: &str) -> String {
    query.replace("$__rate_interval", "2m").replace("$__range", "1h")
}

impl Dashboards {
    /// File names and contents.
    #[must_use]
    pub fn files(&self, site: &Site) -> Vec<(String, Value)> {
        let of = |dashboard: &Dashboard| {
            (format!("dashboards/{}.json", dashboard.uid()), grafana::dashboard(dashboard, site))
        };
        self.kept.iter().map(of).collect()
    }
}
