//! Prometheus' own configuration: what is scraped, static or discovered in Kubernetes.

use crate::foreign::Source;
use crate::settings::{Kubernetes, Settings};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// With targets by name.
#[must_use]
pub fn with_targets(policy: &Policy, settings: &Settings) -> Value {
    let own = match settings.scrape.targets.as_slice() {
        [] => vec![reachable(&policy.metrics.listen)],
        targets => targets.to_vec(),
    };
    let gateway = json!({
        "job_name": "gateway",
        "metrics_path": policy.metrics.path,
        "static_configs": [{ "targets": own }],
    });
    let others = settings.sources.all().into_iter().filter(|(_, _, targets)| !targets.is_empty());
    let others = others.map(|(source, job, targets)| other(source, job, json!([{ "targets": targets }])));
    let alertmanagers = json!([{ "static_configs": [{ "targets": settings.sources.alertmanager }] }]);
    config(settings, [gateway].into_iter().chain(others).collect(), alertmanagers)
}

/// A listener's address, as somebody on the same machine reaches it.
fn reachable(listen: &str) -> String {
    listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
}

fn config(settings: &Settings, scrapes: Vec<Value>, alertmanagers: Value) -> Value {
    let interval = settings.scrape.interval.to_string();
    let mut config = json!({
        "global": {
            "scrape_interval": interval,
            "evaluation_interval": interval,
            "external_labels": { "environment": settings.environment },
        },
        "rule_files": ["rules.yaml"],
        "scrape_configs": scrapes,
    });
    if alertmanagers != json!([{ "static_configs": [{ "targets": [] }] }]) {
        config["alerting"] = json!({ "alertmanagers": alertmanagers });
    }
    config
}

/// What Envoy's own page has of the gateway's metrics is on the gateway's page already.
fn only_envoys() -> Value {
    json!([{ "source_labels": ["__name__"], "regex": "envoy_.*", "action": "keep" }])
}

fn other(source: Source, job: &str, static_configs: Value) -> Value {
    let mut scrape = json!({ "job_name": job, "static_configs": static_configs });
    match source {
        Source::Envoy => {
            scrape["metrics_path"] = "/stats/prometheus".into();
            scrape["metric_relabel_configs"] = only_envoys();
        }
        Source::Cadvisor => scrape["metrics_path"] = "/metrics/cadvisor".into(),
        _ => {}
    }
    scrape
}

/// With Kubernetes' discovery, for a Prometheus without its operator.
#[must_use]
pub fn with_discovery(policy: &Policy, settings: &Settings, place: &Kubernetes) -> Value {
    let pods = |job: &str, path: &str, port: &str| {
        let mut relabelled = selected("pod", &place.gateway_labels, port);
        relabelled.push(json!({ "source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod" }));
        json!({
            "job_name": job,
            "metrics_path": path,
            "kubernetes_sd_configs": [{ "role": "pod", "namespaces": { "names": [place.gateway_namespace] } }],
            "relabel_configs": relabelled,
        })
    };
    let gateway = pods("gateway", &policy.metrics.path, &place.metrics_port);
    let mut envoy = pods("envoy", "/stats/prometheus", &place.envoy_port);
    envoy["metric_relabel_configs"] = only_envoys();
    let collector = json!({
        "job_name": "collector",
        "kubernetes_sd_configs": [{ "role": "endpoints", "namespaces": { "names": [place.namespace] } }],
        "relabel_configs": selected("service", &place.collector_labels, &place.collector_port),
    });
    let service = |job: &str, service: &str| {
        json!({
            "job_name": job,
            "kubernetes_sd_configs": [{ "role": "endpoints", "namespaces": { "names": [place.namespace] } }],
            "relabel_configs": [kept(&["__meta_kubernetes_service_label_app_kubernetes_io_name"], service)],
        })
    };
    let nodes = service("node-exporter", "prometheus-node-exporter");
    let states = service("kube-state-metrics", "kube-state-metrics");
    let scrapes = vec![gateway, envoy, collector, nodes, states, cadvisor()];
    let alertmanagers = json!([{
        "kubernetes_sd_configs": [{ "role": "endpoints", "namespaces": { "names": [place.namespace] } }],
        "relabel_configs": [
            kept(&["__meta_kubernetes_service_label_app_kubernetes_io_name"], "alertmanager"),
            kept(&["__meta_kubernetes_endpoint_port_name"], "http-web|web"),
        ],
    }]);
    config(settings, scrapes, alertmanagers)
}

/// Each node's containers, through the API server's own certificate.
fn cadvisor() -> Value {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    json!({
        "job_name": "kubelet",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "authorization": { "credentials_file": format!("{ACCOUNT}/token") },
        "tls_config": { "ca_file": format!("{ACCOUNT}/ca.crt") },
        "kubernetes_sd_configs": [{ "role": "node" }],
    })
}

fn kept(labels: &[&str], regex: &str) -> Value {
    json!({ "source_labels": labels, "regex": regex, "action": "keep" })
}

/// Pods or services with these labels, at this port.
fn selected(of: &str, labels: &BTreeMap<String, String>, port: &str) -> Vec<Value> {
    let name = |label: &str| label.replace(['.', '/', '-'], "_");
    let labels = labels.iter().map(|(label, value)| {
        let source = format!("__meta_kubernetes_{of}_label_{}", name(label));
        kept(&[&source], value)
    });
    let port_label = match of {
        "pod" => "__meta_kubernetes_pod_container_port_name",
        _ => "__meta_kubernetes_endpoint_port_name",
    };
    labels.chain([kept(&[port_label], port)]).collect()
}
