//! Every rule against series whose truth is known, in Prometheus's own rule engine: alerts fire in time, and stay silent just below their
//! threshold and without data; recorded values are what they should be; and a rule that was changed on purpose is noticed.

mod cases;
mod mutants;

use cases::{Case, cases};
use portcullis_monitoring::{OBJECTIVES, Settings, Vocabulary, every_rule};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// `PORTCULLIS_PROMTOOL` names another than the one that Debian has: of Prometheus 3, say.
fn promtool() -> PathBuf {
    if let Some(other) = std::env::var_os("PORTCULLIS_PROMTOOL") {
        return other.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/promtool")
}

fn settings() -> Settings {
    let orders = json!({ "created": ["orders_created"], "refused": ["orders_refused"] });
    Settings::from_value(&json!({ "orders": orders })).expect("sound")
}

/// Whether rules pass their cases, and what promtool said.
fn passes(rules: &[Value], cases: &[&Case]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        // What a case gives, no rule records.
        let given = |rule: &&Value| {
            let name = rule["record"].as_str().unwrap_or("-");
            !case.series.iter().any(|(series, _)| series.split('{').next() == Some(name))
        };
        let rules: Vec<&Value> = rules.iter().filter(given).collect();
        let (rule_file, test_file) = (format!("rules{index}.yaml"), format!("test{index}.yaml"));
        let groups = json!({ "groups": [{ "name": "needed", "rules": rules }] });
        let test = json!({
            "rule_files": [rule_file], "evaluation_interval": case.interval, "tests": [case.to_json()],
        });
        std::fs::write(folder.path().join(&rule_file), groups.to_string()).expect("it can be written");
        std::fs::write(folder.path().join(&test_file), test.to_string()).expect("it can be written");
        files.push(test_file);
    }
    let output = Command::new(promtool())
        .args(["test", "rules"])
        .args(files)
        .current_dir(folder.path())
        .output()
        .expect("`make tools-for-tests` has fetched promtool");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// All rules, flat, each with the group's interval left aside.
fn all_rules() -> Vec<Value> {
    let groups = serde_json::to_value(every_rule(&settings())).expect("JSON");
    let groups = groups.as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn text<'r>(rule: &'r Value, pointer: &str) -> &'r str {
    rule.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What the cases of a rule are found by: an alert's name, with its window if it has one; the objective or the signal that a recorded series
/// is of; else the series.
fn key(rule: &Value) -> String {
    let (slo, signal, window) =
        (text(rule, "/labels/slo"), text(rule, "/labels/signal"), text(rule, "/labels/window"));
    match (text(rule, "/alert"), text(rule, "/record")) {
        (alert, "") if window.is_empty() => alert.to_owned(),
        (alert, "") => format!("{alert}/{window}"),
        (_, _) if !slo.is_empty() => format!("slo:{slo}"),
        (_, _) if !signal.is_empty() => format!("anomaly:{signal}"),
        (_, record) if record.starts_with("slo:errors:") => "ratios".to_owned(),
        (_, record) => record.to_owned(),
    }
}

/// The rules with this key and the recording rules that they need, in order.
fn needed(rules: &[Value], wanted: &str) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    let mut queries: Vec<String> = Vec::new();
    for rule in rules.iter().rev() {
        let record = text(rule, "/record");
        let is_shared = text(rule, "/labels/slo").is_empty() && text(rule, "/labels/signal").is_empty();
        let is_needed = is_shared && !record.is_empty() && queries.iter().any(|query| names(query, record));
        if key(rule) == wanted || is_needed {
            queries.push(text(rule, "/expr").to_owned());
            kept.insert(0, rule.clone());
        }
    }
    kept
}

/// Whether a query names a series, and not only one whose name begins with it.
fn names(query: &str, series: &str) -> bool {
    let follows = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    query.match_indices(series).any(|(at, _)| !follows(&query[at + series.len()..]))
}

/// The keys that have cases. What is recorded for an alert alone is tried with the alert.
fn keys(rules: &[Value], cases: &[Case]) -> BTreeSet<String> {
    let own = |rule: &Value| cases.iter().any(|case| case.key == key(rule));
    let needed_only = |rule: &Value| {
        let used = |other: &Value| names(text(other, "/expr"), text(rule, "/record"));
        rule["record"].is_string() && !own(rule) && rules.iter().any(used)
    };
    rules.iter().filter(|rule| !needed_only(rule)).map(key).collect()
}

/// Runs something for each item on two threads.
fn on_two_threads<T: Send>(items: Vec<T>, run: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = { items.lock().expect("no one panics with it").next() } {
                    run(item);
                }
            });
        }
    });
}

#[test]
fn every_rule_does_what_it_should_and_nothing_else() {
    let (rules, cases) = (all_rules(), cases());
    let keys = keys(&rules, &cases);
    let wrong = Mutex::new(Vec::new());
    on_two_threads(keys.iter().collect(), |wanted| {
        let of: Vec<_> = cases.iter().filter(|case| case.key == *wanted).collect();
        let is_alert = rules.iter().any(|rule| key(rule) == *wanted && rule["alert"].is_string());
        let sees = |fires: bool| of.iter().any(|case| case.sees(fires));
        if of.is_empty() || is_alert && !(sees(true) && (sees(false) || wanted == "Watchdog")) {
            wrong
                .lock()
                .expect("whole")
                .push(format!("{wanted} lacks a case in which it fires, or is silent"));
        }
        for case in of {
            let (good, said) = passes(&needed(&rules, wanted), &[case]);
            if !good {
                wrong.lock().expect("whole").push(format!("{wanted}: {said}\n{:#}", case.to_json()));
            }
        }
    });
    let wrong = wrong.into_inner().expect("whole");
    let unknown: Vec<_> =
        cases.iter().filter(|case| !keys.contains(&case.key)).map(|case| &case.key).collect();
    assert!(unknown.is_empty(), "cases of nothing: {unknown:?}");
    println!("{} rules in {} sets, {} cases, {} wrong", rules.len(), keys.len(), cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_query_names_only_what_is_declared() {
    let mut declared = Vocabulary::declared();
    let rules = all_rules();
    for recorded in portcullis_monitoring::RECORDED {
        declared.add_recorded(recorded.name, recorded.labels);
    }
    for rule in &rules {
        let checked = declared.check(text(rule, "/expr"));
        assert_eq!(checked, Ok(()), "{rule:#}");
    }
}

#[test]
fn a_recorded_series_has_the_labels_that_it_is_said_to_have() {
    let recorded: BTreeSet<&str> =
        portcullis_monitoring::RECORDED.iter().map(|recorded| recorded.name).collect();
    let rules = all_rules();
    let written: BTreeSet<&str> =
        rules.iter().map(|rule| text(rule, "/record")).filter(|name| !name.is_empty()).collect();
    assert_eq!(recorded, written);
}

#[test]
fn there_are_thirteen_objectives() {
    let names: Vec<_> = portcullis_monitoring::objectives(&settings()).iter().map(|it| it.name).collect();
    assert_eq!(names, OBJECTIVES);
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yaml");
    let groups = json!({ "groups": every_rule(&settings()) });
    std::fs::write(&path, groups.to_string()).expect("it can be written");
    let output =
        Command::new(promtool()).args(["check", "rules", "--lint=all", "--lint-fatal"]).arg(&path).output();
    let output = output.expect("`make tools-for-tests` has fetched promtool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a rule is of another signal than requests, and differs from theirs in its name alone: changed once is enough.
fn is_as_of_requests(rules: &[Value], rule: &Value) -> bool {
    let signal = text(rule, "/labels/signal");
    let is_the_same = |other: &Value| {
        text(other, "/labels/signal") == "requests"
            && other["record"] == rule["record"]
            && text(other, "/expr") == text(rule, "/expr").replace(signal, "requests")
    };
    !["", "requests"].contains(&signal) && rules.iter().any(is_the_same)
}

#[test]
fn a_changed_rule_is_noticed() {
    let (rules, cases) = (all_rules(), cases());
    let keys = keys(&rules, &cases);
    // One change may be tried with several alerts, which need the same series.
    let mut mutants: BTreeMap<String, Vec<(String, Vec<Value>)>> = BTreeMap::new();
    // The alerts, unless somebody asks for others: the beginnings of their keys, with commas between (`MUTANTS_OF=slo:,anomaly:`), which
    // take days of simulated time.
    let only = std::env::var("MUTANTS_OF").ok();
    let is_alert = |key: &str| !key.contains([':', '/']) && key.starts_with(char::is_uppercase);
    let is_asked = |key: &str| match &only {
        Some(only) => only.split(',').any(|begin| key.starts_with(begin)),
        None => is_alert(key),
    };
    for wanted in keys.iter().filter(|key| is_asked(key)) {
        let is_own = |rule: &Value| key(rule) == *wanted && !is_as_of_requests(&rules, rule);
        // What every case gives is recorded by no rule there; it is changed with others that need it.
        let gives = |case: &&Case, rule: &Value| {
            let name = text(rule, "/record");
            case.series.iter().any(|(series, _)| series.split('{').next() == Some(name))
        };
        let is_given = |rule: &Value| {
            let mut of = cases.iter().filter(|case| case.key == *wanted);
            of.all(|case| gives(&case, rule))
        };
        let changed = |rule: &Value| is_own(rule) || !keys.contains(&key(rule)) && !is_given(rule);
        for (name, rules) in mutants::of(&needed(&rules, wanted), &changed) {
            mutants.entry(name).or_default().push((wanted.clone(), rules));
        }
    }
    let total = mutants.len();
    let survivors = Mutex::new(Vec::new());
    on_two_threads(mutants.into_iter().collect(), |(name, tries)| {
        // One case after the other: most changes are noticed by the first.
        let goes_unnoticed = tries.iter().all(|(wanted, rules)| {
            cases.iter().filter(|case| case.key == *wanted).all(|case| passes(rules, &[case]).0)
        });
        if goes_unnoticed {
            survivors.lock().expect("whole").push(name);
        }
    });
    let mut survivors = survivors.into_inner().expect("whole");
    survivors.sort();
    println!("{total} changed rules, {} noticed; not noticed: {survivors:#?}", total - survivors.len());
    assert!(survivors.len() * 20 <= total, "not noticed: {survivors:#?}");
}
