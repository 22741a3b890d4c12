//! Every alert against series whose truth is known, in Prometheus's own rule engine: it fires, it stays silent just below its threshold and
//! without data, and a rule that was changed on purpose is noticed.

mod cases;

use cases::{Case, cases};
use portcullis_monitoring::{Settings, every_rule};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn promtool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/promtool")
}

fn settings() -> Settings {
    Settings::from_value(&json!({})).expect("nothing need be set")
}

/// Whether the rules of one alert pass its cases, and what promtool said. Only the rules that the alert needs are evaluated: a day of
/// simulated time is long.
fn passes(rules: &Value, cases: &[&Case]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let tests: Vec<Value> = cases.iter().map(|case| case.to_json()).collect();
    let interval = cases.first().map_or("30s", |case| case.interval);
    let file = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": interval, "tests": tests });
    let rules =
        serde_saphyr::to_string(&json!({ "groups": [{ "name": "needed", "rules": rules }] })).expect("YAML");
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("it can be written");
    std::fs::write(folder.path().join("tests.yaml"), file.to_string()).expect("it can be written");
    let output = Command::new(promtool())
        .args(["test", "rules", "tests.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("`make tools-for-tests` has fetched promtool");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// All rules, flat.
fn all_rules() -> Vec<Value> {
    let document: Value = serde_saphyr::from_str(&every_rule(&settings())).expect("YAML");
    let groups = document["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

/// What tells alerts of one name apart.
fn key(rule: &Value) -> String {
    let slo = rule["labels"]["slo"].as_str().unwrap_or_default();
    format!("{}{slo}", rule["alert"].as_str().unwrap_or_default())
}

/// The alerts with this key and the recording rules that they need, in order.
fn needed(rules: &[Value], wanted: &str) -> Vec<Value> {
    let alerts: Vec<&Value> =
        rules.iter().filter(|rule| rule["alert"].is_string() && key(rule) == wanted).collect();
    let mut names: Vec<String> =
        alerts.iter().map(|rule| rule["expr"].as_str().expect("a query").to_owned()).collect();
    let slo = alerts.first().map(|rule| rule["labels"]["slo"].clone()).unwrap_or_default();
    let mut recordings: Vec<Value> = Vec::new();
    for rule in rules.iter().rev().filter(|rule| rule["record"].is_string()) {
        let name = rule["record"].as_str().expect("a name");
        let is_of_slo = rule["labels"]["slo"].is_null() || rule["labels"]["slo"] == slo;
        if is_of_slo && names.iter().any(|query| query.contains(name)) {
            names.push(rule["expr"].as_str().expect("a query").to_owned());
            recordings.insert(0, rule.clone());
        }
    }
    recordings.into_iter().chain(alerts.into_iter().cloned()).collect()
}

fn keys(rules: &[Value]) -> BTreeSet<String> {
    rules.iter().filter(|rule| rule["alert"].is_string()).map(key).collect()
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_when_it_should_not() {
    let (rules, cases) = (all_rules(), cases());
    for wanted in keys(&rules) {
        let of: Vec<_> = cases.iter().filter(|case| case.key() == wanted).collect();
        let has = |fires: bool| of.iter().any(|case| case.fires == fires);
        assert!(
            has(true) && (has(false) || wanted == "Watchdog"),
            "{wanted} lacks a case in which it fires, or is silent"
        );
        let (good, said) = passes(&needed(&rules, &wanted).into(), &of);
        assert!(good, "{wanted}: {said}");
    }
    println!("{} alerts, {} cases, 0 wrong", keys(&rules).len(), cases.len());
}

#[test]
fn every_alert_has_severity_texts_and_a_runbook_that_is_there() {
    for rule in all_rules().iter().filter(|rule| rule["alert"].is_string()) {
        let texts = ["summary", "description", "runbook_url"]
            .map(|name| rule["annotations"][name].as_str().unwrap_or_default());
        assert!(
            texts.iter().all(|text| !text.is_empty()) && rule["labels"]["severity"].is_string(),
            "{rule:#}"
        );
        let page = texts[2].rsplit('/').next().expect("a name");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks").join(page);
        assert!(page.is_file(), "{} is missing", page.display());
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, every_rule(&settings())).expect("it can be written");
    let output =
        Command::new(promtool()).args(["check", "rules", "--lint=all", "--lint-fatal"]).arg(&path).output();
    let output = output.expect("`make tools-for-tests` has fetched promtool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The rules of an alert with one change each, which some case must notice.
fn mutants(needed: &[Value]) -> Vec<(String, Value)> {
    let mut mutants = Vec::new();
    for (at, rule) in needed.iter().enumerate() {
        let Some(name) = rule["alert"].as_str() else { continue };
        let mut change = |field: &str, value: String| {
            let mut mutant = needed.to_vec();
            mutant[at][field] = value.clone().into();
            mutants.push((format!("{name}: {field}: {value}"), mutant.into()));
        };
        changes(rule["expr"].as_str().expect("a query")).into_iter().for_each(|expr| change("expr", expr));
        if rule["for"].is_string() {
            change("for", "0s".to_owned());
        }
    }
    mutants
}

/// A query with its comparison turned round, its threshold moved, or another value of a label.
fn changes(expr: &str) -> Vec<String> {
    let mut changes = Vec::new();
    for (from, to) in
        [(" > ", " < "), (" == ", " != "), (" < 0", " > 0"), ("status=\"failure\"", "status=\"success\"")]
    {
        if expr.contains(from) {
            changes.push(expr.replacen(from, to, 1));
        }
    }
    if let Some((head, threshold)) = expr.rsplit_once(" > ")
        && let Ok(threshold) = threshold.parse::<f64>()
        && threshold > 0.0
    {
        changes.extend([0.2, 5.0].map(|factor| format!("{head} > {}", threshold * factor)));
    }
    changes
}

#[test]
fn a_changed_rule_is_noticed() {
    let (rules, cases) = (all_rules(), cases());
    let (mut total, mut survivors) = (0_usize, Vec::new());
    for wanted in keys(&rules) {
        let of: Vec<_> = cases.iter().filter(|case| case.key() == wanted).collect();
        for (name, mutant) in mutants(&needed(&rules, &wanted)) {
            total += 1;
            if passes(&mutant, &of).0 {
                survivors.push(name);
            }
        }
    }
    println!("{total} changed rules, {} noticed", total - survivors.len());
    assert!(survivors.len() * 20 <= total, "not noticed: {survivors:#?}");
}
