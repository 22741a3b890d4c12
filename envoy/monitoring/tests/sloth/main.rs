//! Our burn-rate alerts beside those that sloth 0.16.0 generates of the same objective (`rules.yaml`, of `spec.yaml`), on the same days of traffic.

use portcullis_monitoring::{Settings, every_rule};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What happens, in spans of two minutes: how many, and errors among ten thousand requests.
const SPANS: [(u32, u32); 7] = [(720, 2), (60, 200), (240, 2), (240, 80), (480, 2), (720, 40), (240, 0)];

/// A counter that rises so.
fn counter(rate: impl Fn(u32) -> u32) -> String {
    let mut total = 0;
    let span = |(samples, errors): &(u32, u32)| {
        let (from, step) = (total, rate(*errors));
        total += step * samples;
        format!("{from}+{step}x{}", samples - 1)
    };
    SPANS.iter().map(span).collect::<Vec<_>>().join(" ")
}

/// Our rules for availability.
fn ours() -> Vec<Value> {
    let groups = serde_json::to_value(every_rule(&Settings::default())).expect("JSON");
    let groups = groups.as_array().expect("groups").clone();
    let is_of =
        |group: &&Value| group["name"].as_str().is_some_and(|name| name.starts_with("gateway-objectives"));
    let rules =
        groups.iter().filter(is_of).flat_map(|group| group["rules"].as_array().expect("rules").clone());
    rules.filter(|rule| rule["labels"]["slo"].as_str().is_none_or(|slo| slo == "availability")).collect()
}

/// Whether an alert of this name and tier fires, as 1 or 0.
fn fires(alert: &str, severity: &str) -> String {
    let firing = format!(r#"ALERTS{{alertname="{alert}",alertstate="firing",severity="{severity}"}}"#);
    format!("(clamp_max(count({firing}), 1) or vector(0))")
}

#[test]
fn our_alerts_fire_when_sloths_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(here.join("tests/sloth/rules.yaml"), folder.path().join("sloth.yaml"))
        .expect("it is there");
    let groups = json!({ "groups": [{ "name": "ours", "rules": ours() }] });
    std::fs::write(folder.path().join("ours.yaml"), groups.to_string()).expect("it can be written");
    let samples: u32 = SPANS.iter().map(|(samples, _)| samples).sum();
    let end = format!("{}m", (samples - 1) * 2);
    let expect = |expr: String| json!({ "expr": format!("count({expr}) or vector(0)"), "eval_time": end, "exp_samples": [{ "labels": "{}", "value": 1 }] });
    let times = |query: &str| format!("sum_over_time({query}[{end}:2m])");
    let mut looks = Vec::new();
    for severity in ["critical", "warning"] {
        let (ours, sloths) = (fires("ErrorBudgetBurn", severity), fires("SlothBurn", severity));
        // Both fire for hours (critical for five, warning for forty-six). They differ for twelve minutes in all, at the edges, where a rate over hours begins earlier than a sum of rates over minutes.
        looks.push(expect(format!("{} > 60", times(&sloths))));
        looks.push(expect(format!("{} <= 6", times(&format!("abs({ours} - {sloths})")))));
    }
    let endpoint = r#"job="gateway",endpoint="/a""#;
    let test = json!({
        "rule_files": ["ours.yaml", "sloth.yaml"],
        "evaluation_interval": "2m",
        "tests": [{
            "interval": "2m",
            "input_series": [
                { "series": format!(r#"gateway_requests_total{{{endpoint},status_code="200"}}"#), "values": counter(|errors| 10_000 - errors) },
                { "series": format!(r#"gateway_requests_total{{{endpoint},status_code="500"}}"#), "values": counter(|errors| errors) },
                { "series": format!(r#"gateway_errors_total{{{endpoint},status_code="500"}}"#), "values": counter(|errors| errors) },
            ],
            "promql_expr_test": looks,
        }],
    });
    std::fs::write(folder.path().join("test.yaml"), test.to_string()).expect("it can be written");
    let output = Command::new(here.join("../../.tools/bin/promtool"))
        .args(["test", "rules", "test.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("`make tools-for-tests` has fetched promtool");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
