//! What the gateway and its services run on, and what it costs. Nodes are seen by node-exporter, pods by kube-state-metrics and the
//! kubelets (cAdvisor): what kube-prometheus-stack scrapes.

use super::model::{About, Dashboard, Kind, Limit, Panel, Unit, row};
use crate::query;

/// What resources cost, in a currency of the site's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prices {
    /// A processor core for an hour.
    pub core_hour: f64,
    /// A GiB of memory for an hour.
    pub memory_gib_hour: f64,
    /// A thousand series of metrics for a month.
    pub thousand_series_month: f64,
    /// A GiB of log lines.
    pub logs_gib: f64,
}

/// Kubernetes Overview, Infrastructure Health, Cost Tracking.
pub fn dashboards(prices: Prices) -> Vec<Dashboard> {
    vec![kubernetes(), nodes(), cost(prices)]
}

fn kubernetes() -> Dashboard {
    let now = vec![
        Panel::stat(
            "Pods ready",
            Unit::Count,
            "Pods that are ready.",
            query!(r#"sum(kube_pod_status_ready{condition="true"})"#),
        ),
        Panel::stat(
            "Pods not ready",
            Unit::Count,
            "Pods that are not ready, those that have done their work among them.",
            query!(r#"sum(kube_pod_status_ready{condition="false"})"#),
        )
        .limit(Limit::Above(1.0)),
        Panel::stat(
            "Replicas missing",
            Unit::Count,
            "Replicas that deployments want and that are not available.",
            query!("sum(kube_deployment_spec_replicas) - sum(kube_deployment_status_replicas_available)"),
        )
        .limit(Limit::Above(1.0)),
        Panel::stat(
            "Restarts",
            Unit::Count,
            "Restarts of containers in the time that is looked at.",
            query!("sum(increase(kube_pod_container_status_restarts_total[range]))"),
        )
        .limit(Limit::Above(1.0)),
        Panel::stat(
            "Killed for memory",
            Unit::Count,
            "Containers whose last end was for want of memory.",
            query!(r#"sum(kube_pod_container_status_last_terminated_reason{reason="OOMKilled"})"#),
        )
        .limit(Limit::Above(1.0)),
    ];
    let wanted = |resource: &str| {
        query!(r#"sum by (namespace) (kube_pod_container_resource_requests{resource="RESOURCE"})"#)
            .replace("RESOURCE", resource)
    };
    let cpu = Panel::over_time(
        Kind::Lines,
        "Processor: used and requested",
        Unit::Cores,
        "Cores that containers use, beside those that they requested.",
    )
    .query(
        "{{namespace}} used",
        query!(r#"sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[rate]))"#),
    )
    .query("{{namespace}} requested", wanted("cpu"))
    .wide(12);
    let memory = Panel::over_time(
        Kind::Lines,
        "Memory: used and requested",
        Unit::Bytes,
        "Memory that containers use, beside what they requested.",
    )
    .query(
        "{{namespace}} used",
        query!(r#"sum by (namespace) (container_memory_working_set_bytes{container!=""})"#),
    )
    .query("{{namespace}} requested", wanted("memory"))
    .wide(12);
    let restarts = Panel::totals(
        Kind::Table,
        "Restarts by pod",
        Unit::Count,
        "Restarts in the time that is looked at. Empty while nothing restarts.",
    )
    .once(
        "restarts",
        query!("sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[range])) > 0"),
    )
    .wide(12);
    let deployments = Panel::totals(Kind::Table, "Deployments", Unit::Count, "Replicas that each deployment wants, and those that it has not.")
        .once("wanted", query!("sum by (namespace, deployment) (kube_deployment_spec_replicas)"))
        .once("missing", query!("sum by (namespace, deployment) (kube_deployment_spec_replicas) - sum by (namespace, deployment) (kube_deployment_status_replicas_available)"))
        .wide(12);
    Dashboard {
        title: "Kubernetes Overview",
        description: "Pods, deployments, and what they use of what they asked for.",
        about: About::Infrastructure,
        rows: vec![
            row("Now", now),
            row("Use", vec![cpu, memory]),
            row("Trouble", vec![deployments, restarts]),
        ],
    }
}

const CORES_BUSY: &str = query!(r#"1 - avg(rate(node_cpu_seconds_total{@,mode="idle"}[rate]))"#);

fn nodes() -> Dashboard {
    let memory = query!("1 - sum(node_memory_MemAvailable_bytes{@}) / sum(node_memory_MemTotal_bytes{@})");
    let disk = query!(
        r#"max by (instance, mountpoint) (1 - node_filesystem_avail_bytes{@,fstype!~"tmpfs|overlay"} / (node_filesystem_size_bytes{@,fstype!~"tmpfs|overlay"} > 0))"#
    );
    let load = query!(
        r#"sum by (instance) (node_load1{@}) / count by (instance) (node_cpu_seconds_total{@,mode="idle"})"#
    );
    let now = vec![
        Panel::stat(
            "Processors busy",
            Unit::Share,
            "The share of the processors' time that was used.",
            CORES_BUSY,
        )
        .limit(Limit::Above(0.7)),
        Panel::stat("Memory used", Unit::Share, "The share of memory that is not available.", memory)
            .limit(Limit::Above(0.7)),
        Panel::stat(
            "Fullest disk",
            Unit::Share,
            "How full the fullest file system is.",
            format!("max({disk})"),
        )
        .limit(Limit::Above(0.85)),
        Panel::stat("Nodes", Unit::Count, "Nodes whose exporter answers.", query!("count(node_load1{@})")),
    ];
    let busy = Panel::over_time(
        Kind::Lines,
        "Processors busy by node",
        Unit::Share,
        "The share of each node's processors that was used; the objective is below 70 %.",
    )
    .query(
        "{{instance}}",
        query!(r#"1 - avg by (instance) (rate(node_cpu_seconds_total{@,mode="idle"}[rate]))"#),
    )
    .limit(Limit::Above(0.7))
    .wide(12);
    let waiting = Panel::over_time(
        Kind::Lines,
        "Load by core",
        Unit::Plain,
        "Processes that run or wait, for each core: above 1 they wait.",
    )
    .query("{{instance}}", load)
    .wide(12);
    let used = Panel::over_time(Kind::Lines, "Memory used by node", Unit::Share, "The share of each node's memory that is not available.")
        .query("{{instance}}", query!("1 - sum by (instance) (node_memory_MemAvailable_bytes{@}) / sum by (instance) (node_memory_MemTotal_bytes{@})"))
        .wide(12);
    let disks = Panel::totals(Kind::Bars, "Disks", Unit::Share, "How full each file system is.")
        .once("{{instance}} {{mountpoint}}", disk)
        .wide(12);
    let input = Panel::over_time(
        Kind::Lines,
        "Disk traffic",
        Unit::BytesPerSecond,
        "Bytes read from and written to disks, a second.",
    )
    .query("read", query!("sum(rate(node_disk_read_bytes_total{@}[rate]))"))
    .query("written", query!("sum(rate(node_disk_written_bytes_total{@}[rate]))"))
    .wide(12);
    let network = Panel::over_time(
        Kind::Lines,
        "Network traffic",
        Unit::BytesPerSecond,
        "Bytes received and sent a second, the loopback left out.",
    )
    .query("received", query!(r#"sum(rate(node_network_receive_bytes_total{@,device!="lo"}[rate]))"#))
    .query("sent", query!(r#"sum(rate(node_network_transmit_bytes_total{@,device!="lo"}[rate]))"#))
    .wide(12);
    Dashboard {
        title: "Infrastructure Health",
        description: "Nodes: how much of each resource is used, and what waits for it.",
        about: About::Infrastructure,
        rows: vec![
            row("Now", now),
            row("Processors", vec![busy, waiting]),
            row("Memory and disks", vec![used, disks]),
            row("Traffic", vec![input, network]),
        ],
    }
}

const HOURS_A_MONTH: f64 = 730.0;
const GIB: f64 = 1_073_741_824.0;

fn cost(prices: Prices) -> Dashboard {
    let Prices { core_hour, memory_gib_hour, thousand_series_month, logs_gib } = prices;
    let requested = |resource: &str| {
        query!(r#"sum(kube_pod_container_resource_requests{resource="RESOURCE"})"#)
            .replace("RESOURCE", resource)
    };
    let by_namespace = |resource: &str| {
        query!(r#"sum by (namespace) (kube_pod_container_resource_requests{resource="RESOURCE"})"#)
            .replace("RESOURCE", resource)
    };
    let hour =
        format!("{} * {core_hour} + {} / {GIB} * {memory_gib_hour}", requested("cpu"), requested("memory"));
    let month = format!("({hour}) * {HOURS_A_MONTH}");
    let namespaces = format!(
        "({} * {core_hour} + {} / {GIB} * {memory_gib_hour}) * {HOURS_A_MONTH}",
        by_namespace("cpu"),
        by_namespace("memory")
    );
    let served = query!("sum(rate(gateway_requests_total[rate]))");
    let per_thousand = format!("({hour}) / 3600 / ({served} > 0) * 1000");
    let used = query!(r#"sum(rate(container_cpu_usage_seconds_total{container!=""}[rate]))"#);
    let idle = format!("1 - {used} / ({} > 0)", requested("cpu"));
    let held = query!(r#"sum(container_memory_working_set_bytes{container!=""})"#);
    let unused = format!("1 - {held} / ({} > 0)", requested("memory"));
    let series = query!("sum(prometheus_tsdb_head_series)");
    let series_month = format!("{series} / 1000 * {thousand_series_month}");
    let logged = query!("sum(avg_over_time(gateway_log:bytes:sum1h[range]))");
    let logged = format!("{logged} / {GIB} * {logs_gib} * {HOURS_A_MONTH}");
    let now = vec![
        Panel::stat(
            "A month",
            Unit::Currency,
            "What the requested cores and memory cost a month, by the settings' prices.",
            month,
        ),
        Panel::stat(
            "1000 requests",
            Unit::Currency,
            "What the requested cores and memory cost for each 1000 requests of the gateway.",
            per_thousand,
        ),
        Panel::stat(
            "Processor requested and idle",
            Unit::Share,
            "The share of the requested cores that nothing uses.",
            idle,
        ),
        Panel::stat(
            "Memory requested and unused",
            Unit::Share,
            "The share of the requested memory that nothing uses.",
            unused,
        ),
        Panel::stat("Series in Prometheus", Unit::Count, "Series that Prometheus holds now.", series),
        Panel::stat(
            "Series a month",
            Unit::Currency,
            "What these series cost a month, by the settings' price.",
            series_month,
        ),
        Panel::stat(
            "Log lines a month",
            Unit::Currency,
            "What a month of log lines costs at the pace of the time that is looked at, by the settings' price.",
            logged,
        ),
    ];
    let by = Panel::totals(
        Kind::Bars,
        "A month by namespace",
        Unit::Currency,
        "What each namespace's requests cost a month.",
    )
    .once("{{namespace}}", namespaces)
    .wide(12);
    let cores = Panel::over_time(
        Kind::Lines,
        "Cores requested and used",
        Unit::Cores,
        "What is paid for, and what is used of it.",
    )
    .query("requested", requested("cpu"))
    .query("used", used)
    .wide(12);
    let scraped = Panel::over_time(
        Kind::Lines,
        "Samples by job",
        Unit::Count,
        "Samples that each scrape brings: where series come from.",
    )
    .query("{{job}}", query!("sum by (job) (scrape_samples_scraped)"))
    .wide(12);
    let lines = Panel::totals(
        Kind::Bars,
        "Log lines by action",
        Unit::Count,
        "Lines stored in the time that is looked at, by action.",
    )
    .of_logs("{{action}}", r#"sum by (action) (count_over_time({#} [range]))"#)
    .wide(12);
    Dashboard {
        title: "Cost Tracking",
        description: "What the platform's requests for cores and memory cost, and what of it is idle.",
        about: About::Infrastructure,
        rows: vec![
            row("Now", now),
            row("Where it goes", vec![by, cores]),
            row("What monitoring costs", vec![scraped, lines]),
        ],
    }
}
