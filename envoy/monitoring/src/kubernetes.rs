//! Objects for a cluster with the Prometheus operator, and values for kube-prometheus-stack.

use crate::alertmanager;
use crate::rule::Group;
use crate::settings::{Kubernetes, Settings};
use portcullis_policy::Policy;
use serde_json::{Value, json};

/// Alertmanager's configuration and templates, as the chart mounts them.
const CONFIG: &str = "/etc/alertmanager/config";
/// Where Alertmanager finds the secret of its receivers.
const SECRETS: &str = "/etc/alertmanager/secrets";

fn metadata(name: &str, place: &Kubernetes) -> Value {
    json!({
        "name": name,
        "namespace": place.namespace,
        "labels": { "app.kubernetes.io/name": "portcullis-monitoring" },
    })
}

/// The rules.
#[must_use]
pub fn prometheus_rule(groups: &[Group], place: &Kubernetes) -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata("gateway", place),
        "spec": { "groups": groups },
    })
}

/// What is scraped: the gateway's page, Envoy's own, the collector's.
#[must_use]
pub fn monitors(policy: &Policy, settings: &Settings, place: &Kubernetes) -> Vec<Value> {
    let interval = settings.scrape.interval.to_string();
    let job = |job: &str| json!([{ "targetLabel": "job", "replacement": job }]);
    let pods = |name: &str, endpoint: Value| {
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": metadata(name, place),
            "spec": {
                "selector": { "matchLabels": place.gateway_labels },
                "namespaceSelector": { "matchNames": [place.gateway_namespace] },
                "podMetricsEndpoints": [endpoint],
            },
        })
    };
    let gateway = json!({
        "port": place.metrics_port,
        "path": policy.metrics.path,
        "interval": interval,
        "relabelings": job("gateway"),
    });
    let envoy = json!({
        "port": place.envoy_port,
        "path": "/stats/prometheus",
        "interval": interval,
        "relabelings": job("envoy"),
        // What Envoy's page has of the gateway's metrics is on the gateway's page already.
        "metricRelabelings": [{ "sourceLabels": ["__name__"], "regex": "envoy_.*", "action": "keep" }],
    });
    let endpoint =
        json!({ "port": place.collector_port, "interval": interval, "relabelings": job("collector") });
    let collector = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata("portcullis-collector", place),
        "spec": {
            "selector": { "matchLabels": place.collector_labels },
            "namespaceSelector": { "matchNames": [place.namespace] },
            "endpoints": [endpoint],
        },
    });
    vec![pods("gateway", gateway), pods("gateway-envoy", envoy), collector]
}

/// Alertmanager's configuration, under the name that the chart's values below give it. An AlertmanagerConfig could not hold it: the
/// operator would let it speak of alerts of its own namespace only, and it has no files of secrets.
#[must_use]
pub fn alertmanager_secret(
    settings: &Settings,
    place: &Kubernetes,
    yaml: impl Fn(&Value) -> String,
) -> Value {
    let config = alertmanager::config(&in_cluster(settings, place), &format!("{CONFIG}/*.tmpl"));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata("alertmanager-gateway", place),
        "type": "Opaque",
        "stringData": { "alertmanager.yaml": yaml(&config), "portcullis.tmpl": alertmanager::TEMPLATES },
    })
}

/// Files with secrets lie where the operator mounts the receivers' secret; what they are called stays.
fn in_cluster(settings: &Settings, place: &Kubernetes) -> Settings {
    let moved = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        format!("{SECRETS}/{}/{name}", place.receivers_secret)
    };
    let mut settings = settings.clone();
    let slacks = settings.receivers.iter_mut().filter_map(|receiver| receiver.slack.as_mut());
    slacks.for_each(|slack| slack.url_file = moved(&slack.url_file));
    settings.smtp.password_file = settings.smtp.password_file.as_deref().map(moved);
    settings.watchdog.iter_mut().for_each(|watchdog| watchdog.url_file = moved(&watchdog.url_file));
    settings
}

/// Dashboards for the sidecar of Grafana, one ConfigMap each: their uids and their JSON.
#[must_use]
pub fn dashboard_config_maps<'d>(
    dashboards: impl IntoIterator<Item = (&'d str, &'d str)>,
    place: &Kubernetes,
) -> Vec<Value> {
    let config_map = |(uid, json): (&str, &str)| {
        let mut metadata = metadata(&format!("dashboard-{uid}"), place);
        metadata["labels"]["grafana_dashboard"] = "1".into();
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": { format!("{uid}.json"): json },
        })
    };
    dashboards.into_iter().map(config_map).collect()
}

/// Values for kube-prometheus-stack.
#[must_use]
pub fn values(settings: &Settings, place: &Kubernetes) -> Value {
    let off = json!({ "enabled": false });
    json!({
        "prometheus": { "prometheusSpec": prometheus_spec(settings, place) },
        "alertmanager": {
            "alertmanagerSpec": {
                "replicas": place.replicas,
                "configSecret": "alertmanager-gateway",
                "useExistingSecret": true,
                "secrets": [place.receivers_secret],
            },
        },
        "grafana": {
            "sidecar": {
                "dashboards": { "enabled": true, "label": "grafana_dashboard", "labelValue": "1", "searchNamespace": "ALL" },
            },
        },
        // Managed clusters do not let these be scraped: their alerts would fire for ever.
        "kubeControllerManager": off,
        "kubeScheduler": off,
        "kubeProxy": off,
        "kubeEtcd": off,
        // The gateway's rules have a Watchdog of their own.
        "defaultRules": { "disabled": { "Watchdog": true } },
        "nodeExporter": { "enabled": true },
        "kubeStateMetrics": { "enabled": true },
    })
}

fn prometheus_spec(settings: &Settings, place: &Kubernetes) -> Value {
    let interval = settings.scrape.interval.to_string();
    json!({
        "replicas": place.replicas,
        "retention": settings.retention.metrics_days(),
        "scrapeInterval": interval,
        "evaluationInterval": interval,
        "externalLabels": { "environment": settings.environment },
        // The ruler of the log store writes what it counts of lines.
        "enableRemoteWriteReceiver": true,
        // Else the operator takes rules and monitors of the chart alone, and ours are ignored without a word.
        "ruleSelectorNilUsesHelmValues": false,
        "serviceMonitorSelectorNilUsesHelmValues": false,
        "podMonitorSelectorNilUsesHelmValues": false,
        "storageSpec": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": place.storage } },
                },
            },
        },
    })
}
