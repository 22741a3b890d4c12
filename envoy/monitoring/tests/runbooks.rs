//! Every alert has its page, every page its alert, and every link and query in them leads somewhere.

use portcullis_monitoring::{RECORDED, Settings, Vocabulary, alert_names, every_alert, framed, index};
use std::path::{Path, PathBuf};

/// The dashboards that there are, by uid.
const DASHBOARDS: [&str; 20] = [
    "security-overview",
    "authentication-analytics",
    "access-control",
    "gateway-overview",
    "authentication-flow",
    "security-monitoring",
    "service-routing",
    "authentication-performance",
    "security-events",
    "integration-health",
    "user-analytics",
    "trading-operations",
    "business-user-analytics",
    "portfolio-insights",
    "service-health",
    "api-performance",
    "dependency-map",
    "kubernetes-overview",
    "infrastructure-health",
    "cost-tracking",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks")
}

fn page(alert: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{alert}.md")))
        .unwrap_or_else(|_| panic!("{alert} has no page"))
}

fn alerts() -> Vec<String> {
    alert_names(&Settings::default())
}

#[test]
fn every_alert_has_a_current_page_with_three_checks_and_something_to_do() {
    for alert in alerts() {
        let page = page(&alert);
        assert_eq!(page, framed(&alert, &page), "{alert}: `make rendered` makes its frame anew");
        for heading in ["## What it means", "## First checks", "## What to do"] {
            let (_, after) = page.split_once(heading).unwrap_or_else(|| panic!("{alert} lacks {heading}"));
            let written = after.split("\n## ").next().unwrap_or_default().trim();
            assert!(written.len() > 30, "{alert}: {heading} says nothing");
        }
        for check in ["\n1. ", "\n2. ", "\n3. "] {
            let (_, after) = page.split_once(check).unwrap_or_else(|| panic!("{alert} has no check{check}"));
            assert!(!after.lines().next().unwrap_or_default().trim().is_empty(), "{alert}: a check is empty");
        }
    }
}

#[test]
fn every_page_is_that_of_an_alert_and_the_list_is_current() {
    let mut pages: Vec<String> = std::fs::read_dir(folder())
        .expect("it is there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().replace(".md", ""))
        .filter(|name| name != "README")
        .collect();
    pages.sort();
    assert_eq!(pages, alerts());
    assert_eq!(std::fs::read_to_string(folder().join("README.md")).expect("it is there"), index(&alerts()));
}

#[test]
fn links_of_alerts_lead_to_pages_and_to_dashboards() {
    let settings = Settings::default();
    for rule in every_alert(&settings) {
        let text = |name: &str| rule.annotations.get(name).cloned().unwrap_or_default();
        assert_eq!(text("runbook_url"), format!("{}/{}.md", settings.runbooks_url, rule.alert));
        let uid = text("dashboard_url").replace(&format!("{}/", settings.dashboards_url), "");
        assert!(
            DASHBOARDS.contains(&uid.as_str()) || uid == "{{ $labels.dashboard }}",
            "{}: {uid}",
            rule.alert
        );
        for name in ["summary", "description"] {
            assert!(!text(name).is_empty(), "{} has no {name}", rule.alert);
        }
        let has_values = text("description").contains("{{ $")
            || ["Watchdog", "GatewayAbsent", "AuditUnknown"].contains(&rule.alert.as_str());
        assert!(has_values, "{}: its description has no value", rule.alert);
        assert!(["critical", "warning", "info"].contains(&rule.labels["severity"].as_str()));
    }
    let objectives = portcullis_monitoring::objectives(&settings);
    assert!(objectives.iter().all(|objective| DASHBOARDS.contains(&objective.dashboard)));
}

#[test]
fn every_link_in_a_page_resolves() {
    for alert in alerts() {
        let page = page(&alert);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder().join(link).is_file(), "{alert}: {link} leads nowhere");
        }
    }
}

#[test]
fn every_query_in_a_page_names_only_what_there_is() {
    let mut declared = Vocabulary::declared();
    RECORDED.iter().for_each(|recorded| declared.add_recorded(recorded.name, recorded.labels));
    let begins = [
        "gateway_",
        "auth_",
        "envoy_",
        "portcullis_",
        "otelcol_",
        "slo:",
        "anomaly:",
        "sum",
        "rate(",
        "increase(",
        "topk(",
        "count ",
        "prometheus_",
        "histogram_quantile(",
    ];
    let mut checked = 0;
    for alert in alerts() {
        let page = page(&alert);
        let (_, written) = page.split_once("people from here on").expect("written content");
        for span in written.split('`').skip(1).step_by(2) {
            if begins.iter().any(|begin| span.starts_with(begin)) && !span.ends_with('_') {
                // The name of an objective or of a label is no metric.
                if ["auth_calls", "envoy_http_conn_manager_prefix"].contains(&span) {
                    continue;
                }
                checked += 1;
                // A histogram is called by the name that its series begin with.
                let is_histogram = declared.check(&format!("{span}_count")).is_ok();
                assert!(is_histogram || declared.check(span).is_ok(), "{alert}: {span}");
            }
        }
    }
    assert!(checked > 30, "only {checked} queries were found");
}
