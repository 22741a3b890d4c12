//! Alertmanager's configuration, in Alertmanager: its own checks, its routing by tier, and who really hears of what by day and by night.

mod receivers;
mod running;

use portcullis_monitoring::{Settings, alertmanager};
use running::{Alertmanager, alert};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin").join(name)
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn from_file(file: &str) -> Settings {
    let text = std::fs::read_to_string(here(file)).expect("it is there");
    let value: Value = serde_saphyr::from_str(&text).expect("YAML");
    Settings::from_value(&value).expect("sound")
}

/// The configuration and its templates in a folder.
fn written(settings: &Settings) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = alertmanager::config(settings, "portcullis.tmpl");
    std::fs::write(folder.path().join("alertmanager.yaml"), config.to_string()).expect("it can be written");
    std::fs::write(folder.path().join("portcullis.tmpl"), alertmanager::TEMPLATES)
        .expect("it can be written");
    folder
}

fn amtool(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(tool("amtool")).args(arguments).current_dir(folder).output();
    let output = output.expect("`make tools-for-tests` has fetched amtool");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn amtool_accepts_the_configuration() {
    for settings in [Settings::default(), from_file("settings.yaml"), from_file("settings.production.yaml")] {
        amtool(written(&settings).path(), &["check-config", "alertmanager.yaml"]);
    }
}

/// The receivers that amtool finds for labels; it knows no hours.
fn routed(settings: &Settings, labels: &[&str]) -> String {
    let arguments = [&["config", "routes", "test", "--config.file=alertmanager.yaml"], labels].concat();
    // It warns that a file goes before an address that nobody gave.
    amtool(written(settings).path(), &arguments).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn each_tier_is_routed_to_its_receivers() {
    for settings in [Settings::default(), from_file("settings.yaml"), from_file("settings.production.yaml")] {
        assert_eq!(routed(&settings, &["severity=critical", "alertname=TokenAbuse"]), "team,on-call");
        assert_eq!(routed(&settings, &["severity=warning", "alertname=FailedLogins"]), "team");
        assert_eq!(routed(&settings, &["severity=info", "alertname=Watchdog"]), "nobody");
        assert_eq!(routed(&settings, &["alertname=OfSomebodyElse"]), "nobody");
    }
}

#[test]
fn a_tier_may_have_other_receivers_by_day_than_by_night() {
    let settings = json!({
        "receivers": [
            { "name": "a", "email": { "to": "a@example.org" } },
            { "name": "b", "email": { "to": "b@example.org" } },
        ],
        "tiers": {
            "critical": { "business_hours": ["a"], "off_hours": ["b"] },
            "warning": {},
        },
    });
    let settings = Settings::from_value(&settings).expect("sound");
    assert_eq!(routed(&settings, &["severity=critical"]), "a,b");
    assert_eq!(routed(&settings, &["severity=warning"]), "nobody");
}

/// Hours of work that it is now, or that it is not.
fn hours(is_day: bool) -> Value {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let is_morning = seconds % 86_400 < 43_200;
    let (from, to) = match (is_day, is_morning) {
        (true, _) => ("00:00", "24:00"),
        (false, true) => ("14:00", "23:00"),
        (false, false) => ("01:00", "10:00"),
    };
    json!({ "days": "sunday:saturday", "from": from, "to": to, "time_zone": "UTC" })
}

#[test]
fn critical_alerts_go_to_slack_and_by_mail_at_any_hour_and_warnings_to_slack_by_day() {
    for is_day in [true, false] {
        let running = Alertmanager::start(hours(is_day));
        running.post(&[alert("FailedLogins", "warning", &[])]);
        running.post(&[alert("TokenAbuse", "critical", &[("instance", "gw-1")])]);
        let slack = running.slack("TokenAbuse");
        let mail = running.mail("TokenAbuse");
        for said in [&slack, &mail] {
            let all = [
                "What: Summary of TokenAbuse",
                "Description of TokenAbuse",
                "instance=gw-1",
                "Since: 20",
                "How bad: critical",
                "Dashboard: http",
                "Runbook: http",
            ];
            let missing: Vec<_> = all.iter().filter(|text| !said.contains(**text)).collect();
            assert!(missing.is_empty(), "{missing:?} in {said}");
        }
        match is_day {
            true => drop(running.slack("FailedLogins")),
            // It was there before the other, whose messages have come.
            false => assert!(!running.slack_has("FailedLogins"), "a warning at night"),
        }
        assert!(!running.mail_has("FailedLogins"), "a warning by mail");
    }
}

#[test]
fn what_follows_from_something_else_is_not_said_as_well() {
    let running = Alertmanager::start(hours(true));
    let job = [("job", "gateway")];
    running.post(&[
        alert("ServiceDown", "critical", &[("job", "gateway"), ("service", "order")]),
        alert("BreakerOpen", "critical", &[("job", "gateway"), ("service", "order")]),
        alert("ErrorBudgetBurn", "critical", &[("job", "gateway"), ("slo", "latency")]),
        alert("ErrorBudgetBurn", "warning", &[("job", "gateway"), ("slo", "latency")]),
        alert("ErrorBudgetBurn", "warning", &[("job", "gateway"), ("slo", "errors")]),
        alert("GatewayDown", "critical", &[("job", "gateway"), ("instance", "a")]),
        alert("MetricsMissing", "warning", &[("job", "gateway"), ("instance", "a")]),
        alert("MetricsMissing", "warning", &[("job", "gateway"), ("instance", "b")]),
        alert("ShipperDown", "critical", &[("job", "collector")]),
        alert("AuditGap", "critical", &[]),
    ]);
    // One message is sent when all have been looked at.
    running.slack("ServiceDown");
    let inhibited = running.inhibited();
    assert_eq!(inhibited, ["AuditGap", "BreakerOpen order", "ErrorBudgetBurn latency", "MetricsMissing a"]);
    running.post(&[alert("GatewayAbsent", "critical", &job)]);
    running.slack("GatewayAbsent");
    assert!(running.inhibited().contains(&"ServiceDown order".to_owned()));
}
