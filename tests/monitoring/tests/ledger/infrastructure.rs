//! Dashboards about nodes, pods and costs, over exporters' series whose values are known: the exporters' own documentation has their names
//! and labels.

use crate::compare::{Asker, Tally};
use crate::expected::Expected;
use portcullis_e2e::Labels;
use portcullis_monitoring::dashboards::{Dashboard, Prices, Site};
use portcullis_monitoring_tests::{Answer, Prometheus, Timeline};
use std::collections::BTreeMap;

const END: i64 = 1_780_000_200;
const GIB: f64 = 1_073_741_824.0;

pub const PRICES: Prices =
    Prices { core_hour: 0.03, memory_gib_hour: 0.004, thousand_series_month: 0.5, logs_gib: 0.5 };

/// A series: its name, its labels, and its value or how fast that grows.
type Series = (&'static str, &'static [(&'static str, &'static str)], f64);

const GAUGES: &[Series] = &[
    ("node_load1", &[("instance", "n1")], 1.0),
    ("node_load1", &[("instance", "n2")], 4.0),
    ("node_memory_MemTotal_bytes", &[("instance", "n1")], 16.0 * GIB),
    ("node_memory_MemTotal_bytes", &[("instance", "n2")], 16.0 * GIB),
    ("node_memory_MemAvailable_bytes", &[("instance", "n1")], 12.0 * GIB),
    ("node_memory_MemAvailable_bytes", &[("instance", "n2")], 4.0 * GIB),
    (
        "node_filesystem_size_bytes",
        &[("instance", "n1"), ("mountpoint", "/"), ("fstype", "ext4"), ("device", "a")],
        100.0,
    ),
    (
        "node_filesystem_avail_bytes",
        &[("instance", "n1"), ("mountpoint", "/"), ("fstype", "ext4"), ("device", "a")],
        60.0,
    ),
    (
        "node_filesystem_size_bytes",
        &[("instance", "n2"), ("mountpoint", "/"), ("fstype", "ext4"), ("device", "a")],
        100.0,
    ),
    (
        "node_filesystem_avail_bytes",
        &[("instance", "n2"), ("mountpoint", "/"), ("fstype", "ext4"), ("device", "a")],
        10.0,
    ),
    (
        "node_filesystem_size_bytes",
        &[("instance", "n2"), ("mountpoint", "/run"), ("fstype", "tmpfs"), ("device", "t")],
        100.0,
    ),
    (
        "node_filesystem_avail_bytes",
        &[("instance", "n2"), ("mountpoint", "/run"), ("fstype", "tmpfs"), ("device", "t")],
        1.0,
    ),
    ("kube_pod_status_ready", &[("namespace", "shop"), ("pod", "a"), ("condition", "true")], 1.0),
    ("kube_pod_status_ready", &[("namespace", "shop"), ("pod", "b"), ("condition", "true")], 1.0),
    ("kube_pod_status_ready", &[("namespace", "kube"), ("pod", "c"), ("condition", "true")], 0.0),
    ("kube_pod_status_ready", &[("namespace", "kube"), ("pod", "c"), ("condition", "false")], 1.0),
    ("kube_deployment_spec_replicas", &[("namespace", "shop"), ("deployment", "gateway")], 3.0),
    ("kube_deployment_status_replicas_available", &[("namespace", "shop"), ("deployment", "gateway")], 2.0),
    (
        "kube_pod_container_status_last_terminated_reason",
        &[("namespace", "shop"), ("pod", "b"), ("reason", "OOMKilled")],
        1.0,
    ),
    (
        "kube_pod_container_status_last_terminated_reason",
        &[("namespace", "shop"), ("pod", "a"), ("reason", "Error")],
        1.0,
    ),
    (
        "kube_pod_container_resource_requests",
        &[("namespace", "shop"), ("pod", "a"), ("resource", "cpu")],
        2.0,
    ),
    (
        "kube_pod_container_resource_requests",
        &[("namespace", "shop"), ("pod", "b"), ("resource", "cpu")],
        1.0,
    ),
    (
        "kube_pod_container_resource_requests",
        &[("namespace", "kube"), ("pod", "c"), ("resource", "cpu")],
        0.5,
    ),
    (
        "kube_pod_container_resource_requests",
        &[("namespace", "shop"), ("pod", "a"), ("resource", "memory")],
        6.0 * GIB,
    ),
    (
        "kube_pod_container_resource_requests",
        &[("namespace", "kube"), ("pod", "c"), ("resource", "memory")],
        GIB,
    ),
    (
        "container_memory_working_set_bytes",
        &[("namespace", "shop"), ("pod", "a"), ("container", "gateway")],
        3.0 * GIB,
    ),
    (
        "container_memory_working_set_bytes",
        &[("namespace", "kube"), ("pod", "c"), ("container", "dns")],
        0.5 * GIB,
    ),
    // The pod's own group, which has no container's name and must not count twice.
    (
        "container_memory_working_set_bytes",
        &[("namespace", "shop"), ("pod", "a"), ("container", "")],
        3.0 * GIB,
    ),
    ("prometheus_tsdb_head_series", &[("instance", "p")], 2_000.0),
    ("gateway_log:bytes:sum1h", &[], GIB),
    ("scrape_samples_scraped", &[("job", "gateway"), ("instance", "g")], 2_087.0),
];

const COUNTERS: &[Series] = &[
    ("node_cpu_seconds_total", &[("instance", "n1"), ("cpu", "0"), ("mode", "idle")], 0.75),
    ("node_cpu_seconds_total", &[("instance", "n1"), ("cpu", "1"), ("mode", "idle")], 0.75),
    ("node_cpu_seconds_total", &[("instance", "n1"), ("cpu", "0"), ("mode", "user")], 0.25),
    ("node_cpu_seconds_total", &[("instance", "n2"), ("cpu", "0"), ("mode", "idle")], 0.25),
    ("node_cpu_seconds_total", &[("instance", "n2"), ("cpu", "1"), ("mode", "idle")], 0.25),
    ("node_disk_read_bytes_total", &[("instance", "n1"), ("device", "a")], 1_000.0),
    ("node_disk_written_bytes_total", &[("instance", "n1"), ("device", "a")], 3_000.0),
    ("node_network_receive_bytes_total", &[("instance", "n1"), ("device", "eth0")], 500.0),
    ("node_network_receive_bytes_total", &[("instance", "n1"), ("device", "lo")], 9_000.0),
    ("node_network_transmit_bytes_total", &[("instance", "n1"), ("device", "eth0")], 700.0),
    (
        "kube_pod_container_status_restarts_total",
        &[("namespace", "shop"), ("pod", "b"), ("container", "c")],
        2.0 / 3_600.0,
    ),
    (
        "container_cpu_usage_seconds_total",
        &[("namespace", "shop"), ("pod", "a"), ("container", "gateway")],
        1.5,
    ),
    ("container_cpu_usage_seconds_total", &[("namespace", "shop"), ("pod", "a"), ("container", "")], 1.5),
    ("container_cpu_usage_seconds_total", &[("namespace", "kube"), ("pod", "c"), ("container", "dns")], 0.25),
    ("gateway_requests_total", &[("endpoint", "/a"), ("status_code", "200")], 10.0),
];

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

fn exporters() -> Timeline {
    let mut timeline = Timeline::default();
    for step in 0..=120_i32 {
        let at = END - 3_600 + i64::from(step) * 30;
        let with_job = |pairs: &[(&str, &str)]| {
            let mut labels = labels(pairs);
            labels.entry("job".to_owned()).or_insert_with(|| "gateway".to_owned());
            labels
        };
        GAUGES.iter().for_each(|(name, pairs, value)| timeline.add(at, name, with_job(pairs), *value));
        let grown = f64::from(step) * 30.0;
        COUNTERS
            .iter()
            .for_each(|(name, pairs, rate)| timeline.add(at, name, with_job(pairs), 50.0 + rate * grown));
    }
    timeline
}

fn one(value: f64) -> Expected {
    Expected::Is(Answer::from([(Labels::new(), value)]))
}

fn each(label: &str, values: &[(&str, f64)]) -> Expected {
    Expected::Is(values.iter().map(|(of, value)| (labels(&[(label, of)]), *value)).collect())
}

fn expected() -> BTreeMap<&'static str, Vec<Expected>> {
    let disks = Expected::Is(Answer::from([
        (labels(&[("instance", "n1"), ("mountpoint", "/")]), 0.4),
        (labels(&[("instance", "n2"), ("mountpoint", "/")]), 0.9),
    ]));
    let restarts = Expected::Is(Answer::from([(labels(&[("namespace", "shop"), ("pod", "b")]), 2.0)]));
    let of_gateway = |value| {
        Expected::Is(Answer::from([(labels(&[("namespace", "shop"), ("deployment", "gateway")]), value)]))
    };
    let (cores, memory) = ([("shop", 3.0), ("kube", 0.5)], [("shop", 6.0 * GIB), ("kube", GIB)]);
    let hour = 3.5 * 0.03 + 7.0 * 0.004;
    BTreeMap::from([
        ("Pods ready", vec![one(2.0)]),
        ("Pods not ready", vec![one(1.0)]),
        ("Replicas missing", vec![one(1.0)]),
        ("Restarts", vec![one(2.0)]),
        ("Killed for memory", vec![one(1.0)]),
        (
            "Processor: used and requested",
            vec![each("namespace", &[("shop", 1.5), ("kube", 0.25)]), each("namespace", &cores)],
        ),
        (
            "Memory: used and requested",
            vec![each("namespace", &[("shop", 3.0 * GIB), ("kube", 0.5 * GIB)]), each("namespace", &memory)],
        ),
        ("Restarts by pod", vec![restarts]),
        ("Deployments", vec![of_gateway(3.0), of_gateway(1.0)]),
        ("Processors busy", vec![one(0.5)]),
        ("Memory used", vec![one(0.5)]),
        ("Fullest disk", vec![one(0.9)]),
        ("Nodes", vec![one(2.0)]),
        ("Processors busy by node", vec![each("instance", &[("n1", 0.25), ("n2", 0.75)])]),
        ("Load by core", vec![each("instance", &[("n1", 0.5), ("n2", 2.0)])]),
        ("Memory used by node", vec![each("instance", &[("n1", 0.25), ("n2", 0.75)])]),
        ("Disks", vec![disks]),
        ("Disk traffic", vec![one(1_000.0), one(3_000.0)]),
        ("Network traffic", vec![one(500.0), one(700.0)]),
        ("A month", vec![one(hour * 730.0)]),
        ("1000 requests", vec![one(hour / 3_600.0 / 10.0 * 1_000.0)]),
        ("Processor requested and idle", vec![one(1.0 - 1.75 / 3.5)]),
        ("Memory requested and unused", vec![one(1.0 - 3.5 / 7.0)]),
        ("Series in Prometheus", vec![one(2_000.0)]),
        ("Series a month", vec![one(1.0)]),
        ("Log lines a month", vec![one(0.5 * 730.0)]),
        (
            "A month by namespace",
            vec![each(
                "namespace",
                &[("shop", (3.0 * 0.03 + 6.0 * 0.004) * 730.0), ("kube", (0.5 * 0.03 + 0.004) * 730.0)],
            )],
        ),
        ("Cores requested and used", vec![one(3.5), one(1.75)]),
        ("Samples by job", vec![each("job", &[("gateway", 2_087.0)])]),
    ])
}

/// Asks every panel of these dashboards.
pub fn ask(dashboards: &[Dashboard], site: &Site) -> Tally {
    let timeline = exporters();
    let prometheus = Prometheus::with(&[&timeline]);
    let asker = Asker::new(&prometheus, END);
    let expected = expected();
    let mut tally = Tally::default();
    dashboards.iter().for_each(|dashboard| {
        tally.ask(dashboard, site, &asker, &|title| expected.get(title).cloned());
    });
    tally
}
