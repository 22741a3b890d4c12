//! Metrics that others expose, as far as rules and dashboards use them: names and labels.

/// Who exposes a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Prometheus makes it of every target and alert.
    Prometheus,
    /// Prometheus says it of itself, if it scrapes itself.
    PrometheusItself,
    /// Alertmanager says it of itself.
    Alertmanager,
    /// Envoy's own stats on its admin port.
    Envoy,
    /// The OpenTelemetry Collector that ships log lines, and what the log store says of those that arrived.
    Collector,
    /// node_exporter.
    Node,
    /// kube-state-metrics.
    KubeState,
    /// The kubelet's cAdvisor.
    Cadvisor,
}

/// A metric of somebody else.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// Its name.
    pub name: &'static str,
    /// Its labels, without those that every target has.
    pub labels: &'static [&'static str],
    /// Who exposes it.
    pub from: Source,
}

impl Source {
    /// What it is called in messages, and under `sources` in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::PrometheusItself => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Envoy => "envoy",
            Self::Collector => "collector",
            Self::Node => "node_exporter",
            Self::KubeState => "kube_state_metrics",
            Self::Cadvisor => "cadvisor",
        }
    }
}

const fn of(from: Source, name: &'static str, labels: &'static [&'static str]) -> Foreign {
    Foreign { name, labels, from }
}

const POD: &[&str] = &["namespace", "pod", "node", "uid", "container"];

/// All of them. Envoy's are those that stats tags of the rendered bootstrap give these labels.
pub const FOREIGN: &[Foreign] = &[
    of(Source::Prometheus, "up", &[]),
    of(Source::Prometheus, "scrape_duration_seconds", &[]),
    of(Source::Prometheus, "scrape_samples_scraped", &[]),
    of(
        Source::Prometheus,
        "ALERTS",
        &["alertname", "alertstate", "severity", "slo", "service", "target_service"],
    ),
    of(Source::PrometheusItself, "prometheus_rule_evaluation_failures_total", &["rule_group"]),
    of(Source::PrometheusItself, "prometheus_rule_group_last_duration_seconds", &["rule_group"]),
    of(Source::PrometheusItself, "prometheus_rule_group_interval_seconds", &["rule_group"]),
    of(Source::PrometheusItself, "prometheus_notifications_dropped_total", &["alertmanager"]),
    of(Source::PrometheusItself, "prometheus_tsdb_head_series", &[]),
    of(Source::Alertmanager, "alertmanager_notifications_total", &["integration"]),
    of(Source::Alertmanager, "alertmanager_notifications_failed_total", &["integration"]),
    of(Source::Envoy, "envoy_wasm_portcullis_vm_reload_success", &[]),
    of(Source::Envoy, "envoy_wasm_portcullis_vm_reload_failure", &[]),
    of(Source::Envoy, "envoy_wasm_portcullis_vm_reload_backoff", &[]),
    of(Source::Envoy, "envoy_http_downstream_rq_completed", &["envoy_http_conn_manager_prefix"]),
    of(Source::Envoy, "envoy_http_downstream_cx_active", &["envoy_http_conn_manager_prefix"]),
    of(Source::Envoy, "envoy_cluster_upstream_rq_total", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_cluster_upstream_rq_retry", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_cluster_upstream_cx_active", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_cluster_upstream_cx_connect_fail", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_cluster_membership_healthy", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_cluster_membership_total", &["envoy_cluster_name"]),
    of(Source::Envoy, "envoy_server_uptime", &[]),
    of(Source::Envoy, "envoy_server_memory_allocated", &[]),
    of(Source::Envoy, "envoy_server_memory_heap_size", &[]),
    of(Source::Envoy, "gateway_request_latency_microseconds_sum", &["endpoint"]),
    of(Source::Envoy, "gateway_request_duration_microseconds_sum", &["service"]),
    of(Source::Envoy, "auth_request_duration_microseconds_sum", &["operation"]),
    of(Source::Envoy, "gateway_auth_service_response_time_microseconds_sum", &[]),
    // Of the lines that the collector ships, the ruler of the log store counts what arrived (`logs/*-rules.yaml`).
    of(Source::Collector, "gateway_log:lines:count1h", &[]),
    of(Source::Collector, "gateway_log:lines_by_action:count1h", &["action"]),
    of(Source::Collector, "gateway_log:bytes:sum1h", &[]),
    of(Source::Collector, "gateway_log:security_event:count5m", &["action", "reason", "request_id"]),
    of(Source::Collector, "otelcol_receiver_accepted_log_records_total", &["receiver"]),
    of(Source::Collector, "otelcol_receiver_refused_log_records_total", &["receiver"]),
    of(Source::Collector, "otelcol_exporter_sent_log_records_total", &["exporter"]),
    of(Source::Collector, "otelcol_exporter_send_failed_log_records_total", &["exporter"]),
    of(Source::Collector, "otelcol_exporter_enqueue_failed_log_records_total", &["exporter"]),
    of(Source::Collector, "otelcol_exporter_queue_size", &["exporter"]),
    of(Source::Collector, "otelcol_exporter_queue_capacity", &["exporter"]),
    of(Source::Node, "node_cpu_seconds_total", &["cpu", "mode"]),
    of(Source::Node, "node_load1", &[]),
    of(Source::Node, "node_memory_MemTotal_bytes", &[]),
    of(Source::Node, "node_memory_MemAvailable_bytes", &[]),
    of(Source::Node, "node_filesystem_size_bytes", &["mountpoint", "fstype", "device"]),
    of(Source::Node, "node_filesystem_avail_bytes", &["mountpoint", "fstype", "device"]),
    of(Source::Node, "node_disk_read_bytes_total", &["device"]),
    of(Source::Node, "node_disk_written_bytes_total", &["device"]),
    of(Source::Node, "node_disk_io_time_seconds_total", &["device"]),
    of(Source::Node, "node_network_receive_bytes_total", &["device"]),
    of(Source::Node, "node_network_transmit_bytes_total", &["device"]),
    of(Source::Node, "node_network_receive_drop_total", &["device"]),
    of(Source::Node, "node_boot_time_seconds", &[]),
    of(Source::KubeState, "kube_pod_info", POD),
    of(Source::KubeState, "kube_pod_status_ready", &["namespace", "pod", "uid", "condition"]),
    of(Source::KubeState, "kube_pod_status_phase", &["namespace", "pod", "uid", "phase"]),
    of(Source::KubeState, "kube_pod_container_status_restarts_total", POD),
    of(
        Source::KubeState,
        "kube_pod_container_status_last_terminated_reason",
        &["namespace", "pod", "uid", "container", "reason"],
    ),
    of(
        Source::KubeState,
        "kube_pod_container_resource_requests",
        &["namespace", "pod", "uid", "container", "node", "resource", "unit"],
    ),
    of(
        Source::KubeState,
        "kube_pod_container_resource_limits",
        &["namespace", "pod", "uid", "container", "node", "resource", "unit"],
    ),
    of(Source::KubeState, "kube_deployment_spec_replicas", &["namespace", "deployment"]),
    of(Source::KubeState, "kube_deployment_status_replicas_available", &["namespace", "deployment"]),
    of(Source::KubeState, "kube_node_status_allocatable", &["node", "resource", "unit"]),
    of(Source::KubeState, "kube_node_status_condition", &["node", "condition", "status"]),
    of(
        Source::Cadvisor,
        "container_cpu_usage_seconds_total",
        &["namespace", "pod", "container", "node", "image"],
    ),
    of(
        Source::Cadvisor,
        "container_memory_working_set_bytes",
        &["namespace", "pod", "container", "node", "image"],
    ),
    of(
        Source::Cadvisor,
        "container_cpu_cfs_throttled_periods_total",
        &["namespace", "pod", "container", "node"],
    ),
    of(Source::Cadvisor, "container_cpu_cfs_periods_total", &["namespace", "pod", "container", "node"]),
];
