//! `portcullis render monitoring` and `portcullis check --monitoring`.

use std::path::Path;
use std::process::{Command, Output};

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is written for a policy, by file, and what is said of what is not.
fn rendered(policy: &str, settings: Option<&str>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out").display().to_string();
    let mut arguments = vec!["render", "monitoring", policy, "--out", &out];
    arguments.extend(settings.iter().flat_map(|settings| ["--settings", settings]));
    let output = portcullis(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    (folder, text(&output.stderr))
}

fn read(folder: &tempfile::TempDir, file: &str) -> String {
    std::fs::read_to_string(folder.path().join("out").join(file)).expect("it was written")
}

#[test]
fn a_policy_without_tokens_limits_and_events_gets_no_rules_that_would_have_no_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("gateway.yaml");
    let least = "version: 1\nservices: { a: { address: \"127.0.0.1:8000\" } }\nroutes: [{ path: /a, methods: [GET], service: a, auth: { token: none } }]\n";
    std::fs::write(&policy, least).expect("it can be written");
    let (out, said) = rendered(&policy.display().to_string(), None);
    let rules = read(&out, "rules.yaml");
    for absent in [
        "auth_jwt",
        "rate_limit",
        "business_events",
        "circuit_breaker",
        "TokenAbuse",
        "BreakerOpen",
        "FailedLogins",
    ] {
        assert!(!rules.contains(absent), "{absent} is there");
    }
    for present in ["GatewayErrors", "GatewayDown", "Watchdog", "slo: availability"] {
        assert!(rules.contains(present), "{present} is missing");
    }
    for line in [
        "left out: alert TokensRefused: the policy makes no series `auth_jwt_validation_total`, which exists where the policy has a section `jwt`",
        "left out: alert RateLimitStorm: ",
        "left out: objective breakers: the policy makes no series `gateway_circuit_breaker_state`, which exists where the policy has a section `breakers`",
        "left out: objective orders: `orders` is not set, which says which business events are orders",
        "left out: objective cpu: `node_cpu_seconds_total` comes from node_exporter, and `sources.node_exporter` scrapes none",
        "left out: recording rule gateway:failed_logins:rate5m: ",
    ] {
        assert!(said.contains(line), "{line}\nis not in\n{said}");
    }
}

#[test]
fn where_lines_name_no_user_there_is_no_alert_by_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("gateway.yaml");
    let of = |logs: &str| {
        format!(
            "version: 1\nservices: {{ a: {{ address: \"127.0.0.1:8000\" }} }}\nroutes: [{{ path: /a, methods: [GET], service: a }}]\n{logs}\n"
        )
    };
    for (logs, is_there) in [("", true), ("logs: { user: none }", false)] {
        std::fs::write(&policy, of(logs)).expect("it can be written");
        let (out, said) = rendered(&policy.display().to_string(), None);
        for file in ["logs/loki-rules.yaml", "logs/victoria-logs-rules.yaml"] {
            let rules = read(&out, file);
            assert!(rules.contains("UserRefusedOften") == is_there && rules.contains("TokenInLog"), "{file}");
        }
        assert_eq!(said.contains("left out: alert UserRefusedOften"), !is_there, "{said}");
    }
}

#[test]
fn a_cluster_gets_objects_and_more_rules_by_its_settings_alone() {
    let (out, _) = rendered("gateway.yaml", Some("monitoring/settings.production.yaml"));
    let rules = read(&out, "kubernetes/prometheus-rule.yaml");
    assert!(rules.contains("kind: PrometheusRule") && rules.contains("node_cpu_seconds_total"));
    assert!(!read(&out, "rules.yaml").contains("node_cpu_seconds_total"));
    let values = read(&out, "kubernetes/values.yaml");
    for value in ["retention: 90d", "ruleSelectorNilUsesHelmValues: false", "storage: 200Gi"] {
        assert!(values.contains(value), "{value}");
    }
    let secret = read(&out, "kubernetes/alertmanager-secret.yaml");
    assert!(secret.contains("/etc/alertmanager/secrets/alertmanager-receivers/slack-url"));
}

#[test]
fn mistakes_in_settings_are_found_together_each_in_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("settings.yaml");
    let wrong = "objectives: { availability_percent: 100 }\n\
        prices: { cpu_core_hour: -1 }\n\
        business_hours: { time_zone: Europe/Berlinn }\n\
        receivers:\n\
        - { name: team, email: { to: a@example.org } }\n\
        - { name: team, email: { to: b@example.org } }\n\
        tiers: { critical: { always: [team] }, warning: {} }\n";
    std::fs::write(&settings, wrong).expect("it can be written");
    let file = settings.display().to_string();
    let output = portcullis(&["check", "gateway.yaml", "--format", "short", "--monitoring", &file]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&file)).collect();
    let places: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap_or_default()).collect();
    assert_eq!(places, ["1", "6", "3", "2"], "{said}");
    assert!(said.contains("did you mean `Europe/Berlin`?"), "{said}");
}

#[test]
fn settings_may_name_only_events_that_the_policy_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("settings.yaml");
    let wrong = "orders: { created: [order_created], refused: [orders_refused] }\n";
    std::fs::write(&settings, wrong).expect("it can be written");
    let file = settings.display().to_string();
    let checked = portcullis(&["check", "gateway.yaml", "--format", "short", "--monitoring", &file]);
    let out = folder.path().join("out").display().to_string();
    let rendered = portcullis(&["render", "monitoring", "gateway.yaml", "--settings", &file, "--out", &out]);
    for output in [checked, rendered] {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("orders_created"), "{}", text(&output.stderr));
    }
}

#[test]
fn the_examples_settings_are_sound() {
    for settings in ["monitoring/settings.yaml", "monitoring/settings.production.yaml"] {
        let output = portcullis(&["check", "gateway.yaml", "--monitoring", settings]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}
