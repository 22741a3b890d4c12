//! Where things are in a cluster.

use super::shown;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// Where things are in a cluster with the Prometheus operator (kube-prometheus-stack).
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// The namespace of Prometheus, Alertmanager and Grafana, to which the objects go (default `monitoring`).
    #[deserr(default = Kubernetes::default().namespace)]
    pub namespace: String,
    /// The namespace of the gateway (default `gateway`).
    #[deserr(default = Kubernetes::default().gateway_namespace)]
    pub gateway_namespace: String,
    /// Labels of the gateway's pods (default `app: gateway`).
    #[deserr(default = Kubernetes::default().gateway_labels)]
    pub gateway_labels: BTreeMap<String, String>,
    /// The name of the port with the gateway's metrics (default `http-8080`).
    #[deserr(default = Kubernetes::default().metrics_port)]
    pub metrics_port: String,
    /// The name of the port with Envoy's own stats (default `http-envoy-prom`, that of Istio's proxies).
    #[deserr(default = Kubernetes::default().envoy_port)]
    pub envoy_port: String,
    /// Labels of the Service in front of the collector that ships log lines (default `app: portcullis-collector`).
    #[deserr(default = Kubernetes::default().collector_labels)]
    pub collector_labels: BTreeMap<String, String>,
    /// The name of that Service's port with the collector's metrics (default `metrics`).
    #[deserr(default = Kubernetes::default().collector_port)]
    pub collector_port: String,
    /// The secret with Slack's address and the SMTP password, a key each, named after the file (default `alertmanager-receivers`).
    #[deserr(default = Kubernetes::default().receivers_secret)]
    pub receivers_secret: String,
    /// Disk of Prometheus (default `50Gi`).
    #[deserr(default = Kubernetes::default().storage)]
    pub storage: String,
    /// Copies of Prometheus and Alertmanager (default 1).
    #[deserr(default = Kubernetes::default().replicas)]
    pub replicas: u32,
}

impl Default for Kubernetes {
    fn default() -> Self {
        let app = |name: &str| BTreeMap::from([("app".to_owned(), name.to_owned())]);
        Self {
            namespace: "monitoring".to_owned(),
            gateway_namespace: "gateway".to_owned(),
            gateway_labels: app("gateway"),
            metrics_port: "http-8080".to_owned(),
            envoy_port: "http-envoy-prom".to_owned(),
            collector_labels: app("portcullis-collector"),
            collector_port: "metrics".to_owned(),
            receivers_secret: "alertmanager-receivers".to_owned(),
            storage: "50Gi".to_owned(),
            replicas: 1,
        }
    }
}

impl Kubernetes {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let names = [
            ("namespace", &self.namespace),
            ("gateway_namespace", &self.gateway_namespace),
            ("metrics_port", &self.metrics_port),
            ("envoy_port", &self.envoy_port),
            ("collector_port", &self.collector_port),
            ("receivers_secret", &self.receivers_secret),
        ];
        let wrong = names.into_iter().filter(|(_, name)| !is_dns_label(name));
        let expected = "a name of lower-case letters, digits and `-`, at most 63";
        let mut errors: Vec<_> =
            wrong.map(|(field, name)| at.key(field).error(shown(name), expected)).collect();
        if self.replicas == 0 {
            errors.push(at.key("replicas").error("`0`", "one copy or more"));
        }
        errors
    }
}

fn is_dns_label(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
