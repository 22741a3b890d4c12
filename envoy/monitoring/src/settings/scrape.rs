//! What Prometheus scrapes.

use super::not_a_target;
use crate::foreign::Source;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, PolicyDuration};
use schemars::JsonSchema;

/// Scraping of the gateways.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Scrape {
    /// Time between scrapes, and between evaluations of rules (default `30s`).
    #[deserr(default = Scrape::default().interval)]
    pub interval: PolicyDuration,
    /// `host:port` of each gateway's metrics (default: where the policy's `metrics.listen` says).
    #[deserr(default)]
    pub targets: Vec<String>,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { interval: PolicyDuration::secs(30), targets: Vec::new() }
    }
}

impl Scrape {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let (least, most) = (PolicyDuration::secs(5), PolicyDuration::secs(60));
        let mut errors = Vec::from_iter(self.interval.outside(least, most, &at.key("interval")));
        errors.extend(not_targets(&self.targets, &at.key("targets")));
        errors
    }
}

/// `host:port` of what else is scraped.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Sources {
    /// Envoy's own stats: its admin port.
    #[deserr(default)]
    pub envoy: Vec<String>,
    /// The collector that ships log lines.
    #[deserr(default)]
    pub collector: Vec<String>,
    /// Prometheus itself.
    #[deserr(default)]
    pub prometheus: Vec<String>,
    /// Alertmanager, which also gets the alerts.
    #[deserr(default)]
    pub alertmanager: Vec<String>,
    /// node_exporter of each machine.
    #[deserr(default)]
    pub node_exporter: Vec<String>,
    /// kube-state-metrics.
    #[deserr(default)]
    pub kube_state_metrics: Vec<String>,
    /// cAdvisor of each machine.
    #[deserr(default)]
    pub cadvisor: Vec<String>,
}

impl Sources {
    /// Each source that may be scraped, its targets and the job that it is scraped as.
    #[must_use]
    pub fn all(&self) -> [(Source, &'static str, &[String]); 7] {
        [
            (Source::Envoy, "envoy", &self.envoy),
            (Source::Collector, "collector", &self.collector),
            (Source::PrometheusItself, "prometheus", &self.prometheus),
            (Source::Alertmanager, "alertmanager", &self.alertmanager),
            (Source::Node, "node-exporter", &self.node_exporter),
            (Source::KubeState, "kube-state-metrics", &self.kube_state_metrics),
            (Source::Cadvisor, "kubelet", &self.cadvisor),
        ]
    }

    /// Those that have targets.
    #[must_use]
    pub fn scraped(&self) -> Vec<Source> {
        self.all()
            .into_iter()
            .filter(|(_, _, targets)| !targets.is_empty())
            .map(|(source, _, _)| source)
            .collect()
    }

    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let of =
            |(source, _, targets): (Source, &str, &[String])| not_targets(targets, &at.key(source.as_str()));
        self.all().into_iter().flat_map(of).collect()
    }
}

fn not_targets(targets: &[String], at: &Node) -> Vec<ConfigError> {
    targets.iter().enumerate().filter_map(|(index, target)| not_a_target(target, &at.index(index))).collect()
}
